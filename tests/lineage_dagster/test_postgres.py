"""What larger installations run: Dagster's storage in PostgreSQL, and a web page that people may look at only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from lineage_dagster import names
from lineage_dagster.alerts import alert_sensor
from lineage_dagster.channels import Notifier
from lineage_dagster.check_history import latest_results
from lineage_dagster.triggers import AUDIT_JOB
from lineage_pipeline.local.ports import HOST, free_ports
from lineage_pipeline.local.processes import ManagedProcess
from lineage_pipeline.settings import without_settings
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.postgres_server import PROGRAMS, Server, postgres_server
from tests.lineage_dagster.receiver import Receiver

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL on this machine: only SQLite was tried"),
]

ROOT = Path(__file__).parents[2]
KEY = dg.AssetCheckKey(dg.AssetKey(["audit", "payments"]), names.COMPLETENESS)
START_SECONDS = 300.0

_CHECKS = """query Checks { assetNodeOrError(assetKey: {path: ["audit", "payments"]}) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation {
    description } } } } } } } }"""
_LAUNCH = """mutation Launch { launchRun(executionParams: {mode: "default", selector: {jobName: "audit_topics",
  repositoryLocationName: "lineage_dagster", repositoryName: "__repository__"}}) { __typename } }"""
_WIPE = (
    """mutation Wipe { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["audit", "payments"]}}]) { __typename } }"""
)
_START = """mutation Start { startSensor(sensorSelector: {sensorName: "alerts",
  repositoryLocationName: "lineage_dagster", repositoryName: "__repository__"}) { __typename } }"""
_DELETE = "mutation Delete($run: String!) { deletePipelineRun(runId: $run) { __typename } }"


@dataclass(frozen=True)
class Home:
    """An instance directory as docs/dagster.yaml describes it for PostgreSQL, and a lake with a loss."""

    directory: Path
    lake: Lake
    server: Server

    @property
    def environ(self) -> dict[str, str]:
        """Of every process of this Dagster."""
        config = {"LINEAGE_CONFIG": str(self.directory / "lineage.yaml"), "DAGSTER_HOME": str(self.directory)}
        return {**without_settings(os.environ), **self.server.environ, **config}


def _with_postgres(text: str) -> str:
    """docs/dagster.yaml with its variant for PostgreSQL switched on, as a person would do it."""
    lines = text.splitlines()
    first = lines.index("# storage:")
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("#"))
    return "\n".join([*lines[:first], *(line.removeprefix("# ") for line in lines[first:last]), *lines[last:]])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    directory = tmp_path_factory.mktemp("postgres")
    (directory / "dagster.yaml").write_text(_with_postgres((ROOT / "docs" / "dagster.yaml").read_text()))
    shutil.copy(ROOT / "workspace.yaml", directory)
    lake = Lake(directory)
    lake.index("payments", [(9, 0, 5000), (9, 5300, 6000)])
    with postgres_server(directory / "postgres.log") as server:
        yield Home(directory, lake, server)


@pytest.fixture
def stored(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance on PostgreSQL."""
    for name, value in home.server.environ.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(home.directory)) as instance:
        assert type(instance.event_log_storage).__module__.startswith("dagster_postgres")
        yield instance


def test_a_loss_is_stored_and_told_and_outlives_a_run_that_died(
    home: Home, stored: dg.DagsterInstance, receiver: Receiver
):
    hook = {"name": "hook", "webhook": {"env": "HOOK"}, "allow_private": True}
    settings = home.lake.settings("payments", alerts={"channels": [hook]})
    definitions = home.lake.definitions("payments")
    home.lake.audit(definitions, "payments", stored)
    dead = stored.create_run_for_job(definitions.resolve_job_def(AUDIT_JOB))
    stored.report_run_failed(dead, "the machine went away")
    found = latest_results(stored, [KEY])[KEY]
    assert (found.state, found.metadata["incident"]["lost"]) == ("failed", 300)
    assert "The newest audit did not finish" in found.text
    for _ in range(2):
        notifier = Notifier(settings.alerts, {"HOOK": receiver.url})
        alert_sensor(settings)(dg.build_sensor_context(stored, resources={"notifier": notifier}))
    assert [(one["kind"], one["lost"]) for one in receiver.got] == [("opened", 300)]


def _post(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, {"said": error.read().decode(errors="replace")}


def test_a_read_only_page_shows_the_loss_and_changes_nothing(home: Home, stored: dg.DagsterInstance):
    home.lake.settings("payments")
    home.lake.audit(home.lake.definitions("payments"), "payments", stored)
    port = free_ports(1)[0]
    url = f"http://{HOST}:{port}"
    module = "from dagster_webserver.cli import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", module, "--read-only", "-h", HOST, "-p", str(port)]
    arguments = [*command, "-w", home.directory / "workspace.yaml"]

    def answers() -> bool:
        try:
            with urlopen(f"{url}/server_info", timeout=30) as answer:
                return bool(json.load(answer)["dagster_version"])
        except (URLError, OSError, ValueError):
            return False

    process = ManagedProcess.start(arguments, home.directory / "web.log", env=home.environ, cwd=home.directory)
    with process:
        process.wait_ready(answers, START_SECONDS, "the read-only page")
        _, shown = _post(f"{url}/graphql", {"query": _CHECKS})
        checks = shown["data"]["assetNodeOrError"]["assetChecksOrError"]["checks"]
        (verdict,) = [one["executionForLatestMaterialization"] for one in checks if one["name"] == KEY.name]
        assert verdict["status"] == "FAILED"
        assert "partition 9, offsets 5000 to 5299 (300 missing" in verdict["evaluation"]["description"]

        runs = stored.get_runs()
        for mutation in (_LAUNCH, _WIPE, _START, _DELETE):
            variables = {"run": runs[0].run_id} if mutation is _DELETE else {}
            _, refused = _post(f"{url}/graphql", {"query": mutation, "variables": variables})
            assert "data" in refused, refused
            assert [one["__typename"] for one in refused["data"].values()] == ["UnauthorizedError"]
        for kind in ("materialization", "check", "observation"):
            body = {"check_name": KEY.name, "passed": True} if kind == "check" else {}
            status, _ = _post(f"{url}/report_asset_{kind}/audit/payments", body)
            assert status in {401, 403}, f"{kind}: {status}"
        assert [run.run_id for run in stored.get_runs()] == [run.run_id for run in runs]
        assert latest_results(stored, [KEY])[KEY].state == "failed"
