"""The same harms on a real S3 server: each is found with its class and its file, and later audits only list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import SecretStr

from lineage_pipeline.audit_topic import audit_request, audit_topic, audit_twice
from lineage_pipeline.books.s3_store import S3ObjectStore
from lineage_pipeline.books.source_positions import read_positions
from lineage_pipeline.core.flink_metadata import SourcePosition
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import StoreError
from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from lineage_pipeline.settings import Settings, load_settings
from tests.books.index_files import day, parquet, run
from tests.books.lake_tables import data_file, hour, quarantine_file, span
from tests.checkpoint_files import in_file, metadata, operator, operator_state, splits, subtask

pytestmark = pytest.mark.e2e


class S3Lake:
    """One topic on S3: two data files, a quarantine file and their index; offsets 0 to 3,000 of partition 0."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.client = server.client()
        self.prefix = prefix
        self.settings: Settings = load_settings({"KAFKA_TOPIC": "orders", **server.environ, **self.paths()})
        self.now = datetime.now(timezone.utc)
        self.put("index", day("orders", "index-1"), parquet([run(0, 0, 1000, quarantined_count=1)]))
        self.put("index", day("orders", "index-2"), parquet([run(0, 1000, 3000)]))
        self.put("output", hour("orders", "part-1"), data_file(span(0, 0, 999)))
        self.second = data_file(span(0, 1000, 3000), compression="none", use_dictionary=False)
        self.put("output", hour("orders", "part-2"), self.second)
        self.put("quarantine", hour("orders", "bad-1"), quarantine_file([(0, 999)]))

    def paths(self) -> dict[str, str]:
        names = {"OUTPUT_PATH": "output", "OFFSET_INDEX_PATH": "index", "QUARANTINE_PATH": "quarantine"}
        names["AUDIT_PATH"] = "audit"
        return {variable: f"s3://{BUCKET}/{self.prefix}/{folder}" for variable, folder in names.items()}

    def put(self, folder: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{folder}/{key}", Body=data)

    def delete(self, folder: str, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{folder}/{key}")

    def audit(self, *, wait: bool = True) -> AuditReport:
        request = audit_request(self.settings, self.settings.topic(), ["index", "lake"])
        return audit_twice(request, self.clock, self.wait) if wait else audit_topic(request, self.clock)

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


PART_2 = hour("orders", "part-2")
Harm = Callable[[S3Lake], None]
# what is done, what the audit says, and what it names
HARMS: dict[str, tuple[Harm, list[tuple[str, str, str | None]], str]] = {
    "delete": (lambda lake: lake.delete("output", PART_2), [("[1000, 3000)", "damaged", "object-missing")], "part-2"),
    "truncate": (
        lambda lake: lake.put("output", PART_2, lake.second[:-100]),
        [("[1000, 3000)", "damaged", "object-changed")],
        "part-2 is broken",
    ),
    "overwrite, same size": (
        lambda lake: lake.put("output", PART_2, bytes(len(lake.second))),
        [("[1000, 3000)", "damaged", "object-changed")],
        "part-2 is broken",
    ),
    "overwrite, shorter": (
        lambda lake: lake.put("output", PART_2, data_file(span(0, 1000, 1700))),
        [("[1700, 3000)", "damaged", "object-changed")],
        "part-2 held them and was changed",
    ),
    "copy": (
        lambda lake: lake.put("output", hour("orders", "part-9"), lake.second),
        [("[1000, 3000)", "duplicated", None)],
        "part-9",
    ),
    "rename": (
        lambda lake: (lake.put("output", hour("orders", "part-9"), lake.second), lake.delete("output", PART_2))[0],
        [],
        "rewritten: data file " + PART_2,
    ),
    "lost index file": (
        lambda lake: lake.delete("index", day("orders", "index-1")),
        [("[0, 1000)", "unknown", "index-vanished")],
        "part-1 holds them",
    ),
    "corrupt page": (
        lambda lake: lake.put("output", PART_2, lake.second.replace(b"event         1234", b"event         1235", 1)),
        [("[1000, 3000)", "damaged", "object-changed")],
        "part-2 is broken",
    ),
    "another topic's file": (
        lambda lake: lake.put("output", hour("orders", "stranger"), data_file(span(0, 2990, 3100))),
        [("[2990, 3000)", "duplicated", None)],
        "stranger",
    ),
}


def shown(report: AuditReport) -> list[tuple[str, str, str | None]]:
    return [(str(one.range), one.range_class, one.cause) for part in report.partitions for one in part.ranges]


def told(report: AuditReport) -> str:
    texts = [one.evidence for part in report.partitions for one in part.ranges]
    return "\n".join([*texts, *report.problems, *(f"{one.kind}: {one.text}" for one in report.findings)])


def test_every_harm_to_a_lake_on_s3_is_found_with_its_class_and_file(
    s3: S3Server, topic_name: Callable[[], str]
) -> None:
    for name, (harm, expected, named) in HARMS.items():
        lake = S3Lake(s3, topic_name())
        assert (lake.audit().verdict, name) == ("complete", name)
        harm(lake)
        report = lake.audit()
        assert (name, shown(report)) == (name, expected)
        assert named in told(report), name
        lost = {one[1] for one in expected}
        verdict = "loss" if "damaged" in lost else "undetermined" if "unknown" in lost else "complete"
        assert (name, report.verdict) == (name, verdict)


def test_a_second_audit_lists_and_reads_no_object(
    s3: S3Server, topic_name: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: Counter[str] = Counter()
    ranged = S3ObjectStore.get_range

    def counted(self: S3ObjectStore, *arguments: Any) -> bytes:
        requests["get_range"] += 1
        return ranged(self, *arguments)

    monkeypatch.setattr(S3ObjectStore, "get_range", counted)
    lake = S3Lake(s3, topic_name())
    assert lake.audit().verdict == "complete"
    assert requests["get_range"] == 3  # small files: one request each
    assert lake.audit().verdict == "complete"
    assert requests["get_range"] == 3


def test_an_object_that_changes_while_it_is_read_is_not_believed(s3: S3Server, topic_name: Callable[[], str]) -> None:
    prefix = topic_name()
    store = S3ObjectStore(f"s3://{BUCKET}/{prefix}", BUCKET, prefix, _secrets(s3))
    store.put("x", b"one content")
    (listed,) = store.list()
    assert store.get_range(listed, 4, 7) == b"con"
    store.put("x", b"two content")
    with pytest.raises(Exception, match="changed since it was listed"):
        store.get_range(listed, 4, 7)


def _secrets(server: S3Server) -> dict[str, SecretStr]:
    return {name: SecretStr(value) for name, value in server.environ.items()}


def test_sql_goes_to_the_server_that_is_meant_for_s3(
    s3: S3Server, topic_name: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = S3Lake(s3, topic_name()).paths()
    right = {name: value for name, value in s3.environ.items() if name != "AWS_ENDPOINT_URL"}
    right["AWS_ENDPOINT_URL_S3"] = s3.environ["AWS_ENDPOINT_URL"]
    right["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"  # of other services
    for name, value in right.items():
        monkeypatch.setenv(name, value)
    settings = load_settings({"KAFKA_TOPIC": "orders", **right, **paths})
    assert LakeSql(settings, settings.topic()).value("SELECT count(*) FROM data") == 2_999


def test_the_positions_of_a_savepoint_on_s3_are_read(s3: S3Server, topic_name: Callable[[], str]) -> None:
    lake = S3Lake(s3, topic_name())
    state, offsets = splits({("orders", 0): 3_000})
    reader = subtask(operator_state("SourceReaderState", in_file(f"s3://{BUCKET}/{lake.prefix}/states/s-1"), offsets))
    lake.put("savepoint-1", "_metadata", metadata([operator("Source: kafka", [reader])]))
    lake.put("states", "s-1", state)
    folder = f"s3://{BUCKET}/{lake.prefix}"
    for path in (f"{folder}/savepoint-1", f"{folder}/savepoint-1/", f"{folder}/savepoint-1/_metadata"):
        assert read_positions(path, lake.settings.aws).positions == (SourcePosition("orders", 0, 3_000),)
    with pytest.raises(StoreError, match="is no checkpoint itself"):
        read_positions(folder, lake.settings.aws)
