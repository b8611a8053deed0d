"""The Flink job as a process of the embedded stack: `lineage job run` under a guard, with its UI on a local port."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import urlopen

from lineage_pipeline.errors import JobError, ProcessError, SetupError
from lineage_pipeline.local.ports import HOST
from lineage_pipeline.local.processes import ManagedProcess, log_tail
from lineage_pipeline.settings import without_settings

RUN_JOB = ("lineage_pipeline", "job", "run")
# Embedded jobs are short: with the first compiler only, a start costs the JVM 22 s of CPU instead of 39 (measured).
_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
START_SECONDS = 180.0
STOP_SECONDS = 120.0
_REST_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_HELD = re.compile(r"job [0-9a-f]{32} of deployment ")  # how flink/job.py begins to say which job it watches


class JobProcess:
    """One run of the job. `config` is its lineage.yaml; its log and Flink's go to `log_dir`.

    `environ` is a process environment whose settings do not count; `aws` are the AWS_* settings of an embedded lake.
    With `cluster_url` the job is submitted to that cluster instead of running in the process itself.
    """

    def __init__(
        self,
        config: Path,
        log_dir: Path,
        rest_port: int,
        environ: Mapping[str, str],
        aws: Mapping[str, str] = MappingProxyType({}),
        cluster_url: str | None = None,
    ) -> None:
        self._config = config
        self._log_dir = log_dir
        self._port = rest_port
        # Settings come from the file alone: a stray KAFKA_TOPIC or OUTPUT_PATH must not divert the embedded job.
        self._environ = {"JDK_JAVA_OPTIONS": _JVM_OPTIONS, **without_settings(environ), **aws}
        if cluster_url is not None:
            self._environ["FLINK_REST_URL"] = cluster_url
        self._cluster_url = cluster_url
        self._process: ManagedProcess | None = None
        self._mark = ""  # stands in the log, which all runs share, where the newest run begins

    @property
    def ui_url(self) -> str:
        """Flink's web UI."""
        return self._cluster_url or f"http://{HOST}:{self._port}"

    @property
    def log_path(self) -> Path:
        """What the job's command says."""
        return self._log_dir / "job.log"

    @property
    def process(self) -> ManagedProcess | None:
        """The process, also after it has ended; None before the start and after `kill`."""
        return self._process

    def start(
        self, arguments: Sequence[str] = (), hold: Sequence[int] = (), entry: Sequence[str] = RUN_JOB
    ) -> JobProcess:
        """Start the job with further `arguments` and return once all of its tasks run.

        `entry` is the module to run and its first words. A run before this one is ended first. Raises JobError, with
        the job's own last sentence, when it does not come up.
        """
        self.kill()  # one that has ended by itself still holds its pipes
        command = [
            *(sys.executable, "-m", *entry, "--config", str(self._config.absolute())),
            *("--rest-port", str(self._port), "--log-dir", str(self._log_dir.absolute()), *arguments),
        ]
        self._mark_log()
        self._process = ManagedProcess.start(command, self.log_path, env=self._environ, hold=hold)
        try:
            self._process.wait_ready(self._runs, START_SECONDS, "the Flink job")
        except ProcessError:
            self.kill()
            raise JobError(f"the Flink job did not start: {self.last_words()}") from None
        return self

    def stop(self) -> None:
        """Stop with a savepoint and wait until its files are committed.

        Does nothing when the job is stopped or was never started. Raises JobError when stopping failed, and also when
        the job had failed before.
        """
        if self._process is None:
            return
        # Its JVM is in the same group and must live until the savepoint is written.
        self._process.end_in_order(STOP_SECONDS)
        code = self._process.stop()
        if code != 0:
            raise JobError(f"the Flink job did not stop cleanly (code {code}): {self.last_words()}")

    def kill(self) -> None:
        """End it like a crash: SIGKILL for the job and its JVM."""
        process, self._process = self._process, None
        if process is not None:
            process.stop(0)

    def wait_failed(self, timeout: float) -> str:
        """Wait until the job has failed by itself and return its last sentence. Raises ProcessError when it has not."""
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise ProcessError(f"the job still runs after {timeout:.0f} s, though it should have failed")
            time.sleep(_PAUSE_SECONDS)
        return self.last_words()

    def last_words(self) -> str:
        """The last `lineage: ...` sentence of the newest run, or else the end of its log."""
        said = [line.removeprefix("lineage: ") for line in self._said() if line.startswith("lineage: ")]
        return said[-1] if said else f"it gave no reason{log_tail(self.log_path)}"

    def _said(self) -> list[str]:
        """The lines of the newest run in the log; all of them when the log began anew meanwhile."""
        text = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        return (text.rpartition(self._mark)[2] if self._mark else text).splitlines()

    def _mark_log(self) -> None:
        """Tell this run from those before it: the last words of an earlier one would be a wrong reason."""
        self._mark = f"--- run {secrets.token_hex(8)}"
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("a", encoding="utf-8") as log:
                log.write(f"{self._mark}\n")
        except OSError as error:
            raise SetupError(
                f"the job's log {self.log_path} cannot be written ({error.strerror}): free space, or check the rights"
            ) from None

    def _runs(self) -> bool:
        # On a cluster the job of an earlier command may run; this command has to hold it, or else it cannot stop it.
        if self._cluster_url is not None and not any(_HELD.match(line) for line in self._said()):
            return False
        jobs = self._rest("/jobs/overview")
        return any(
            job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"]
            for job in (jobs or {}).get("jobs", [])
        )

    def _rest(self, path: str) -> dict[str, Any] | None:
        try:
            with urlopen(self.ui_url + path, timeout=_REST_SECONDS) as answer:  # noqa: S310 - our own http address
                return dict(json.load(answer))
        except (HTTPException, OSError, ValueError, TypeError):
            return None  # not up yet
