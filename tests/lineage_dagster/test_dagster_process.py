"""The embedded Dagster as it is: webserver, daemon and code server over real files, a real receiver, a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lineage_pipeline.errors import ProcessError
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.ports import free_ports
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.receiver import Receiver

pytestmark = pytest.mark.e2e

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=30000", "--dump-dom"),
)
PATIENCE_SECONDS = 240.0


def _process(directory: Path) -> DagsterProcess:
    environ = {**os.environ, "KAFKA_TOPIC": "of-somebody-else", "DAGSTER_HOME": "/nowhere"}
    return DagsterProcess(directory / "lineage.yaml", directory / "home", directory / "log", free_ports(1)[0], environ)


@dataclass(frozen=True)
class Platform:
    """A running Dagster over two topics: `manual` is audited on request only, `watched` by the sensors as well."""

    lake: Lake
    dagster: DagsterProcess
    receiver: Receiver


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("dagster")
    lake, receiver, dagster = Lake(directory), Receiver(), _process(directory)
    hook = directory / "hook-address"
    hook.write_text(receiver.url)
    channel = {"name": "hook", "webhook": {"file": str(hook)}, "allow_private": True, "owners": ["team:watching"]}
    manual = {"name": "manual", "audit": {"books": ["index"], "every": 86_400}}
    watched = {"name": "watched", "owners": ["team:watching"], "audit": {"books": ["index"], "every": 86_400}}
    lake.index("manual", [(0, 0, 100), (0, 130, 200)])
    lake.index("watched", [(9, 0, 100)])
    lake.settings(manual, watched, alerts={"channels": [channel]})
    try:
        with dagster:
            yield Platform(lake, dagster, receiver)
            assert dagster.process is not None
            main = psutil.Process(dagster.process.pid)
            started = [main.pid, *(one.pid for one in main.children(recursive=True))]
        assert len(started) > 3  # webserver, daemon and code server at least
        assert [pid for pid in started if psutil.pid_exists(pid)] == []
    finally:
        receiver.close()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _page(url: str, profile: Path) -> str:
    """The page as a person sees it, once it has loaded its data."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout


def test_an_audit_on_request_shows_the_loss_and_after_the_repair_that_it_is_over(platform: Platform):
    verdict = platform.dagster.audit("manual", ["index"])
    assert not verdict.passed
    assert "partition 0, offsets 100 to 129 (30 missing" in verdict.text
    platform.lake.index("manual", [(0, 100, 130)])
    healed = platform.dagster.audit("manual")
    assert (healed.passed, set(healed.checks.values())) == (True, {True})


def test_a_topic_that_is_not_configured_is_refused(platform: Platform):
    with pytest.raises(ProcessError, match="audit/unknown"):
        platform.dagster.audit("unknown", ["index"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the pages were not looked at")
def test_a_person_sees_the_lost_range_on_the_page_that_the_verdict_links(platform: Platform, tmp_path: Path):
    platform.lake.index("manual", [(3, 0, 10), (3, 40, 50)])
    verdict = platform.dagster.audit("manual")
    page = _page(verdict.url, tmp_path)
    for text in ("completeness", "Failed", "partition 3, offsets 10 to 39 (30 missing", "10 to 39", "no_duplicates"):
        assert text in page


def test_a_location_that_cannot_be_loaded_is_an_error_with_its_own_sentence(tmp_path: Path):
    dagster = _process(tmp_path)
    (tmp_path / "lineage.yaml").write_text("topics: [{name: t, retnetion: {data_days: 3}}]")
    with pytest.raises(ProcessError, match="did you mean `retention`"):
        dagster.start()
    assert dagster.process is not None
    assert dagster.process.poll() is not None
