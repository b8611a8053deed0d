"""The job's process on a cluster, where the job of an earlier command may run on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lineage_pipeline.errors import JobError
from lineage_pipeline.local.job_process import JobProcess

COMMAND = """
import signal, sys, threading
from pathlib import Path

def main():
    folder = Path(sys.argv[sys.argv.index("--log-dir") + 1])
    stop = threading.Event()
    (folder / "loading").touch()
    while not (folder / "go").exists():
        stop.wait(0.02)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("job 0123456789abcdef0123456789abcdef of deployment d runs at there already: watching it", flush=True)
    stop.wait()

main()
"""


class _Running(BaseHTTPRequestHandler):
    """A cluster on which a job runs, whoever asks."""

    def do_GET(self) -> None:
        body = json.dumps({"jobs": [{"state": "RUNNING", "tasks": {"running": 3, "total": 3}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def cluster_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Running) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_command_is_started_once_it_holds_the_job_that_runs_already_and_then_it_can_be_stopped(
    cluster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_command.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = JobProcess(tmp_path / "lineage.yaml", tmp_path, 1, os.environ, cluster_url=cluster_url)
    starting = threading.Thread(target=lambda: job.start(entry=("slow_command",)))
    starting.start()
    try:
        while not (tmp_path / "loading").exists():
            assert starting.is_alive(), job.log_path.read_text()
        starting.join(1.0)
        assert starting.is_alive(), "the job of an earlier command runs, but nobody could stop it yet"
        (tmp_path / "go").touch()
        starting.join(60)
        assert not starting.is_alive()
        job.stop()
    finally:
        job.kill()


def test_a_command_that_ends_has_not_started_though_an_earlier_ones_job_runs(
    cluster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dead_command.py").write_text("raise SystemExit('lineage: no')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = JobProcess(tmp_path / "lineage.yaml", tmp_path, 1, os.environ, cluster_url=cluster_url)
    with pytest.raises(JobError, match="did not start: no"):
        job.start(entry=("dead_command",))
