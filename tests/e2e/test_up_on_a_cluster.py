"""README's promises of `lineage up --cluster`, as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.lineage_up import Up, lineage, started_in

pytestmark = pytest.mark.e2e


def test_up_on_a_cluster_survives_the_kill_of_each_of_its_processes(tmp_path: Path) -> None:
    with Up(tmp_path, "--cluster", "--no-dagster") as up:
        up.wait_for_records(0)
        assert not [one for one in started_in(tmp_path) if "dagster" in " ".join(one.cmdline())]
        for words in ("TaskManagerRunner", "StandaloneSessionClusterEntrypoint", "lineage_pipeline job run"):
            (victim,) = [one for one in started_in(tmp_path) if words in " ".join(one.cmdline()) and _is_no_guard(one)]
            victim.kill()
            victim.wait(30)
            up.wait_for_records(up.totals()["i"] + 500)
        assert up.stop(signal.SIGINT) == 0, (tmp_path / "up.log").read_text()
    assert started_in(tmp_path) == []
    stopped = up.totals()
    assert stopped["d"] == stopped["i"] > 0, "a clean stop commits everything"
    audited = json.loads(lineage("audit", "--books", "index", "--json", cwd=tmp_path).stdout)
    assert (audited["verdict"], audited["totals"]["duplicated"]) == ("complete", 0)


def _is_no_guard(process: psutil.Process) -> bool:
    """The process itself, not the one that ends it with its parent."""
    return "guard" not in " ".join(process.cmdline()[:4]) and Path(process.cmdline()[0]).name != "bash"
