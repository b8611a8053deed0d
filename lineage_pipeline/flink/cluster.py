"""A job on a running Flink cluster, through the cluster's REST interface: find, watch, stop.

The job outlives the command that submitted it. So a start looks first whether the topic's job runs there already, and
watches that one instead of submitting a second writer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from lineage_pipeline.errors import JobError, SettingsError, StartRefusedError
from lineage_pipeline.flink.failures import failure_sentence

SILENT_SECONDS = 90.0  # so long a cluster may not answer, while its JobManager is started again, say
STOP_SECONDS = 600.0  # a savepoint under backpressure takes its time
_ANSWER_SECONDS = 15.0
_PAUSE_SECONDS = 0.5
_NOT_FOUND = 404
_OVER = frozenset({"FINISHED", "CANCELED", "FAILED", "SUSPENDED"})
_PREFIX, _PASSING = "flink-lineage", " behind deleted records"


def job_name(topic: str, writer: str, *, passing: bool = False) -> str:
    """The name under which Flink shows the job, and by which a later start finds it.

    A `passing` job goes on behind deleted records and must not stay (see run_job).
    """
    return f"{_PREFIX} {topic} {writer}{_PASSING if passing else ''}"


@dataclass(frozen=True)
class FoundJob:
    """A job of a topic that runs on a cluster: Flink's id of it, and the deployment that it is."""

    job_id: str
    writer: str
    passing: bool = False


@final
class Cluster:
    """The cluster at `url`. Raises SettingsError for what is no http(s) address."""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"FLINK_REST_URL {url!r} is no address of a cluster: write http://host:8081")
        self.url = url.rstrip("/")
        self._sleep = sleep

    def find(self, topic: str) -> FoundJob | None:
        """The topic's job, if it runs there. Raises JobError without an answer, StartRefusedError for two of them."""
        jobs = self._patiently(lambda: self._ask("/jobs/overview")).get("jobs")
        if jobs is None:
            raise JobError(f"what answers at {self.url} is no Flink cluster: check FLINK_REST_URL")
        name = re.compile(rf"{_PREFIX} {re.escape(topic)} (\S+)({_PASSING})?")
        matches = [(str(job["jid"]), name.fullmatch(str(job["name"]))) for job in jobs if job["state"] not in _OVER]
        found = [FoundJob(job_id, match[1], bool(match[2])) for job_id, match in matches if match]
        if len(found) > 1:
            listed = " and ".join(job.job_id for job in found)
            raise StartRefusedError(
                f"jobs {listed} at {self.url} both write {topic}: cancel all but one there, start again, and audit for"
                " duplicates"
            )
        return found[0] if found else None

    def state(self, job_id: str) -> str | None:
        """Flink's word for the job's state; None when the cluster does not know the job. Raises JobError."""
        answer = self._patiently(lambda: self._ask(f"/jobs/{job_id}", missing_ok=True))
        return None if answer is None else str(answer["state"])

    def failure(self, job_id: str) -> str:
        """The newest exception's stack trace, as far as the cluster still knows it."""
        answer = self._ask(f"/jobs/{job_id}/exceptions", missing_ok=True) or {}
        entries = (answer.get("exceptionHistory") or {}).get("entries") or [{}]
        return str(entries[0].get("stacktrace") or "")

    def stop_with_savepoint(self, job_id: str, folder: str) -> str:
        """Stop the job and return its savepoint's path once it is written; the job may still be committing."""
        asked = self._ask(f"/jobs/{job_id}/stop", {"targetDirectory": folder, "drain": False})
        path = f"/jobs/{job_id}/savepoints/{asked['request-id']}"
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            answer = self._patiently(lambda: self._ask(path))
            if answer["status"]["id"] == "COMPLETED":
                break
            if time.monotonic() > deadline:
                raise JobError(f"the savepoint of job {job_id} took longer than {STOP_SECONDS:.0f} s")
            self._sleep(_PAUSE_SECONDS)
        done = answer.get("operation") or {}
        if "location" not in done:
            raise JobError(str((done.get("failure-cause") or {}).get("stack-trace") or "no savepoint, and no reason"))
        return str(done["location"])

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """The answer; a cluster that is silent is asked again for a while."""
        deadline = time.monotonic() + SILENT_SECONDS
        while True:
            try:
                return ask()
            except JobError:
                if time.monotonic() > deadline:
                    raise
                self._sleep(_PAUSE_SECONDS)

    def _ask(self, path: str, body: Any = None, *, missing_ok: bool = False) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})  # noqa: S310 - http(s), as checked
        try:
            with urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - as above
                return dict(json.load(answer))
        except HTTPError as error:
            if missing_ok and error.code == _NOT_FOUND:
                return None
            raise JobError(f"the Flink cluster at {self.url} refused {path} ({error.code}): see its log") from None
        except (HTTPException, OSError, ValueError, TypeError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise JobError(
                f"the Flink cluster at {self.url} does not answer ({reason}): start it, or check FLINK_REST_URL"
            ) from None


@final
class ClusterJob:
    """One job of the topic on a cluster, as the command that waits for it sees it."""

    def __init__(self, cluster: Cluster, job_id: str, topic: str, secrets: Iterable[str]) -> None:
        self.job_id = job_id
        self._cluster = cluster
        self._topic = topic
        self._secrets = tuple(secrets)

    def check(self) -> None:
        """Return while the job runs. Raises JobError with the reason once it does not, or cannot be asked for long."""
        state = self._cluster.state(self.job_id)
        if state is not None and state not in _OVER:
            return
        if state is None:
            raise JobError(
                f"the cluster at {self._cluster.url} does not know job {self.job_id} of {self._topic} any more (its"
                " JobManager was started again): start the job again, it resumes from its last checkpoint"
            )
        if state == "FAILED":
            raise JobError(failure_sentence(self._topic, self._cluster.failure(self.job_id), self._secrets))
        raise JobError(
            f"the job for {self._topic} was ended at {self._cluster.url} by somebody else ({state}): start it again, it"
            " resumes from its last checkpoint or savepoint"
        )

    def stop(self, folder: str) -> str:
        """Stop with a savepoint below `folder` and wait until the job is FINISHED: only then its files are committed.

        Returns the savepoint's path. Raises JobError.
        """
        try:
            savepoint = self._cluster.stop_with_savepoint(self.job_id, folder)
            state = self._ended()
        except JobError as error:
            raise self._not_stopped(str(error)) from None
        if state != "FINISHED":
            known = self._cluster.failure(self.job_id) if state else ""
            raise self._not_stopped(known or f"the job is {state or 'unknown to the cluster'}")
        return savepoint

    def _ended(self) -> str | None:
        """The job's last state, once it has one; None when the cluster does not know the job any more."""
        while True:
            state = self._cluster.state(self.job_id)
            if state is None or state in _OVER:
                return state
            time.sleep(_PAUSE_SECONDS)

    def _not_stopped(self, trace: str) -> JobError:
        why = failure_sentence(self._topic, trace, self._secrets)
        return JobError(f"stopping with a savepoint failed, the next start resumes from the last checkpoint: {why}")
