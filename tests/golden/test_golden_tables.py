"""Tables that the job wrote once, and that every later version must read: exact schemas, exact values.

tests/golden/write_tables.py made them.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.index_file import find_rows, read_rows
from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.settings import load_settings
from tests.golden.records import BARE, FULL, MILLIS, TOPIC

HERE = Path(__file__).parent
TIME = pa.timestamp("ms")  # no zone: Flink leaves the UTC flag out, see contract "Files"
COORDINATES = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("kafka_timestamp", TIME)]
SCHEMAS = {
    "data": [
        ("uuid", pa.string()),
        ("timestamp", TIME),
        ("valid", pa.bool_()),
        ("count", pa.int32()),
        ("total", pa.int64()),
        ("ratio", pa.float64()),
        ("price", pa.decimal128(10, 2)),
        ("day", pa.date32()),
        ("hash", pa.binary()),
        ("tags", pa.string()),
        *COORDINATES,
    ],
    "quarantine": [*COORDINATES, ("error", pa.string()), ("payload", pa.binary())],
    "offset_index": [
        ("kafka_partition", pa.int32()),
        ("min_offset", pa.int64()),
        ("max_offset", pa.int64()),
        ("record_count", pa.int64()),
        ("window_start", TIME),
        ("quarantined_count", pa.int64()),
        ("window_end", TIME),
        ("max_timestamp", TIME),
        ("leader_epoch", pa.int32()),
        ("writer", pa.string()),
    ],
}


def files(table: str) -> list[Path]:
    found = sorted((HERE / table).rglob("part-*"))
    assert found, f"the golden {table} is gone"
    return found


def rows(table: str) -> list[dict[str, Any]]:
    read = pa.concat_tables([pq.read_table(path, partitioning=None) for path in files(table)]).to_pylist()
    return sorted(read, key=lambda row: (row["kafka_partition"], row.get("kafka_offset", row.get("min_offset"))))


def moment(millis: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.timezone.utc).replace(tzinfo=None) + dt.timedelta(milliseconds=millis)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_file_has_exactly_the_columns_types_and_order_of_the_contract(table: str) -> None:
    for path in files(table):
        found = pq.read_schema(path)
        assert [(field.name, field.type) for field in found] == SCHEMAS[table]


@pytest.mark.parametrize("table", SCHEMAS)
def test_timestamps_are_64_bit_milliseconds_and_never_int96(table: str) -> None:
    for path in files(table):
        with pq.ParquetFile(path) as file:
            columns = [file.schema.column(number) for number in range(len(file.schema))]
            group = file.metadata.row_group(0)
            codecs = {group.column(number).compression for number in range(group.num_columns)}
        assert "INT96" not in {column.physical_type for column in columns}
        times = [column for column in columns if "timestamp" in column.name or column.name.startswith("window_")]
        assert len(times) == (3 if table == "offset_index" else 2 if table == "data" else 1)
        for column in times:
            assert column.physical_type == "INT64"
            assert "milliseconds" in str(column.logical_type)
        assert codecs == {"ZSTD"}


@pytest.mark.parametrize(("table", "levels"), [("data", 3), ("quarantine", 2), ("offset_index", 2)])
def test_directories_are_topic_day_and_for_data_hour(table: str, levels: int) -> None:
    names = ("kafka_topic=", "dt=", "hour=")[:levels]
    for path in files(table):
        folders = path.relative_to(HERE / table).parts[:-1]
        assert len(folders) == levels
        assert all(folder.startswith(name) for folder, name in zip(folders, names, strict=True))
        assert folders[0] == f"kafka_topic={TOPIC}"


def test_data_holds_the_records_and_a_row_of_nulls_for_the_tombstone() -> None:
    full = FULL | {"timestamp": moment(MILLIS), "tags": '["é","a \\"quoted\\" one"]'}
    bare = BARE | {"timestamp": moment(MILLIS), "tags": "[]"}
    nothing = dict.fromkeys(FULL)
    assert rows("data") == [
        full | {"kafka_partition": 0, "kafka_offset": 0, "kafka_timestamp": moment(MILLIS)},
        nothing | {"kafka_partition": 0, "kafka_offset": 2, "kafka_timestamp": moment(MILLIS - 1)},
        bare | {"kafka_partition": 0, "kafka_offset": 3, "kafka_timestamp": moment(MILLIS + 5)},
        bare | {"kafka_partition": 1, "kafka_offset": 0, "kafka_timestamp": moment(1)},
    ]


def test_quarantine_holds_the_payload_as_it_came_and_why() -> None:
    first, second = rows("quarantine")
    assert (first["kafka_partition"], first["kafka_offset"], first["payload"]) == (0, 1, b"no avro")
    assert (second["kafka_partition"], second["kafka_offset"], second["payload"]) == (0, 4, b"")
    assert (first["kafka_timestamp"], second["kafka_timestamp"]) == (moment(MILLIS + 1), moment(MILLIS + 4))
    assert all(row["error"] for row in (first, second))


def test_the_index_holds_disjoint_runs_and_continues_an_island_where_it_was() -> None:
    runs = rows("offset_index")
    counted = [
        (run["kafka_partition"], run["min_offset"], run["max_offset"], run["record_count"], run["quarantined_count"])
        for run in runs
    ]
    assert counted == [(0, 0, 2, 3, 1), (0, 3, 4, 2, 1), (1, 0, 0, 1, 0)]
    assert [run["max_timestamp"] for run in runs] == [moment(MILLIS + 1), moment(MILLIS + 5), moment(1)]
    assert [run["leader_epoch"] for run in runs] == [0, 0, 0]
    assert len({run["writer"] for run in runs}) == 1
    assert all(run["window_start"] <= run["window_end"] for run in runs)
    # a continued run begins where the one before it was emitted
    assert runs[1]["window_start"] == runs[0]["window_end"]


def test_the_auditor_reads_the_index_rows_as_they_were_written() -> None:
    newest, path = max(
        (max(run["max_offset"] for run in pq.read_table(path, partitioning=None).to_pylist()), path)
        for path in files("offset_index")
    )
    (read,) = read_rows(path.name, path.read_bytes())
    seen = list(
        zip(read.partitions.tolist(), read.starts.tolist(), read.ends.tolist(), read.counts.tolist(), strict=True)
    )
    assert seen == [(0, 3, 5, 2)]
    assert read.quarantined.tolist() == [1]
    (found,) = find_rows(path.name, path.read_bytes(), 0, newest)
    assert (found.min_offset, found.max_offset, found.leader_epoch) == (3, 4, 0)
    assert found.writer == rows("offset_index")[1]["writer"]


def test_lineage_sql_reads_the_tables_with_times_in_utc(tmp_path: Path) -> None:
    paths = {"output": "data", "quarantine": "quarantine", "offset_index": "offset_index"}
    listed = ", ".join(f"{key}: {HERE / folder}" for key, folder in paths.items())
    config = tmp_path / "lineage.yaml"
    config.write_text(f"topics: [{{name: {TOPIC}, paths: {{{listed}}}}}]", encoding="utf-8")
    settings = load_settings({}, config)
    lake = LakeSql(settings, settings.topic())
    try:
        assert lake.empty == {}
        relation = lake.query('SELECT price, epoch_ms("timestamp"), hour FROM data WHERE kafka_offset = 0 ORDER BY ALL')
        assert relation is not None
        first, second = relation.fetchall()
        assert first[:2] == (Decimal("-12345678.90"), MILLIS)
        assert second[:2] == (Decimal("0.00"), MILLIS)
        assert lake.value("SELECT sum(record_count)::BIGINT FROM offset_index") == 6
        assert lake.value("SELECT count(*) FROM quarantine") == 2
    finally:
        lake.close()
