"""Tables with keys and headers that the job wrote once: exact schemas, exact values; and what a repair would write.

tests/golden/write_tables.py made them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lineage_pipeline.books.table_files import TableWriter, data_schema, quarantine_schema
from lineage_pipeline.core.key_schema import key_schema, with_key
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.core.table_rows import KafkaRecord, RowMaker
from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.locate_command import locate_command
from lineage_pipeline.settings import load_settings
from tests.golden import keyed

HERE = Path(__file__).parent / "keyed"
TIME = pa.timestamp("ms")
COORDINATES = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("kafka_timestamp", TIME)]
KEY, HEADERS = ("kafka_key", pa.binary()), ("kafka_headers", pa.map_(pa.string(), pa.binary()))
SCHEMAS = {
    "data": [
        ("amount", pa.int64()),
        ("note", pa.string()),
        *COORDINATES,
        KEY,
        *zip(keyed.KEY_COLUMNS, (pa.string(), pa.int64(), pa.date32(), pa.float64()), strict=True),
        HEADERS,
    ],
    "quarantine": [*COORDINATES, ("error", pa.string()), ("payload", pa.binary()), KEY, HEADERS],
}
SCHEMA = with_key(record_schema("avro", keyed.SCHEMA), key_schema("avro", json.dumps(keyed.KEY_SCHEMA)), headers=True)


def files(table: str) -> list[Path]:
    found = sorted((HERE / table).rglob("part-*"))
    assert found, f"the golden {table} is gone"
    return found


def golden(table: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in files(table)])


def repaired() -> dict[str, bytes]:
    """Both tables, as a repair writes them."""
    rows = RowMaker(SCHEMA)
    tables = {"data": TableWriter(data_schema(SCHEMA)), "quarantine": TableWriter(quarantine_schema(SCHEMA))}
    for offset, one in enumerate(keyed.RECORDS):
        row = rows.row(0, KafkaRecord(offset, one.timestamp, 0, one.value, one.key, one.headers))
        tables[row.table].add(row.values, row.size)
    return {name: writer.finish() for name, writer in tables.items()}


@pytest.mark.parametrize("table", SCHEMAS)
def test_columns_types_and_order_are_the_contracts_with_key_and_headers_behind_them(table: str) -> None:
    for path in files(table):
        assert [(field.name, field.type) for field in pq.read_schema(path)] == SCHEMAS[table]
    assert [(field.name, field.type) for field in pq.read_schema(pa.BufferReader(repaired()[table]))] == SCHEMAS[table]


def test_data_has_keys_headers_and_tombstones_exactly() -> None:
    assert keyed.comparable(golden("data")) == keyed.expected(keyed.data_rows())


def test_the_quarantine_keeps_key_and_headers_as_they_came() -> None:
    assert keyed.comparable(golden("quarantine")) == keyed.expected(keyed.quarantine_rows())


def test_the_index_counts_every_record() -> None:
    (run,) = golden("offset_index").to_pylist()
    counts = (run["min_offset"], run["max_offset"], run["record_count"], run["quarantined_count"])
    assert counts == (0, len(keyed.RECORDS) - 1, len(keyed.RECORDS), len(keyed.quarantine_rows()))


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_repair_writes_the_rows_that_the_job_wrote(table: str) -> None:
    mine = pq.read_table(pa.BufferReader(repaired()[table]), partitioning=None)
    assert keyed.comparable(mine) == keyed.comparable(golden(table))
    assert repaired()[table] == repaired()[table]


def test_the_parquet_map_is_the_jobs_up_to_names() -> None:
    mine = pq.ParquetFile(pa.BufferReader(repaired()["data"]))
    theirs = pq.ParquetFile(files("data")[0])

    def leaves(file: Any) -> list[tuple[Any, ...]]:
        columns = [file.schema.column(number) for number in range(len(file.schema))]
        return [
            (one.path, one.physical_type, str(one.logical_type), one.max_definition_level, one.max_repetition_level)
            for one in columns
        ]

    assert leaves(mine) == leaves(theirs)


def test_lineage_locate_shows_key_and_headers_of_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"output": "data", "quarantine": "quarantine", "offset_index": "offset_index"}
    listed = ", ".join(f"{name}: {HERE / folder}" for name, folder in paths.items())
    (tmp_path / "lineage.yaml").write_text(
        f"topics: [{{name: {keyed.TOPIC}, paths: {{{listed}, audit: audit}}}}]", encoding="utf-8"
    )
    done = CliRunner().invoke(locate_command, ["0", "0", "--record", "--json"], env={"KAFKA_TOPIC": None})
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)["record"]
    assert record["kafka_key"] == keyed.key(1).hex()
    assert record["kafka_headers"] == {"trace-id": "00ff", "retry": "32", "empty": "", "null": None, "Ünï": "78"}
    done = CliRunner().invoke(locate_command, ["0", "6", "--record", "--json"], env={"KAFKA_TOPIC": None})
    record = json.loads(done.stdout)["record"]
    assert (record["kafka_key"], record["kafka_headers"], record["error"][:14]) == ("", {}, "key-truncated:")


def test_lineage_sql_finds_a_header_by_its_name_and_what_a_tombstone_deletes(tmp_path: Path) -> None:
    config = tmp_path / "lineage.yaml"
    paths = {"output": "data", "quarantine": "quarantine", "offset_index": "offset_index"}
    listed = ", ".join(f"{name}: {HERE / folder}" for name, folder in paths.items())
    config.write_text(f"topics: [{{name: {keyed.TOPIC}, paths: {{{listed}}}}}]", encoding="utf-8")
    settings = load_settings({}, config)
    lake = LakeSql(settings, settings.topic())
    try:
        asked = "SELECT kafka_key_id, decode(kafka_headers['why']) FROM data_deduplicated WHERE amount IS NULL"
        relation = lake.query(f"{asked} AND kafka_key IS NOT NULL")
        assert relation is not None
        assert relation.fetchall() == [(1, "deleted")]
        assert lake.value("SELECT count(*) FROM quarantine_deduplicated WHERE kafka_key IS NOT NULL") == 5
    finally:
        lake.close()
