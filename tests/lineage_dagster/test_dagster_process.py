"""The embedded Dagster as it is: webserver, daemon and code server over real files, asked and looked at as people do.

What the pages show is proven over GraphQL, where they get it from; with a Chromium on the machine also in their text.
`LINEAGE_PICTURES=docs/images pytest tests/lineage_dagster/test_dagster_process.py -k person` renews the
pictures of the docs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser

from lineage_dagster.summary import SUMMARY_JOB
from lineage_pipeline.errors import ProcessError
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.ports import free_ports
from tests.books.index_files import put
from tests.books.lake_tables import data_file, hour, span
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.pages import CHROMIUM, chromium, look
from tests.lineage_dagster.switched_off import switch_off

pytestmark = pytest.mark.e2e

SELDOM = {"books": ["index"], "every": 86_400}  # audited on request only
SENTENCE = "partition 9, offsets 5000 to 5299 (300 missing"
REPORT = "https://reports.example.org/kafka_topic=payments/report.html"
COMMAND = "Next: lineage audit --books index,broker --wait --topic payments"

_CATALOG = "query Catalog { assetNodes { assetKey { path } groupName kinds dependencyKeys { path } } }"
_CHECKS = """query Checks($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation {
    description severity metadataEntries { label ... on TableMetadataEntry { table { records } } } } } } } } } } }"""
_PAGE = """query Page($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  assetMaterializations(limit: 1) { metadataEntries { label ... on TableMetadataEntry { table { records } }
    ... on MarkdownMetadataEntry { mdStr } } } } } }"""
_TAGS = "query Tags { runsOrError { ... on Runs { results { tags { key value } } } } }"
_TIMES = "query Times($run: ID!) { runOrError(runId: $run) { ... on Run { startTime endTime } } }"


def _process(directory: Path) -> DagsterProcess:
    environ = {**os.environ, "KAFKA_TOPIC": "of-somebody-else", "DAGSTER_HOME": "/nowhere"}
    return DagsterProcess(directory / "lineage.yaml", directory / "home", directory / "log", free_ports(1)[0], environ)


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcess]:
    """A running Dagster: payments lost and doubled records, orders-v1 did not, returns never wrote; all are audited.

    On request only: the index sensor is off, it would audit each of them beside (tests/e2e/test_alerts.py has it).
    """
    directory = tmp_path_factory.mktemp("dagster")
    lake, process = Lake(directory), _process(directory)
    whole = [(number, 0, 9_000 + 13 * number) for number in range(10)]
    lossy, doubled = [*whole[:9], (9, 0, 5_000), (9, 5_300, 9_117)], (9, 7_000, 7_300)
    lake.index("orders-v1", whole)
    lake.index("payments", lossy)
    lake.index("payments", [doubled])
    for topic, spans in (("orders-v1", whole), ("payments", [*lossy, doubled])):
        put(lake.root / "output", hour(topic, "part-1"), data_file(record for one in spans for record in span(*one)))
    owned = {"payments": ["team:payments"], "orders-v1": ["team:shop"], "returns": ["team:shop"]}
    topics = [{"name": name, "owners": owners, "audit": SELDOM} for name, owners in owned.items()]
    lake.settings(*topics, alerts={"reports_url": "https://reports.example.org"})
    switch_off(directory / "home", "index_files")
    with process:
        assert process.wait(process.launch_job("audit_topics")) == "FAILURE"  # a blocking check failed
        assert process.wait(process.launch_job(SUMMARY_JOB)) == "SUCCESS"
        yield process
        causes = {tag["value"] for run in process._ask(_TAGS, {})["runsOrError"]["results"] for tag in run["tags"]}
        assert "index files" not in causes
        assert process.process is not None
        main = psutil.Process(process.process.pid)
        started = [main.pid, *(one.pid for one in main.children(recursive=True))]
    assert len(started) > 3  # webserver, daemon and code server at least
    assert [pid for pid in started if psutil.pid_exists(pid)] == []
    # its parent would start it anew while everything ends, and stopping would take until patience is over
    assert "Restarting the code server" not in process.log_path.read_text()


def _checks(dagster: DagsterProcess, *key: str) -> dict[str, dict[str, Any] | None]:
    """What the Checks tab shows by check: None is `Not evaluated`."""
    node = dagster._ask(_CHECKS, {"asset": {"path": list(key)}})["assetNodeOrError"]
    return {one["name"]: one["executionForLatestMaterialization"] for one in node["assetChecksOrError"]["checks"]}


def _table(entries: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    (table,) = [one["table"] for one in entries if one["label"] == label]
    return [json.loads(record) for record in table["records"]]


def test_the_catalog_leads_from_the_topic_over_the_lake_to_its_audit(dagster: DagsterProcess):
    nodes = {"/".join(one["assetKey"]["path"]): one for one in dagster._ask(_CATALOG, {})["assetNodes"]}
    deps = {name: ["/".join(key["path"]) for key in one["dependencyKeys"]] for name, one in nodes.items()}
    for topic in ("payments", "orders-v1", "returns"):
        assert deps[f"audit/{topic}"] == [f"lake/{topic}"]
        assert deps[f"lake/{topic}"] == [f"kafka/{topic}"]
    assert sorted(deps["audit/summary"]) == ["audit/orders-v1", "audit/payments", "audit/returns"]
    assert {one["groupName"] for one in nodes.values()} == {"kafka", "lake", "audit"}
    assert {"flink", "parquet"} <= set(nodes["lake/payments"]["kinds"])


def test_a_lost_range_is_a_red_check_with_its_sentence_and_its_row(dagster: DagsterProcess):
    shown = _checks(dagster, "audit", "payments")
    states = {name: one and one["status"] for name, one in shown.items()}
    failed = {"completeness", "counts_match", "no_duplicates"}
    assert states == {name: "FAILED" if name in failed else "SUCCEEDED" for name in states}
    verdict = shown["completeness"]
    assert verdict is not None
    assert verdict["evaluation"]["severity"] == "ERROR"
    assert SENTENCE in verdict["evaluation"]["description"]
    assert verdict["evaluation"]["description"].endswith(COMMAND)
    (row,) = _table(verdict["evaluation"]["metadataEntries"], "ranges")
    assert (row["partition"], row["offsets"], row["count"]) == (9, "5000 to 5299", 300)


def test_what_nobody_could_look_at_is_red_and_not_grey(dagster: DagsterProcess):
    shown = _checks(dagster, "audit", "returns")
    assert {one and one["status"] for one in shown.values()} == {"FAILED"}
    assert {one["status"] for one in _checks(dagster, "audit", "orders-v1").values() if one} == {"SUCCEEDED"}


def test_the_summary_names_the_topic_that_lost_and_what_it_lost(dagster: DagsterProcess):
    node = dagster._ask(_PAGE, {"asset": {"path": ["audit", "summary"]}})["assetNodeOrError"]
    (entries,) = [one["metadataEntries"] for one in node["assetMaterializations"]]
    (state,) = [one["mdStr"] for one in entries if one["label"] == "state"]
    assert state.startswith("2 of 3 topics are not complete: payments (loss), returns (undetermined).")
    assert f"(/assets/audit/payments?view=checks&checkDetail=completeness) **loss**: {SENTENCE}" in state
    rows = _table(entries, "topics")
    assert [(row["topic"], row["verdict"], row["lost"]) for row in rows[::2]] == [
        ("payments", "loss", 300),
        ("orders-v1", "complete", 0),
    ]


def test_while_newer_audits_wait_and_run_one_after_the_other_the_loss_stays_red(dagster: DagsterProcess):
    runs = [dagster.launch_audit("payments") for _ in range(2)]
    shown = []
    times: list[dict[str, float]] = []
    deadline = time.monotonic() + 300
    while len([one for one in times if one["endTime"]]) < 2:
        assert time.monotonic() < deadline, "two audits of one topic never ended"
        checks = _checks(dagster, "audit", "payments").values()
        shown.append([one and one["status"] for one in checks])
        times = [dagster._ask(_TIMES, {"run": run})["runOrError"] for run in runs]
    first, second = sorted(times, key=lambda one: one["startTime"])
    assert first["endTime"] <= second["startTime"], "two audits of one topic ran at once"
    assert {tuple(one) for one in shown} == {tuple(shown[0])}, "the last verdict was hidden"
    assert len(shown) > 5


def test_an_audit_on_request_answers_with_its_verdict(dagster: DagsterProcess):
    verdict = dagster.audit("payments", ["index"])
    assert not verdict.passed
    assert SENTENCE in verdict.text
    with pytest.raises(ProcessError, match="audit/unknown"):
        dagster.audit("unknown")


PAGES = {
    "catalog": ("/assets", ["payments", "orders-v1", "summary", "Materialized"]),
    "lineage": (
        "/assets/audit/payments?view=lineage&lineageScope=neighbors&lineageDepth=2",
        ["kafka", "lake", "payments", "summary", "Materialized"],
    ),
    "check": (
        "/assets/audit/payments?view=checks&checkDetail=completeness",
        ["completeness", "Failed", SENTENCE, "5000 to 5299", COMMAND, REPORT],
    ),
    "audit": ("/assets/audit/payments?view=overview", [SENTENCE, "5000 to 5299", "Owners"]),
    "summary": ("/assets/audit/summary?view=overview", ["topics are not complete", SENTENCE, "undetermined"]),
}
# Of the pages in the docs, and how high they are; the page of an audit shows paths of this machine.
PICTURES = {"catalog": 1000, "lineage": 530, "check": 1000, "summary": 1000}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: nobody looked at the pages themselves")
@pytest.mark.parametrize("name", PAGES)
def test_a_person_sees_it_on_the_page(name: str, dagster: DagsterProcess, browser: Browser, tmp_path: Path):
    address, texts = PAGES[name]
    picture = tmp_path / f"dagster-{name}.png"
    look(browser, f"{dagster.url}{address}", texts, picture, PICTURES.get(name, 1000))
    if name in PICTURES and os.environ.get("LINEAGE_PICTURES"):
        (Path(os.environ["LINEAGE_PICTURES"]) / picture.name).write_bytes(picture.read_bytes())


def test_a_location_that_cannot_be_loaded_is_an_error_with_its_own_sentence(tmp_path: Path):
    dagster = _process(tmp_path)
    (tmp_path / "lineage.yaml").write_text("topics: [{name: t, retnetion: {data_days: 3}}]")
    with pytest.raises(ProcessError, match="did you mean `retention`"):
        dagster.start()
    assert dagster.process is not None
    assert dagster.process.poll() is not None
