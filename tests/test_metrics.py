"""Metrics of the stored reports: figures as the report has them, and nothing that looks like a figure where none is."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lineage_pipeline.cli import lineage
from lineage_pipeline.errors import PortTakenError, UsageError
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.metrics import ReportCollector
from lineage_pipeline.metrics_command import address
from lineage_pipeline.settings import load_settings

ROOT = Path(__file__).parents[1]
GOLDEN = json.loads((ROOT / "tests/golden/audit-rich.json").read_text())
NOW = datetime(2026, 11, 22, 22, 5, tzinfo=timezone.utc)  # five minutes after the golden reports
Samples = dict[tuple[str, ...], float]


class Lake:
    """The audit paths of some topics, and what `collect` makes of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.topics("t")

    def topics(self, *names: str) -> None:
        listed = [{"name": name, "audit": {"every": 300}} for name in names]
        (self.root / "lineage.yaml").write_text(yaml.safe_dump({"lake": str(self.root / "lake"), "topics": listed}))

    def store(self, topic: str, report: Any, through: Any = None) -> None:
        folder = self.root / "lake/audit" / f"kafka_topic={topic}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "latest.json").write_text(report if isinstance(report, str) else json.dumps(report))
        if through is not None:
            (folder / "complete-through.json").write_text(json.dumps(through))

    def collector(self, now: datetime = NOW) -> ReportCollector:
        return ReportCollector(load_settings({}, self.root / "lineage.yaml"), lambda: now)

    def samples(self, now: datetime = NOW) -> Samples:
        found: Samples = {}
        for family in self.collector(now).collect():
            for one in family.samples:
                found[(one.name.removeprefix("lineage_"), *one.labels.values())] = one.value
        return found

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(lineage, ["metrics", "--config", str(self.root / "lineage.yaml"), *arguments])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def through(time: str | None = "2026-11-22T21:59:00Z") -> dict[str, Any]:
    return {"format": "lineage-complete-through/1", "topic": "t", "time": time, "partitions": []}


def verdicts(samples: Samples, topic: str = "t") -> set[str]:
    return {key[2] for key, value in samples.items() if key[:2] == ("verdict", topic) and value == 1}


def only_unknown(samples: Samples, topic: str = "t") -> bool:
    """Whether nothing is said about the topic but that nothing is known."""
    said = {key for key in samples if topic in key[1:] and key[0] not in {"verdict", "report_readable"}}
    return said == set() and verdicts(samples, topic) == {"unknown"} and samples["report_readable", topic] == 0


def test_a_report_becomes_its_figures(lake: Lake) -> None:
    lake.store("t", GOLDEN, through())
    samples = lake.samples()
    (partition,) = GOLDEN["partitions"]
    assert verdicts(samples) == {"loss"}
    assert samples["partition_verdict", "t", "0", "loss"] == 1
    for name in ("indexed", "explained", "accepted", "pending", "missing", "damaged", "unknown"):
        assert samples["offsets", "t", "0", name] == partition[name]
    assert samples["duplicated_offsets", "t", "0"] == 2
    assert samples["end_offset", "t", "0"] == 33
    assert samples["complete_through_offset", "t", "0"] == 1
    assert samples["lag_offsets", "t", "0"] == 32
    assert samples["audited_timestamp_seconds", "t"] == datetime(2026, 11, 22, 22, tzinfo=timezone.utc).timestamp()
    assert samples["complete_through_timestamp_seconds", "t"] == NOW.timestamp() - 360
    assert samples["findings", "t", "duplicates", "warn"] == 1
    assert samples["book_read", "t", "broker"] == 1
    assert samples["book_read", "t", "lake"] == 0


def test_the_time_left_is_the_earliest_of_a_partition_and_there_is_none_without_a_known_limit(lake: Lake) -> None:
    report = json.loads(json.dumps(GOLDEN))
    lake.store("t", report, through())
    assert not [key for key in lake.samples() if key[0].startswith("repairable")]
    ranges = report["partitions"][0]["ranges"]
    ranges[0]["repairable_until"], ranges[1]["repairable_until"] = "2026-11-23T01:00:00Z", "2026-11-23T00:00:00Z"
    lake.store("t", report, through())
    assert lake.samples()["repairable_until_timestamp_seconds", "t", "0"] == NOW.timestamp() + 6900


def test_where_the_broker_was_not_read_nobody_knows_a_lag(lake: Lake) -> None:
    lake.store("t", {**GOLDEN, "books": {"index": "read", "broker": "unreadable", "lake": "not-consulted"}}, through())
    samples = lake.samples()
    assert not [key for key in samples if key[0] in {"lag_offsets", "end_offset"}]
    assert samples["book_read", "t", "broker"] == 0


def test_a_time_that_is_not_known_has_no_sample(lake: Lake) -> None:
    lake.store("t", GOLDEN, through(None))
    assert not [key for key in lake.samples() if key[0] == "complete_through_timestamp_seconds"]


def without(report: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != key}


@pytest.mark.parametrize(
    "report",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        '"' + "[" * 100_000,
        {**GOLDEN, "format": "lineage-audit/2"},
        {**GOLDEN, "topic": "another"},
        {**GOLDEN, "verdict": "fine"},
        {**GOLDEN, "audited_at": "yesterday"},
        {**GOLDEN, "partitions": [without(GOLDEN["partitions"][0], "missing")]},
        {**GOLDEN, "partitions": [{**GOLDEN["partitions"][0], "missing": None}]},
        {**GOLDEN, "partitions": [{**GOLDEN["partitions"][0], "verdict": None}]},
        *(without(GOLDEN, key) for key in ("verdict", "audited_at", "books", "partitions", "problems", "findings")),
    ],
)
def test_what_is_no_report_is_unknown_and_not_zero(lake: Lake, report: Any) -> None:
    if report is not None:
        lake.store("t", report, through())
    assert only_unknown(lake.samples())
    done = lake.run()
    assert done.exit_code == 3
    assert "problem: t: " in done.stderr


def test_one_bad_report_hides_no_other(lake: Lake) -> None:
    lake.topics("a", "t")
    lake.store("a", "{")
    lake.store("t", GOLDEN, through())
    samples = lake.samples()
    assert only_unknown(samples, "a")
    assert verdicts(samples) == {"loss"}


@pytest.mark.parametrize(("verdict", "later"), [("complete", "unknown"), ("undetermined", "unknown"), ("loss", "loss")])
def test_an_old_verdict_counts_no_more_but_a_loss_does_not_go_away_by_itself(
    lake: Lake, verdict: str, later: str
) -> None:
    lake.store("t", {**GOLDEN, "verdict": verdict}, through())
    limit = timedelta(seconds=3 * 300 + 180 + 900 - 300)
    assert verdicts(lake.samples(NOW + limit)) == {verdict}
    assert verdicts(lake.samples(NOW + limit + timedelta(seconds=1))) == {later}


def test_a_report_from_a_time_that_is_yet_to_come_does_not_count_until_then(lake: Lake) -> None:
    lake.store("t", {**GOLDEN, "verdict": "complete", "audited_at": "2027-11-22T22:00:00Z"}, through())
    assert verdicts(lake.samples()) == {"unknown"}
    lake.store("t", {**GOLDEN, "verdict": "complete", "audited_at": "2026-11-22T22:09:00Z"}, through())
    assert verdicts(lake.samples()) == {"complete"}  # clocks of two machines are never the same


@pytest.mark.parametrize(("verdict", "later"), [("complete", "unknown"), ("undetermined", "unknown"), ("loss", "loss")])
def test_an_old_verdict_of_a_partition_counts_no_more_either(lake: Lake, verdict: str, later: str) -> None:
    part = {**GOLDEN["partitions"][0], "verdict": verdict}
    lake.store("t", {**GOLDEN, "verdict": verdict, "partitions": [part]}, through())

    def shown(now: datetime) -> set[str]:
        found = lake.samples(now).items()
        return {key[3] for key, value in found if key[0] == "partition_verdict" and value == 1}

    assert shown(NOW) == {verdict}
    assert shown(NOW + timedelta(days=1)) == {later}


def test_stdout_is_openmetrics_and_the_file_is_what_the_textfile_collector_reads(lake: Lake, tmp_path: Path) -> None:
    lake.store("t", GOLDEN, through())
    shown = lake.run()
    assert [family.name for family in parse_openmetrics(shown.stdout)]
    path = tmp_path / "lineage.prom"
    assert lake.run("--output", str(path)).exit_code == shown.exit_code == 0
    written = {one.name for family in parse_text(path.read_text()) for one in family.samples}
    assert written == {one.name for family in parse_openmetrics(shown.stdout) for one in family.samples}
    assert list(tmp_path.glob(".*")) == []


def test_a_file_that_cannot_be_written_is_a_sentence(lake: Lake, tmp_path: Path) -> None:
    done = lake.run("--output", str(tmp_path / "no" / "such" / "lineage.prom"))
    assert "cannot be written" in str(done.exception)


def test_a_scrape_is_answered_with_what_is_stored_then(lake: Lake) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "lineage_pipeline", "metrics", "--config", str(lake.root / "lineage.yaml")]
    with subprocess.Popen([*command, "--listen", str(port)], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert server.stderr.readline() == f"metrics at http://127.0.0.1:{port}/metrics\n"
        assert 'lineage_verdict{topic="t",verdict="unknown"} 1.0' in scrape(port)
        lake.store("t", GOLDEN, through())
        assert 'lineage_offsets{class="missing",partition="0",topic="t"} 1.0' in scrape(port)
        taken = lake.run("--listen", str(port))
        assert isinstance(taken.exception, PortTakenError)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9469", ("127.0.0.1", 9469)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9469", ("::1", 9469)),
        (":80", ("127.0.0.1", 80)),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:65536", "host:x", "1:-1"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        address(text)


def names_in(text: str) -> set[str]:
    return {re.sub(r"_(count|sum|bucket)$", "", name) for name in re.findall(r"\blineage_[a-z_]+\b", text)}


@pytest.mark.parametrize("path", ["ops/prometheus/alerts.yml", "ops/grafana/lineage.json", "docs/operations.md"])
def test_rules_dashboard_and_guide_name_only_metrics_that_exist(lake: Lake, path: str) -> None:
    exported = {family.name for family in lake.collector().collect()}
    named = names_in((ROOT / path).read_text()) - {"lineage_pipeline", "lineage_dagster"}
    assert named
    assert named <= exported


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    guide = (ROOT / "docs/operations.md").read_text()
    described = set(re.findall(r"^### (Lineage\w+)$", guide, re.MULTILINE))
    assert {rule["alert"] for rule in rules} == described
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"].endswith(f"operations.md#{rule['alert'].lower()}")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine: nobody ran the alert rules")
def test_the_alert_rules_do_what_their_own_tests_say() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"],
        cwd=ROOT / "ops/prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
