"""README's promises, as a user runs them: `lineage demo --exit` and `lineage up`, in directories of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import psutil
import pytest

pytestmark = pytest.mark.e2e

LINEAGE = (sys.executable, "-m", "lineage_pipeline")
START_SECONDS = 400.0


def lineage(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LINEAGE, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=500)


def started_in(folder: Path) -> list[psutil.Process]:
    """Every living process whose command line names the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and str(folder) in " ".join(process.info["cmdline"] or []):
            found.append(process)  # noqa: PERF401 - two lines read better
    return found


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)


def test_the_demo_finds_exactly_the_planted_loss_that_no_count_sees(tmp_path: Path) -> None:
    done = lineage("demo", "--exit", "--records", "20000", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "produced 20,000 = data" in done.stdout
    assert "(20,000 distinct offsets)" in done.stdout
    assert "lineage-input: COMPLETE" in done.stdout
    assert "partition 9, offset 1909: indexed by kafka_topic=lineage-input/" in done.stdout
    assert "0 gaps" in done.stdout
    assert "lineage-input: LOSS" in done.stdout
    assert "Dagster, check completeness of audit/lineage-input: FAILED: LOSS" in done.stdout
    assert "found exactly that" in done.stdout
    assert started_in(tmp_path) == []

    # what it left can be audited and located without any setting, with nothing running
    audited = lineage("audit", "--books", "index", "--json", cwd=tmp_path)
    assert audited.returncode == 1, audited.stderr
    report = json.loads(audited.stdout)
    lost = [one for one in report["partitions"][9]["ranges"] if one["class"] == "missing"]
    assert [(one["end"] - one["start"]) for one in lost] == [300]
    assert lineage("locate", "9", str(lost[0]["start"]), cwd=tmp_path).returncode == 1
    assert lineage("locate", "9", str(lost[0]["end"]), cwd=tmp_path).returncode == 0
    unreachable = lineage("audit", cwd=tmp_path)
    assert unreachable.returncode in {1, 3}, "without its broker an audit is never complete"


@final
class Up:
    """A running `lineage up`."""

    def __init__(self, cwd: Path, *options: str) -> None:
        self.cwd = cwd
        self.log = (cwd / "up.log").open("a+")
        environ = {**os.environ, "RATE_PER_SEC": "200"}
        self.process = subprocess.Popen(
            [*LINEAGE, "up", *options], cwd=cwd, env=environ, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def totals(self) -> dict[str, int]:
        """data, quarantine and index rows; nothing yet is 0."""
        sql = (
            "SELECT (SELECT count(*) FROM data) d, (SELECT coalesce(sum(record_count), 0)::BIGINT FROM offset_index) i"
        )
        done = lineage("sql", sql, "--json", cwd=self.cwd)
        assert done.returncode == 0, done.stderr
        answer: list[dict[str, Any]] = json.loads(done.stdout)
        return answer[0]

    def wait_for_records(self, more_than: int) -> None:
        config = self.cwd / ".lineage" / "lineage.yaml"

        def moved() -> bool:
            assert self.process.poll() is None, (self.cwd / "up.log").read_text()
            return config.exists() and self.totals()["i"] > more_than

        until(moved, START_SECONDS, f"more than {more_than} records in the index")

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(180)

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait(30)
        self.log.close()


def test_up_resumes_where_it_stopped_and_leaves_no_process_behind(tmp_path: Path) -> None:
    with Up(tmp_path) as first:
        first.wait_for_records(0)
        assert first.stop(signal.SIGINT) == 0, (tmp_path / "up.log").read_text()
    assert started_in(tmp_path) == []
    stopped = first.totals()
    assert stopped["d"] == stopped["i"] > 0, "a clean stop commits everything"

    with Up(tmp_path) as second:
        second.wait_for_records(stopped["i"])
    until(lambda: started_in(tmp_path) == [], 60, "all processes of a killed `lineage up` to end")
    audited = json.loads(lineage("audit", "--books", "index", "--json", cwd=tmp_path).stdout)
    assert audited["verdict"] == "complete"
    assert audited["totals"]["duplicated"] == 0


def test_up_on_a_cluster_survives_the_kill_of_each_of_its_processes(tmp_path: Path) -> None:
    with Up(tmp_path, "--cluster") as up:
        up.wait_for_records(0)
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
