"""Dagster as a process of the embedded stack: webserver, daemon and code server under a guard, asked over GraphQL."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, final
from urllib.parse import quote
from urllib.request import Request, urlopen

from lineage_pipeline.errors import ProcessError, SetupError
from lineage_pipeline.local.dagster_instance import LOCATION, write_instance
from lineage_pipeline.local.ports import HOST
from lineage_pipeline.local.processes import ManagedProcess

START_SECONDS = 300.0  # 30 on an idle machine; five times that when two cores are shared with Flink
AUDIT_SECONDS = 300.0
STOP_SECONDS = 30.0
CHECK = "completeness"
_HTTP_SECONDS = 30.0
_POLL_SECONDS = 0.5
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
_KEPT = {"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
_REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}

_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_LOADED = """query Loaded { workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename
  ... on PythonError { message errorChain { error { message } } } } } } } }"""
_NODE = """query Node($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode { opName
  assetChecksOrError { ... on AssetChecks { checks { name } } } } } }"""
_RESULTS = """query Results($asset: AssetKeyInput!, $check: String!) {
  assetCheckExecutions(assetKey: $asset, checkName: $check, limit: 25) {
    runId evaluation { success description } } }"""


def require_dagster(way_out: str = "") -> None:
    """Raise SetupError when Dagster is not installed. `way_out`: how to do without it."""
    if find_spec("dagster") is None or find_spec("dagster_webserver") is None:
        raise SetupError(f"Dagster is not installed: in the checkout, pip install -e '.[dagster]'{way_out}")


@dataclass(frozen=True)
class DagsterVerdict:
    """What the UI shows about one audit: `checks` says per check whether it passed; `text` is the verdict's sentence.

    `url` opens the check.
    """

    passed: bool
    text: str
    checks: Mapping[str, bool]
    url: str


@final
class DagsterProcess:
    """One Dagster over the topics of `config`, with its state in `home` and its web page on `port` of 127.0.0.1.

    `environ` is a process environment whose settings do not count; `aws` are the AWS_* settings of an embedded lake.
    """

    def __init__(
        self,
        config: Path,
        home: Path,
        log_dir: Path,
        port: int,
        environ: Mapping[str, str],
        aws: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._home = home.absolute()
        self._log = log_dir.absolute() / "dagster.log"
        self._port = port
        # Only what a process needs: a stray KAFKA_TOPIC or DAGSTER_HOME must not divert the embedded location.
        kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith("PYTHON")}
        self._environ = {**kept, **aws, "LINEAGE_CONFIG": str(config.absolute()), "DAGSTER_HOME": str(self._home)}
        self._process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        """The web page."""
        return f"http://{HOST}:{self._port}"

    @property
    def log_path(self) -> Path:
        """What webserver and daemon say."""
        return self._log

    @property
    def process(self) -> ManagedProcess | None:
        """The process, None before the start."""
        return self._process

    def check_url(self, topic: str, check: str = CHECK) -> str:
        """The page of one check of audit/<topic>."""
        return f"{self.url}/assets/audit/{quote(topic)}?view=checks&checkDetail={check}"

    def start(self, hold: Sequence[int] = ()) -> DagsterProcess:
        """Start it and return once the page answers and the location is loaded.

        Raises ProcessError, with the log's end or the location's own error, when that does not happen.
        """
        workspace = write_instance(self._home)
        command: list[str | Path] = [
            *(sys.executable, "-m", "lineage_dagster.serve", "-w", workspace),
            *("-h", HOST, "-p", str(self._port), "--log-level", "warning"),
        ]
        self._process = ManagedProcess.start(
            command, self._log, env=self._environ, cwd=self._home, hold=hold, grace=STOP_SECONDS
        )
        try:
            self._process.wait_ready(self._answers, START_SECONDS, "Dagster")
            self._require_loaded()
        except ProcessError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End webserver, daemon, code server and running audits."""
        if self._process is not None:
            # A code server that is ended by anyone else is started again by its parent.
            self._process.end_in_order(STOP_SECONDS)
            self._process.stop()

    def __enter__(self) -> DagsterProcess:
        return self if self._process is not None else self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def audit(self, topic: str, books: Sequence[str] = (), timeout: float = AUDIT_SECONDS) -> DagsterVerdict:
        """Materialise audit/<topic> as the UI's button does and return what the UI then shows.

        `books` instead of those of the settings. Raises ProcessError when no verdict comes of it.
        """
        run = self.launch_audit(topic, books)
        self.wait(run, timeout)
        return self._verdict(topic, run)

    def launch_audit(self, topic: str, books: Sequence[str] = ()) -> str:
        """Start what the button "Materialize" of audit/<topic> starts, and return the run's id at once."""
        asset = {"path": ["audit", topic]}
        # no checks: the audit evaluates them itself
        selected = {"jobName": "__ASSET_JOB", "assetSelection": [asset], "assetCheckSelection": []}
        config = {"books": list(books)} if books else {}
        return self._launch(selected, {"ops": {self._node(topic)["opName"]: {"config": config}}})

    def launch_job(self, name: str) -> str:
        """Start one of the location's jobs with its defaults, and return the run's id at once."""
        return self._launch({"jobName": name}, {})

    def wait(self, run: str, timeout: float = AUDIT_SECONDS) -> str:
        """Wait until the run has ended: SUCCESS, FAILURE or CANCELED. Raises ProcessError when it does not end."""
        deadline = time.monotonic() + timeout
        while (status := self._ask(_STATUS, {"run": run})["runOrError"]["status"]) not in _ENDED:
            if time.monotonic() > deadline:
                raise ProcessError(f"a run in Dagster took longer than {timeout:.0f} s: see {self.url}/runs/{run}")
            if self._process is not None and self._process.poll() is not None:
                raise ProcessError(f"Dagster ended during a run: see {self._log}")
            time.sleep(_POLL_SECONDS)
        return str(status)

    def _launch(self, selected: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        params = {"selector": {**_REPOSITORY, **selected}, "mode": "default", "runConfigData": config}
        answer = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise ProcessError(f"Dagster refused a run: {json.dumps(answer)[:500]}")
        return str(answer["run"]["runId"])

    def _node(self, topic: str) -> dict[str, Any]:
        node: dict[str, Any] = self._ask(_NODE, {"asset": {"path": ["audit", topic]}})["assetNodeOrError"]
        if not node.get("opName"):
            raise ProcessError(f"Dagster knows no asset audit/{topic}: is the topic in its lineage.yaml?")
        return node

    def _verdict(self, topic: str, run: str) -> DagsterVerdict:
        names = [str(one["name"]) for one in self._node(topic)["assetChecksOrError"]["checks"]]
        found = {name: self._evaluation(topic, name, run) for name in names}
        verdict = found.get(CHECK)
        if verdict is None:
            raise ProcessError(f"the audit of {topic} left no verdict in Dagster: see {self.url}/runs/{run}")
        passed = {name: one is not None and bool(one["success"]) for name, one in found.items()}
        return DagsterVerdict(passed[CHECK], str(verdict["description"]), passed, self.check_url(topic))

    def _evaluation(self, topic: str, check: str, run: str) -> dict[str, Any] | None:
        """Of that run: a sensor may have started the next audit meanwhile."""
        asset = {"path": ["audit", topic]}
        executions = self._ask(_RESULTS, {"asset": asset, "check": check})["assetCheckExecutions"]
        return next((one["evaluation"] for one in executions if one["runId"] == run), None)

    def _require_loaded(self) -> None:
        entries = self._ask(_LOADED, {})["workspaceOrError"]["locationEntries"]
        for entry in entries:
            loaded = entry["locationOrLoadError"]
            if loaded["__typename"] == "PythonError":
                raise ProcessError(f"Dagster could not load {LOCATION}: {_cause(loaded)}")

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/server_info", timeout=_HTTP_SECONDS) as answer:  # noqa: S310 - our own http address
                return "dagster_version" in dict(json.load(answer))
        except (HTTPException, OSError, ValueError, TypeError):
            return False  # not up yet

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - our own http address
        try:
            with urlopen(request, timeout=_HTTP_SECONDS) as answer:  # noqa: S310 - our own http address
                content = dict(json.load(answer))
        except (HTTPException, OSError, ValueError, TypeError) as error:
            raise ProcessError(f"Dagster at {self.url} does not answer ({error}): see {self._log}") from None
        if content.get("errors"):
            raise ProcessError(f"Dagster refused a query: {content['errors'][0].get('message')}")
        data: dict[str, Any] = content["data"]
        return data


def _cause(error: Mapping[str, Any]) -> str:
    """The first line of the innermost error, without the name of its class."""
    chain = [one["error"]["message"] for one in error.get("errorChain") or ()]
    said = [line.strip() for line in (chain or [error["message"]])[-1].splitlines() if line.strip()]
    return said[0].partition("Error: ")[2] or said[0] if said else "it gave no reason"
