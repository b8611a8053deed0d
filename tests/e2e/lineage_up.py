"""`lineage` as a user runs it, in a directory of its own, and what runs of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, final

import psutil

from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.settings import load_settings

LINEAGE = (sys.executable, "-m", "lineage_pipeline")
START_SECONDS = 400.0
PAUSE_SECONDS = 1.5  # to ask the lake costs more than to wait a little longer


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
        time.sleep(PAUSE_SECONDS)


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

    @property
    def config(self) -> Path:
        """The stack's lineage.yaml, as other commands find it."""
        return self.cwd / ".lineage" / "lineage.yaml"

    def totals(self) -> dict[str, int]:
        """Rows of data, and records that the index accounts for; nothing yet is 0."""
        settings = load_settings({}, self.config)
        with closing(LakeSql(settings, settings.topic())) as lake:
            indexed = lake.value("SELECT sum(record_count)::BIGINT FROM offset_index")
            return {"d": lake.value("SELECT count(*) FROM data"), "i": indexed}

    @property
    def deployments(self) -> list[dict[str, Any]]:
        """The deployment records as JSON objects, oldest first."""
        folder = self.config.parent / "up" / "lake" / "offset-index" / "_deployments"
        found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        return sorted(found, key=lambda one: (one["started_at"], one["writer"]))

    def wait_for_records(self, more_than: int) -> None:
        def moved() -> bool:
            assert self.process.poll() is None, (self.cwd / "up.log").read_text()
            return self.config.exists() and self.totals()["i"] > more_than

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
