"""A standalone Flink cluster on 127.0.0.1: JobManager and TaskManager of the distribution in the PyPI wheel.

Both run under a guard and by the distribution's own scripts; configuration, plugins and logs are in one directory. They
are for one machine and a person to look at: no high availability, so a new JobManager knows no job.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import final
from urllib.request import urlopen

from lineage_pipeline.errors import ProcessError
from lineage_pipeline.flink.distribution import Role, command, environment, set_up
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import HOST, free_ports
from lineage_pipeline.local.processes import ManagedProcess

START_SECONDS = 120.0
_ANSWER_SECONDS = 5.0
# Nothing else of this process's environment: passwords in it are not the cluster's.
_KEPT = {"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER"}
# As for the job in one process: the second compiler competes with the tasks for a small machine's cores.
_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_ROLES: tuple[Role, ...] = ("jobmanager", "taskmanager")


@final
class FlinkCluster:
    """One JobManager and one TaskManager with `slots` slots, kept in `directory`; S3 with `s3_jars` and `s3_options`.

    A context manager: started on entry, stopped on exit.
    """

    def __init__(
        self,
        directory: Path,
        java: Java,
        slots: int = 1,
        s3_jars: Sequence[Path] = (),
        s3_options: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory.absolute()
        self._java = java
        self._slots = slots
        self._s3_jars = s3_jars
        self._s3_options = dict(s3_options or {})
        self._rest, self._rpc = free_ports(2)
        self._processes: dict[Role, ManagedProcess] = {}
        self._hold: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """The JobManager's REST address and web UI: what FLINK_REST_URL means."""
        return f"http://{HOST}:{self._rest}"

    @property
    def log_dir(self) -> Path:
        """Where both log."""
        return self._directory / "log"

    def process(self, role: Role) -> ManagedProcess:
        """The `jobmanager` or the `taskmanager`, also after it has ended."""
        return self._processes[role]

    def start(self, hold: Sequence[int] = ()) -> FlinkCluster:
        """Start what does not run and return once the slots are there. `hold` as in ManagedProcess.start.

        Raises SetupError for an unusable directory or a missing distribution, ProcessError when it does not come up.
        """
        self._hold = tuple(hold) or self._hold
        if not self._processes:
            set_up(self._directory, self._options(), self._s3_jars)
            self._processes = {role: self._run(role) for role in _ROLES}
        self.revive()
        try:
            self._processes["jobmanager"].wait_ready(self._ready, START_SECONDS, "the Flink cluster")
        except BaseException:
            self.stop()
            raise
        return self

    def revive(self) -> list[Role]:
        """Start what has ended by itself; says which. Does not wait until it is up."""
        dead = [role for role in _ROLES if role in self._processes and self._processes[role].poll() is not None]
        for role in dead:
            self._processes[role].stop(0)  # it still holds its guard and pipes
            self._processes[role] = self._run(role)
        return dead

    def stop(self) -> None:
        """End both, the TaskManager first."""
        for role in reversed(_ROLES):
            process = self._processes.pop(role, None)
            if process is not None:
                process.stop()

    def __enter__(self) -> FlinkCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, role: Role) -> ManagedProcess:
        environ = {name: value for name, value in os.environ.items() if name in _KEPT}
        environ |= environment(self._directory, self._java.home)
        return ManagedProcess.start(command(role), self.log_dir / f"{role}.out", env=environ, hold=self._hold)

    def _options(self) -> dict[str, str]:
        return {
            "jobmanager.rpc.address": HOST,
            "jobmanager.bind-host": HOST,
            "jobmanager.rpc.port": str(self._rpc),
            "taskmanager.host": HOST,
            "taskmanager.bind-host": HOST,
            "taskmanager.numberOfTaskSlots": str(self._slots),
            "rest.address": HOST,
            "rest.bind-address": HOST,
            "rest.port": str(self._rest),
            **{f"env.java.opts.{role}": _JVM_OPTIONS for role in _ROLES},
            **self._s3_options,
        }

    def _ready(self) -> bool:
        dead = [role for role, process in self._processes.items() if process.poll() is not None]
        if dead:
            raise ProcessError(f"the {dead[0]} of the Flink cluster ended: see {self.log_dir}")
        try:
            with urlopen(f"{self.url}/overview", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - our own http address
                return int(json.load(answer)["slots-total"]) >= self._slots
        except (HTTPException, OSError, ValueError, KeyError, TypeError):
            return False
