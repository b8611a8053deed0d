"""Runs that die with their code server, on a real one: run monitoring of the instances that we ship must see it."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import RunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._grpc.client import DagsterGrpcClient

from lineage_dagster import run_launcher
from lineage_dagster.run_launcher import WatchedRunLauncher
from lineage_pipeline.local.dagster_instance import write_instance
from lineage_pipeline.local.ports import HOST, free_ports
from lineage_pipeline.local.processes import ManagedProcess

LOCATION = "sleeping"
CODE = """
import time
import dagster as dg

@dg.op(pool="audit_payments")
def sleep():
    time.sleep(600)

@dg.job(executor_def=dg.in_process_executor)
def sleeper():
    sleep()

defs = dg.Definitions(jobs=[sleeper])
"""


class Server:
    """A code server with the job `sleeper`, on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "sleeping.py").write_text(CODE)
        (self.port,) = free_ports(1)
        self.start()

    def start(self) -> None:
        command = [*(sys.executable, "-m", "dagster", "api", "grpc", "-h", HOST, "-p", str(self.port))]
        command += ["-f", "sleeping.py", "--location-name", LOCATION]
        self._process = ManagedProcess.start(command, self._directory / "server.log", cwd=self._directory)
        client = DagsterGrpcClient(port=self.port, host=HOST)
        self._process.wait_ready(lambda: _answers(client), 60, "the code server")

    def kill(self) -> None:
        """As a container that is killed, or a machine that goes away: the runs end with it."""
        self._process.stop(0)


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        return client.ping("there?")["echo"] == "there?"
    except DagsterUserCodeUnreachableError:
        return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("launcher")


@pytest.fixture(scope="module")
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    write_instance(home)
    with dg.DagsterInstance.from_config(str(home)) as shipped:
        yield shipped


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    started = Server(home)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def daemon(instance: dg.DagsterInstance, server: Server) -> Iterator[WorkspaceProcessContext]:
    target = GrpcServerTarget(host=HOST, port=server.port, socket=None, location_name=LOCATION)
    with WorkspaceProcessContext(instance, target) as process:
        yield process


def _started(instance: dg.DagsterInstance, daemon: WorkspaceProcessContext) -> dg.DagsterRun:
    """A run that has started and sleeps."""
    workspace = daemon.create_request_context()
    job = workspace.get_code_location(LOCATION).get_repository("__repository__").get_full_job("sleeper")
    created = create_run_for_test(
        instance,
        job_name="sleeper",
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
    )
    instance.launch_run(created.run_id, workspace)
    deadline = time.monotonic() + 60
    while _now(instance, created).status != dg.DagsterRunStatus.STARTED:
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.05)
    return created


def _now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def _look(daemon: WorkspaceProcessContext) -> None:
    """One look of run monitoring, as the daemon takes it every half minute."""
    errors = list(execute_run_monitoring_iteration(daemon, logging.getLogger("monitoring")))
    assert errors == [None]


def test_runs_that_go_on_are_left_alone_and_those_that_died_with_their_code_server_fail(
    instance: dg.DagsterInstance, daemon: WorkspaceProcessContext, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_launcher, "_PATIENCE_SECONDS", 1e-9)  # then the second look decides
    run = _started(instance, daemon)
    for _ in range(3):
        _look(daemon)
    assert _now(instance, run).status == dg.DagsterRunStatus.STARTED
    alive = _now(instance, run)
    elsewhere = alive.with_tags({GRPC_INFO_TAG: '{"host": "127.0.0.1", "port": 1}'})
    looks = [elsewhere, alive, elsewhere, elsewhere]  # a miss is forgotten once the run was seen again
    assert _judged(instance.run_launcher, looks) == ["RUNNING", "RUNNING", "RUNNING", "NOT_FOUND"]

    server.kill()
    server.start()
    assert _fails_at_the_second_look(instance, daemon, run) == "the code server was started anew and does not know it"

    run = _started(instance, daemon)
    server.kill()
    assert _fails_at_the_second_look(instance, daemon, run) == "the code server that started it is not there"


def _fails_at_the_second_look(instance: dg.DagsterInstance, daemon: WorkspaceProcessContext, run: dg.DagsterRun) -> str:
    """The reason that the run's page gives."""
    _look(daemon)
    assert _now(instance, run).status == dg.DagsterRunStatus.STARTED, "one look may be bad luck"
    _look(daemon)
    assert _now(instance, run).status == dg.DagsterRunStatus.FAILURE
    said = [event.dagster_event.message or "" for event in instance.all_logs(run.run_id) if event.dagster_event]
    (failed,) = [text for text in said if "NOT_FOUND" in text]
    return failed.split("'")[1]


def test_a_miss_of_less_than_three_minutes_is_none(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(run_launcher.time, "monotonic", lambda: now[0])
    nowhere = dg.DagsterRun(job_name="sleeper", tags={GRPC_INFO_TAG: '{"host": "127.0.0.1", "port": 1}'})
    launcher, said = WatchedRunLauncher(), []
    for now[0] in (1000.0, 1030.0, 1179.0, 1180.0, 1210.0):
        said += _judged(launcher, [nowhere])
    assert said == ["RUNNING", "RUNNING", "RUNNING", "NOT_FOUND", "RUNNING"]


def test_a_server_that_is_too_busy_to_answer_may_have_the_run_still(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_launcher, "_PATIENCE_SECONDS", 1e-9)
    monkeypatch.setattr(run_launcher, "_ASK_SECONDS", 1)
    with socket.create_server((HOST, 0)) as silent:
        where = f'{{"host": "{HOST}", "port": {silent.getsockname()[1]}}}'
        waiting = dg.DagsterRun(job_name="sleeper", tags={GRPC_INFO_TAG: where})
        assert _judged(WatchedRunLauncher(), [waiting] * 2) == ["RUNNING"] * 2


def test_a_run_that_another_launcher_started_is_not_judged():
    foreign = dg.DagsterRun(job_name="sleeper")
    assert _judged(WatchedRunLauncher(), [foreign] * 3) == ["RUNNING"] * 3


def _judged(launcher: RunLauncher[dg.DagsterInstance], looks: list[dg.DagsterRun]) -> list[str]:
    return [launcher.check_run_worker_health(run).status.value for run in looks]
