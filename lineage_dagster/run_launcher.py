"""Dagster's default run launcher, which also notices runs that died with their code server.

A run is a child of the code server that started it. Dagster's own launcher never asks for it again: a run whose server
is killed stays `STARTED` and keeps its pool, so no audit of its topic could begin until dagster.yaml's
max_runtime_seconds is over. With this one run monitoring fails it after three minutes (`run_launcher` in dagster.yaml).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import grpc
from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

_ASK_SECONDS = 15
# How long a run has to be missed: a server may be away for a moment, and one whose code was reloaded answers for its
# newest child only, while a run goes on in the child before.
_PATIENCE_SECONDS = 180.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches runs on the location's code server, and says of a started one whether that server still has it."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._missed_since: dict[str, float] = {}  # by run: the first of the looks in a row that did not find it

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: run monitoring asks at each of its looks."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """NOT_FOUND, with the reason, once no look of the last three minutes found the run; else RUNNING."""
        reason = _missing(run)
        if reason is None:
            self._missed_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = time.monotonic()
        if now - self._missed_since.setdefault(run.run_id, now) < _PATIENCE_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._missed_since[run.run_id]
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, reason)


def _missing(run: DagsterRun) -> str | None:
    """Why the run cannot be running any more; None while it may."""
    if GRPC_INFO_TAG not in run.tags:
        return None  # started in another way: max_runtime_seconds has to do
    server = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(
        port=server.get("port"),
        socket=server.get("socket"),
        host=server.get("host"),
        use_ssl=bool(server.get("use_ssl", False)),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=_ASK_SECONDS)
    except DagsterUserCodeUnreachableError as error:
        told = error.__cause__
        gone = isinstance(told, grpc.RpcError) and told.code() == grpc.StatusCode.UNAVAILABLE
        return "the code server that started it is not there" if gone else None  # busy, or in trouble: it may live
    if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
        return None
    return "the code server was started anew and does not know it"
