"""`lineage index rebuild`: lost index files, and lakes that others wrote, audited with the documented commands."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.audit_topic import audit_topic
from lineage_pipeline.cli import lineage
from lineage_pipeline.errors import UsageError
from lineage_pipeline.index_command import index_command
from lineage_pipeline.rebuild_index import plan_rebuild
from lineage_pipeline.remembering import ToldBaseline
from tests.books.index_files import day, parquet, put, run
from tests.books.lake_tables import data_file, hour, quarantine_file, span, written
from tests.repair_world import RepairWorld, payload

TOPIC = "orders"


class Place:
    """A directory with a lineage.yaml, as a user has it; files are two hours old."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings("")

    def settings(self, lake_files: str) -> None:
        paths = "paths: {output: lake, offset_index: index, quarantine: bad, audit: audit}"
        text = f"topics:\n  - name: {TOPIC}\n    {paths}\n"
        (self.root / "lineage.yaml").write_text(text + (f"    lake_files: {lake_files}\n" if lake_files else ""))

    def put(self, key: str, content: bytes, age: float = 7200) -> Path:
        path = put(self.root, key, content)
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    def audit(self, books: str = "index,lake") -> dict[str, Any]:
        return json.loads(CliRunner().invoke(audit_command, ["--books", books, "--json"]).stdout)

    def rebuild(self, *arguments: str) -> Result:
        return CliRunner().invoke(index_command, ["rebuild", *arguments], catch_exceptions=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_TOPIC", "LINEAGE_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


def test_lost_index_files_are_written_again_and_the_audit_is_complete(place: Place) -> None:
    place.put(f"lake/{hour(TOPIC, 'part-1')}", data_file(span(0, 0, 8)))
    place.put(f"bad/{hour(TOPIC, 'bad-1')}", quarantine_file(span(0, 8, 10)))
    place.put(f"lake/{hour(TOPIC, 'part-2')}", data_file(span(0, 10, 20)))
    lost = place.put(f"index/{day(TOPIC, 'index-1')}", parquet([run(0, 0, 10, quarantined_count=2)]))
    place.put(f"index/{day(TOPIC, 'index-2')}", parquet([run(0, 10, 20)]))
    assert place.audit()["verdict"] == "complete"
    lost.unlink()
    report = place.audit()
    assert [(one["class"], one["cause"]) for one in report["partitions"][0]["ranges"]] == [
        ("unknown", "index-vanished")
    ]

    planned = place.rebuild()
    assert (planned.exit_code, "nothing was written" in planned.stdout) == (0, True)
    assert place.audit()["verdict"] == "undetermined"
    assert place.rebuild("--execute").exit_code == 0
    report = place.audit()
    assert (report["verdict"], report["totals"]["quarantined"], report["totals"]["duplicated"]) == ("complete", 2, 0)
    assert json.loads(place.rebuild("--execute", "--json").stdout)["files"] == []


def test_what_a_job_may_still_commit_gets_no_row_unless_told(place: Place) -> None:
    place.put(f"lake/{hour(TOPIC, 'part-1')}", data_file(span(0, 0, 30)))
    place.put(f"lake/{hour(TOPIC, 'young')}", data_file(span(0, 30, 40)), age=1)
    place.put(f"index/{day(TOPIC, 'index-1')}", parquet([run(0, 0, 20)]))
    done = place.rebuild("--execute")
    assert "left: 20 offsets of partition 0, the first [20, 40), are behind" in done.stdout
    assert len(list((place.root / "index").rglob("rebuild-*"))) == 0
    done = place.rebuild("--execute", "--tail")
    assert "left: 10 offsets of partition 0, the first [30, 40), are too young" in done.stdout
    assert (place.audit()["verdict"], place.audit()["partitions"][0]["end"]) == ("complete", 30)


def test_an_index_that_is_gone_as_a_whole_is_rebuilt_when_told_that_no_job_will_write_it(place: Place) -> None:
    place.put(f"lake/{hour(TOPIC, 'part-1')}", data_file(span(0, 0, 30)))
    index = place.put(f"index/{day(TOPIC, 'index-1')}", parquet([run(0, 0, 30)]))
    assert place.audit()["verdict"] == "complete"
    index.unlink()
    assert json.loads(place.rebuild("--json").stdout)["files"] == []
    assert place.rebuild("--tail", "--execute").exit_code == 0
    assert place.audit()["verdict"] == "complete"


def test_a_lake_of_kafka_connect_is_adopted_and_its_gap_found(place: Place) -> None:
    place.settings('{data: "topics/{topic}/partition={partition}/*.parquet", offset_column: _offset}')
    for partition in (0, 1):
        for start in (0, 100, 200, 300):
            if (partition, start) != (1, 200):
                content = connect_file(start, start + 100)
                place.put(f"lake/topics/{TOPIC}/partition={partition}/{TOPIC}+{partition}+{start:010}.parquet", content)
    place.put("lake/topics/other/partition=0/other+0+0000000000.parquet", connect_file(0, 9))
    assert place.rebuild("--execute").exit_code == 0
    report = place.audit()
    assert (report["verdict"], report["totals"]["missing"], report["totals"]["actual"]) == ("loss", 100, 700)
    (gap,) = report["partitions"][1]["ranges"]
    assert (gap["start"], gap["end"], gap["class"]) == (200, 300, "missing")
    # the connector goes on: nothing else writes this index, so no --tail is needed
    place.put(f"lake/topics/{TOPIC}/partition=1/{TOPIC}+1+0000000400.parquet", connect_file(400, 450))
    assert place.rebuild("--execute").exit_code == 0
    assert place.audit()["totals"]["actual"] == 750


def connect_file(start: int, end: int) -> bytes:
    """As the sink writes it with the transformation InsertField: an offset column, the partition in the path."""
    return written(pa.table({"id": [f"{one}" for one in range(start, end)], "_offset": list(range(start, end))}))


def share_a_lake(place: Place, topics: dict[str, dict[str, str]]) -> None:
    """Topics with `lake_files` as given, in one lake, each with index and audits of its own."""
    listed = [
        {"name": name, "paths": {"output": "lake", "offset_index": f"index/{name}", "audit": f"audit/{name}"}}
        | ({"lake_files": lake_files} if lake_files else {})
        for name, lake_files in topics.items()
    ]
    (place.root / "lineage.yaml").write_text(json.dumps({"topics": listed}))


def audit_of(topic: str) -> dict[str, Any]:
    done = CliRunner().invoke(audit_command, ["--topic", topic, "--books", "index,lake", "--json"])
    return json.loads(done.stdout)


def test_a_file_that_is_two_topics_by_their_templates_proves_nothing_of_either(place: Place) -> None:
    files = {"data": "**/{topic}-{partition}-*", "offset_column": "_offset"}
    share_a_lake(place, {TOPIC: files, f"{TOPIC}-1": files, "other": files})
    mine = place.put(f"lake/{TOPIC}-1-0000000000", connect_file(0, 100))
    place.put(f"lake/{TOPIC}-1-0-0000000000", connect_file(0, 100))  # partition 0 of orders-1, or partition 1 of orders
    put(place.root, f"index/{TOPIC}/part-1", parquet([run(1, 0, 100)]))
    mine.unlink()
    report = audit_of(TOPIC)
    assert (report["verdict"], report["totals"]["unknown"]) == ("undetermined", 100)
    assert f"1 data files, the first {TOPIC}-1-0-0000000000, match the templates of {TOPIC} and" in str(
        report["problems"]
    )
    assert audit_of(f"{TOPIC}-1")["verdict"] == "undetermined"

    files = {**files, "data": "**/{topic}-{partition}-{number}"}
    share_a_lake(place, {TOPIC: files, f"{TOPIC}-1": files, "other": files})
    mine.write_bytes(connect_file(0, 100))
    put(place.root, f"index/{TOPIC}-1/part-1", parquet([run(0, 0, 100)]))
    for topic in (TOPIC, f"{TOPIC}-1"):
        report = audit_of(topic)
        assert (report["verdict"], report["totals"]["duplicated"], report["problems"]) == ("complete", 0, [])


@pytest.mark.parametrize("other", [{}, {"data": "**/part-*"}, {"data": "kafka_topic=other/**"}])
def test_a_template_without_the_topic_takes_no_other_topics_files(place: Place, other: dict[str, str]) -> None:
    share_a_lake(place, {TOPIC: {"data": "**/part-*"}, "other": other})
    place.put(f"lake/{hour('other', 'part-1')}", data_file(span(0, 0, 10)))
    put(place.root, f"index/{TOPIC}/part-1", parquet([run(0, 0, 10)]))
    report = audit_of(TOPIC)
    assert (report["verdict"], report["totals"]["unknown"]) == ("undetermined", 10)
    assert "match the templates of orders and of other" in str(report["problems"])


def test_a_column_that_tells_the_topic_lets_topics_share_files(place: Place) -> None:
    files = {"data": "**/part-*", "topic_column": "topic"}
    share_a_lake(place, {TOPIC: files, "other": files})
    columns = {"kafka_partition": [0, 0], "kafka_offset": [0, 0], "topic": [TOPIC, "other"]}
    place.put("lake/part-1", written(pa.table(columns)))
    for topic in (TOPIC, "other"):
        put(place.root, f"index/{topic}/part-1", parquet([run(0, 0, 1)]))
        assert audit_of(topic)["verdict"] == "complete"


def test_a_connect_lake_without_offset_columns_proves_nothing_and_says_so(place: Place) -> None:
    place.settings('{data: "topics/{topic}/partition={partition}/*.parquet", offset_column: _offset}')
    plain = written(pa.table({"id": ["a", "b"]}))
    place.put(f"lake/topics/{TOPIC}/partition=0/{TOPIC}+0+0000000000.parquet", plain)
    done = place.rebuild("--execute")
    assert done.exit_code == 3
    assert "no column _offset (its columns: id)" in done.stderr
    assert not (place.root / "index").exists()


def test_a_spark_table_of_several_topics_is_adopted_by_its_columns(place: Place) -> None:
    place.settings(
        "{partition_column: partition, offset_column: offset, timestamp_column: timestamp, topic_column: topic}"
    )
    for number, topics in enumerate((["orders"] * 50 + ["other"] * 50, ["other"] * 10 + ["orders"] * 10)):
        offsets = [*range(50), *range(50)] if number == 0 else [*range(100, 110), *range(50, 60)]
        table = pa.table(
            {
                "value": [b"x"] * len(offsets),
                "topic": pa.array(topics).dictionary_encode(),
                "partition": pa.array([7] * len(offsets), pa.int32()),
                "offset": pa.array(offsets, pa.int64()),
                "timestamp": pa.array([0] * len(offsets)).cast(pa.timestamp("us")),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="snappy", use_deprecated_int96_timestamps=True)
        place.put(f"lake/date=2026-11-2{number}/part-0000{number}-c000.snappy.parquet", buffer.getvalue())
    place.put("lake/_spark_metadata/0", b"v1\n{}")
    assert place.rebuild("--execute").exit_code == 0
    report = place.audit()
    assert (report["verdict"], report["partitions"][0]["partition"], report["totals"]["actual"]) == ("complete", 7, 60)


def test_rows_doubled_in_a_foreign_lake_are_doubled_in_its_index(place: Place) -> None:
    for name in ("part-1", "part-2"):
        place.put(f"lake/{hour(TOPIC, name)}", data_file(span(0, 0, 10)))
    assert place.rebuild("--execute").exit_code == 0
    assert place.audit("index")["totals"]["duplicated"] == 10
    assert place.audit()["totals"]["duplicated"] == 10


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_indexed(place: Place) -> None:
    place.put(f"lake/{hour(TOPIC, 'part-1')}", data_file(span(0, 0, 10)))
    place.put(f"lake/{hour(TOPIC, 'part-2')}", b"PAR1 no more PAR1")
    done = place.rebuild("--execute")
    assert (done.exit_code, "part-2 is broken" in done.stderr) == (3, True)
    assert place.audit("index")["totals"]["actual"] == 10


def test_a_lake_that_is_not_there_is_an_error_and_an_empty_one_says_so(place: Place) -> None:
    assert "does not exist" in str(CliRunner().invoke(index_command, ["rebuild"]).exception)
    (place.root / "lake").mkdir()
    done = place.rebuild()
    assert (done.exit_code, "check the path" in done.stderr) == (3, True)


@pytest.mark.parametrize("command", [["repair"], ["repair", "--execute"], ["verify"], ["verify", "0", "1", "2"]])
def test_what_knows_this_projects_columns_alone_refuses_the_lake_of_others(place: Place, command: list[str]) -> None:
    place.settings('{data: "topics/{topic}/partition={partition}/*.parquet", offset_column: _offset}')
    place.put(f"lake/topics/{TOPIC}/partition=0/{TOPIC}+0+0000000000.parquet", connect_file(0, 100))
    error = CliRunner().invoke(lineage, command).exception
    assert isinstance(error, UsageError)
    assert "`lake_files` of orders describes a lake that another writer laid out" in str(error)


def recreated() -> RepairWorld:
    """A topic that was created anew, its job started again; the new one lacks offsets that a file of the old one holds.

    The index of the old one and the memory of all audits are gone.
    """
    world = RepairWorld({0: [payload("a", 1)] * 20})
    world.wrote((0, 0, 20), name="old")
    world.audit()
    world.pass_time(3600)
    world.broker.topic_ids[TOPIC] = "topic-2"
    world.deploy("job-2", topic_id="topic-2")
    world.pass_time(60)
    world.wrote((0, 0, 10), (0, 15, 20), name="new", writer="job-2")
    world.pass_time(3600)
    del world.stores["index"].objects[f"kafka_topic={TOPIC}/dt=2026-11-22/old"]
    world.stores["audit"].objects.clear()
    return world


def test_files_of_a_topic_that_is_no_more_get_no_row_though_nobody_remembers_it() -> None:
    world = recreated()
    planned = plan_rebuild(world.audit_request, lambda: world.now, tail=True)
    assert (planned.rebuild.files, planned.problems) == ((), ())
    # else the audits by index and broker would call the lost ones indexed, once a person has told them a baseline
    alone = replace(world.audit_request, lake=None)
    assert alone.plan is not None
    audit_topic(replace(alone, plan=replace(alone.plan, told=ToldBaseline({}))), lambda: world.now)
    world.pass_time(3600)
    report = audit_topic(alone, lambda: world.now)
    assert (report.verdict, report.totals["missing"]) == ("loss", 5)


def test_while_a_deployment_record_cannot_be_read_nothing_is_rebuilt() -> None:
    world = recreated()
    world.stores["index"].place("_deployments/job-2.json", b"{")
    planned = plan_rebuild(world.audit_request, lambda: world.now, tail=True)
    assert (planned.rebuild.files, planned.exit_code) == ((), 3)
    assert "job-2" in planned.problems[0]
