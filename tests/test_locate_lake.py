"""Offsets located in the lake: file, row group, row, Kafka timestamp, the record; ranges; by time; harmed lakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.locate import Locator
from lineage_pipeline.locate_command import locate_command
from lineage_pipeline.locate_range import locate_range
from tests.books.index_files import day, parquet, put, run
from tests.books.lake_tables import MILLIS, data_file, hour, quarantine_file, span, written
from tests.repair_world import RepairWorld, payload

TOPIC = "orders"
PART_1, PART_2 = hour(TOPIC, "part-1"), hour(TOPIC, "part-2")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Partition 3: 0 to 7 and 10 to 29 in data files, 8 and 9 in quarantine; rows of two partitions are mixed."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_TOPIC", "LINEAGE_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    paths = "paths: {output: data, offset_index: index, quarantine: bad, audit: audit}"
    (tmp_path / "lineage.yaml").write_text(f"topics:\n  - name: {TOPIC}\n    {paths}\n")
    put(tmp_path, f"index/{day(TOPIC, 'index-1')}", parquet([run(3, 0, 10, quarantined_count=2), run(4, 0, 10)]))
    put(tmp_path, f"index/{day(TOPIC, 'index-2')}", parquet([run(3, 10, 30)]))
    mixed = [pair for offset in range(8) for pair in ((4, offset), (3, offset))]
    put(tmp_path, f"data/{PART_1}", data_file([*mixed, (4, 8), (4, 9)], row_group_size=5))
    put(tmp_path, f"data/{PART_2}", data_file(span(3, 10, 30), row_group_size=7))
    put(tmp_path, f"bad/{hour(TOPIC, 'bad-1')}", quarantine_file(span(3, 8, 10)))
    return tmp_path


def audit() -> dict[str, Any]:
    return json.loads(CliRunner().invoke(audit_command, ["--books", "index,lake", "--json"]).stdout)


def locate(*arguments: str) -> Result:
    return CliRunner().invoke(locate_command, list(arguments))


def found(*arguments: str) -> dict[str, Any]:
    done = locate(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("audited", [False, True])
@pytest.mark.parametrize("offset", [0, 5, 7, 10, 16, 17, 29])
def test_the_row_is_the_one_that_duckdb_counts_to(root: Path, offset: int, audited: bool) -> None:
    if audited:
        assert audit()["verdict"] == "complete"
    answer = found("3", str(offset), "--record")
    (place,) = answer["data_files"]
    assert place["file"] == (PART_1 if offset < 8 else PART_2)
    row = duckdb.sql(
        f"SELECT file_row_number, kafka_partition, kafka_offset FROM read_parquet('{root}/data/{place['file']}',"
        f" file_row_number = true) WHERE file_row_number = {place['row']}"
    ).fetchall()
    assert row == [(place["row"], 3, offset)]
    assert place["row_group"] == place["row"] // (5 if offset < 8 else 7)
    assert place["kafka_timestamp"] == f"2026-11-22T22:00:00.{offset:03}Z"
    assert answer["record"] == {
        "event_id": f"event {offset:>12}",
        "kafka_partition": 3,
        "kafka_offset": offset,
        "kafka_timestamp": f"2026-11-22T22:00:00.{offset:03}Z",
    }
    assert (answer["class"], answer["index_file"] is not None) == ("indexed", True)


def test_a_quarantined_record_is_found_with_its_error_and_payload(root: Path) -> None:
    answer = found("3", "9", "--record")
    assert (answer["data_files"][0]["table"], answer["data_files"][0]["row"]) == ("quarantine", 1)
    assert (answer["record"]["error"], answer["record"]["payload"]) == ("no Avro", b"?".hex())
    shown = locate("3", "9", "--record").stdout
    assert "quarantine file" in shown
    assert '| error            "no Avro"' in shown


def test_once_audited_only_the_file_itself_is_read(root: Path) -> None:
    audit()
    (root / "data" / PART_1).unlink()
    (root / "data" / PART_1).mkdir()  # whoever lists or reads it stumbles
    assert found("3", "12")["data_files"][0]["file"] == PART_2


def test_an_offset_whose_file_is_gone_is_not_found_though_the_index_has_it(root: Path) -> None:
    audit()
    (root / "data" / PART_2).unlink()
    done = locate("3", "12")
    assert (done.exit_code, "not found (pending)" in done.stdout) == (1, True)
    assert "data file " + PART_2 + " held them" in done.stdout


def test_a_file_that_was_renamed_since_the_audit_is_found_where_it_is(root: Path) -> None:
    audit()
    (root / "data" / PART_2).rename(root / "data" / hour(TOPIC, "moved"))
    assert found("3", "12")["data_files"][0]["file"] == hour(TOPIC, "moved")


def test_a_record_without_index_row_is_found_and_its_class_says_so(root: Path) -> None:
    (root / "index" / day(TOPIC, "index-1")).unlink()
    answer = found("4", "3")
    assert (answer["class"], answer["index"], len(answer["data_files"])) == (None, None, 1)
    put(root, f"index/{day(TOPIC, 'index-0')}", parquet([run(3, 0, 3)]))
    answer = found("3", "5")
    assert (answer["class"], answer["index"], answer["data_files"][0]["file"]) == ("unknown", None, PART_1)


def test_a_record_written_twice_is_found_twice(root: Path) -> None:
    put(root, f"data/{hour(TOPIC, 'copy')}", (root / "data" / PART_2).read_bytes())
    assert len(found("3", "12")["data_files"]) == 2
    assert "and 1 more" in locate("3", "12").stdout


def test_a_lake_that_cannot_be_read_leaves_the_index_entry_and_says_so(root: Path) -> None:
    (root / "data").rename(root / "elsewhere")
    done = locate("3", "12", "--json")
    assert (done.exit_code, json.loads(done.stdout)["data_files"]) == (0, [])
    assert "could not be listed" in done.stderr


def test_a_range_names_classes_and_every_file(root: Path) -> None:
    done = locate("3", "6", "12", "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["found"]) == (0, True)
    assert [(one["start"], one["end"], one["class"]) for one in answer["ranges"]] == [(6, 12, "indexed")]
    held = {(one["table"], one["file"], one["start"], one["end"]) for one in answer["data_files"]}
    bad = hour(TOPIC, "bad-1")
    assert held == {("data", PART_1, 6, 8), ("quarantine", bad, 8, 10), ("data", PART_2, 10, 12)}
    assert len(answer["index_files"]) == 2


def test_a_range_with_a_hole_and_an_end_is_not_found(root: Path) -> None:
    put(root, f"index/{day(TOPIC, 'index-3')}", parquet([run(3, 32, 35)]))
    put(root, f"data/{hour(TOPIC, 'part-3')}", data_file(span(3, 32, 35)))
    done = locate("3", "28", "40")
    assert done.exit_code == 1
    assert "offsets 28 to 39 of partition 3: 5 of 12 found" in done.stdout
    assert "30 to 31: missing (unresolved)" in done.stdout
    assert "35 to 39: not audited: outside" in done.stdout


@pytest.mark.parametrize("millis", [-5, 0, 7, 8, 15, 29])
def test_by_timestamp_the_first_record_from_then_on_is_found(root: Path, millis: int) -> None:
    moment = f"2026-11-22T22:00:00.{millis:03}+00:00" if millis >= 0 else "2026-11-22T21:59:59Z"
    answer = found("3", "--timestamp", moment, "--record")
    assert answer["record"]["kafka_offset"] == max(0, millis)


def test_by_timestamp_nothing_is_found_behind_the_last_record(root: Path) -> None:
    done = locate("3", "--timestamp", "2026-11-23T00:00:00Z")
    assert (done.exit_code, "no record of partition 3" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("3",), ("3", "5", "--timestamp", "2026-11-23T00:00:00Z"), ("3", "5", "5"), ("3", "5", "9", "--record"),
     ("3", "--timestamp", "yesterday"), ("3", "--timestamp", "2026-11-23T00:00:00")],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(root: Path, arguments: tuple[str, ...]) -> None:
    assert locate(*arguments).exit_code == 2


def test_locating_leaves_nothing_behind(root: Path) -> None:
    before = sorted(path for path in root.rglob("*"))
    locate("3", "5")
    locate("3", "5", "9")
    locate("3", "5000")
    assert sorted(path for path in root.rglob("*")) == before


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (pa.array([MILLIS, None, MILLIS + 2]), "2026-11-22T20:00:00Z"),  # integers are Kafka's milliseconds
        (pa.array(["then", "later", "last"]), None),
    ],
)
def test_a_column_of_times_that_are_no_timestamps_keeps_no_record_from_being_found(
    root: Path, times: pa.Array, shown: str | None
) -> None:
    table = pa.table({"kafka_partition": [5, 5, 5], "kafka_offset": [0, 1, 2], "kafka_timestamp": times})
    put(root, f"data/{hour(TOPIC, 'part-9')}", written(table))
    put(root, f"index/{day(TOPIC, 'index-9')}", parquet([run(5, 0, 3)]))
    stamps = [found("5", offset)["data_files"][0]["kafka_timestamp"] for offset in ("0", "1")]
    assert [stamps[0] and stamps[0][:10], stamps[1]] == [shown and shown[:10], None]
    by_time = locate("5", "--timestamp", "2026-11-01T00:00:00Z")
    if shown:
        assert (by_time.exit_code, "offset 0" in by_time.stdout) == (0, True), by_time.output
    else:
        assert (by_time.exit_code, "its column kafka_timestamp is string" in by_time.output) == (3, True)


@pytest.mark.parametrize("audited", [False, True])
@pytest.mark.parametrize("with_lake", [False, True])
def test_rows_and_files_of_a_topic_that_is_no_more_are_no_place_of_an_offset(audited: bool, with_lake: bool) -> None:
    world = RepairWorld({0: [payload("old", at) for at in range(20)]})
    world.wrote((0, 0, 20), name="old")
    world.audit()
    world.pass_time(3600)
    world.broker.topic_ids[TOPIC] = "topic-2"
    world.log[0] = [payload("new", at) for at in range(20)]
    world.deploy("job-2", topic_id="topic-2")
    world.pass_time(60)
    world.wrote((0, 0, 10), (0, 15, 20), name="new", writer="job-2")
    if audited:
        world.audit()
    request = world.audit_request if with_lake else replace(world.audit_request, lake=None)

    lost = Locator(request, world.now).locate(0, 12)
    assert (lost.found, lost.rows, lost.places) == (False, (), ())
    assert (lost.offset_class, lost.exit_code) == (("missing", 1) if audited else ("unknown", 3))
    across = locate_range(Locator(request, world.now), 0, OffsetRange(8, 17))
    assert (str(across.lacking), across.exit_code) == ("RangeSet([10, 15))", 1 if audited else 3)

    there = Locator(request, world.now).locate(0, 2, record=with_lake)
    assert [one.key[-3:] for one in there.rows] == ["new"]
    assert [one.record["text"] for one in there.places if one.record] == (["new"] if with_lake else [])

    index = world.stores["index"]
    index.place(f"kafka_topic={TOPIC}/dt=2026-11-22/nobodys", parquet([run(0, 10, 15, writer="nobody")]))
    doubtful = Locator(request, world.now).locate(0, 12)
    assert (doubtful.found, doubtful.exit_code) == (False, 3)
    assert "nobodys" in " ".join(doubtful.problems)


def test_what_the_index_once_had_and_has_no_more_is_not_called_not_found(root: Path) -> None:
    put(root, f"index/{day(TOPIC, 'index-3')}", parquet([run(5, 0, 10)]))
    CliRunner().invoke(audit_command, ["--books", "index"])
    (root / f"index/{day(TOPIC, 'index-3')}").unlink()
    (root / "lineage.yaml").write_text((root / "lineage.yaml").read_text().replace("output: data, ", ""))
    one = locate("5", "5")
    assert (one.exit_code, "cannot tell" in one.output, "(index-vanished)" in one.output) == (3, True, True)
    several = locate("5", "0", "10", "--json")
    told = [(each["start"], each["end"], each["class"], each["cause"]) for each in json.loads(several.stdout)["ranges"]]
    assert (several.exit_code, told) == (3, [(0, 10, "unknown", "index-vanished")])
    assert locate("6", "5").exit_code == 1
