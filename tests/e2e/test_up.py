"""README's promises of `lineage up`, as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.lineage_up import Up, lineage, started_in, until

pytestmark = pytest.mark.e2e


def test_up_resumes_where_it_stopped_and_leaves_no_process_behind(tmp_path: Path) -> None:
    with Up(tmp_path) as first:
        first.wait_for_records(0)
        assert first.stop(signal.SIGINT) == 0, (tmp_path / "up.log").read_text()
    assert started_in(tmp_path) == []
    stopped = first.totals()
    assert stopped["d"] == stopped["i"] > 0, "a clean stop commits everything"

    with Up(tmp_path, "--no-dagster") as second:
        second.wait_for_records(stopped["i"])
    until(lambda: started_in(tmp_path) == [], 60, "all processes of a killed `lineage up` to end")
    audited = json.loads(lineage("audit", "--books", "index", "--json", cwd=tmp_path).stdout)
    assert audited["verdict"] == "complete"
    assert audited["totals"]["duplicated"] == 0
