"""What a repair writes is what the job wrote: same columns, types, values; and equal rows are equal bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.index_file import read_rows
from lineage_pipeline.books.table_files import TableWriter, data_schema, index_bytes, quarantine_schema
from lineage_pipeline.core.index_runs import RunBuilder
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from tests.golden.records import BATCHES, SCHEMA, Golden

GOLDEN = Path(__file__).parents[1] / "golden"
RAW = record_schema("raw")
ALL_TYPES = (Path(__file__).parents[1] / "flink" / "test_decode_all_types.avsc").read_text(encoding="utf-8")


def golden(table: str) -> pa.Table:
    paths = sorted((GOLDEN / table).rglob("part-*"))
    assert paths
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])


def in_order(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.to_pylist()
    return sorted(rows, key=lambda row: (row["kafka_partition"], row.get("kafka_offset", row.get("min_offset"))))


def payload(value: Any) -> bytes | None:
    if not isinstance(value, dict):
        return value
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(SCHEMA), value)
    return buffer.getvalue()


def golden_records() -> list[tuple[int, int, Golden]]:
    """Partition, offset and record of everything that the golden job read."""
    found: list[tuple[int, int, Golden]] = []
    for batch in BATCHES:
        for record in batch:
            offset = sum(partition == record.partition for partition, _, _ in found)
            found.append((record.partition, offset, record))
    return found


def written() -> tuple[pa.Table, pa.Table]:
    schema = record_schema("avro", json.dumps(SCHEMA))
    decoder = PayloadDecoder(schema)
    data, quarantine = TableWriter(data_schema(schema)), TableWriter(quarantine_schema(schema))
    for partition, offset, record in golden_records():
        content = payload(record.value)
        values, error = decoder.decode(content)
        place = (partition, offset, record.timestamp)
        if error is None:
            data.add((*values, *place))
        else:
            quarantine.add((*place, error, content))
    return (
        pq.read_table(pa.BufferReader(data.finish())),
        pq.read_table(pa.BufferReader(quarantine.finish())),
    )


def test_data_and_quarantine_are_the_golden_tables() -> None:
    for mine, table in zip(written(), ("data", "quarantine"), strict=True):
        theirs = golden(table)
        assert [(one.name, one.type) for one in mine.schema] == [(one.name, one.type) for one in theirs.schema]
        assert in_order(mine) == in_order(theirs)


def test_index_rows_have_the_golden_columns_and_are_read_by_the_auditor() -> None:
    builder = RunBuilder(1, "repair-1", 5)
    builder.add(3, 7, None, quarantined=True)
    data = index_bytes(builder.finish())
    mine = pq.read_table(pa.BufferReader(data))
    theirs = golden("offset_index")
    assert [(one.name, one.type) for one in mine.schema] == [(one.name, one.type) for one in theirs.schema]
    (rows,) = read_rows("file", data)
    assert (rows.partitions.tolist(), rows.starts.tolist(), rows.ends.tolist()) == ([1], [3], [4])


def test_an_index_object_without_rows_is_a_whole_file() -> None:
    assert sum(len(rows) for rows in read_rows("file", index_bytes([]))) == 0


def test_physical_types_codecs_and_checksums_are_the_jobs() -> None:
    schema = record_schema("avro", json.dumps(SCHEMA))
    writer = TableWriter(data_schema(schema))
    writer.add((*PayloadDecoder(schema).decode(payload(golden_records()[0][2].value))[0], 0, 0, 1))
    mine = pq.ParquetFile(pa.BufferReader(writer.finish()))
    (path, *_) = sorted((GOLDEN / "data").rglob("part-*"))
    with pq.ParquetFile(path) as theirs:
        assert _logical(mine) == _logical(theirs)
        assert mine.metadata.row_group(0).column(0).compression == theirs.metadata.row_group(0).column(0).compression


def _logical(file: Any) -> list[tuple[str, str]]:
    columns = [file.schema.column(number) for number in range(len(file.schema))]
    return [(one.name, str(one.logical_type)) for one in columns]


def test_a_flipped_bit_is_found_when_the_page_is_read() -> None:
    writer = TableWriter(quarantine_schema(RAW))
    for offset in range(100):
        writer.add((0, offset, 1, "error", b"payload %d" % offset))
    data = bytearray(writer.finish())
    data[60] ^= 1
    with pytest.raises(OSError, match=r"CRC|checksum"):
        pq.ParquetFile(pa.BufferReader(bytes(data)), page_checksum_verification=True).read()


@pytest.mark.parametrize(("record_format", "text"), [("avro", ALL_TYPES), ("raw", "")])
def test_every_column_type_of_the_job_has_its_arrow_type(record_format: str, text: str) -> None:
    schema: RecordSchema = record_schema(record_format, text)
    found = data_schema(schema)
    assert found.names == [*(one.name for one in schema.columns), "kafka_partition", "kafka_offset", "kafka_timestamp"]
    writer = TableWriter(found)
    writer.add((*PayloadDecoder(schema).decode(None)[0], 0, 0, 1))
    assert pq.read_table(pa.BufferReader(writer.finish())).num_rows == 1


def test_equal_rows_are_equal_bytes_and_large_ones_go_into_several_groups() -> None:
    def once() -> bytes:
        writer = TableWriter(quarantine_schema(RAW))
        for offset in range(5):
            writer.add((0, offset, 1, "e", b"p"), size=20 * 1024 * 1024)
        return writer.finish()

    data = once()
    assert data == once()
    assert pq.ParquetFile(pa.BufferReader(data)).metadata.num_row_groups == 3
