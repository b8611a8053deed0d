"""Tables that a real job wrote once: what readers of today's files rely on must hold for ever. Never written anew."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.index_file import find_rows, read_rows

GOLDEN = Path(__file__).parent / "golden" / "tables"
MS = pa.timestamp("ms")  # Flink writes them without the UTC flag
TABLES = {
    "data": [
        ("uuid", pa.string()),
        ("timestamp", MS),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", MS),
    ],
    "quarantine": [
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", MS),
        ("error", pa.string()),
        ("payload", pa.binary()),
    ],
    "offset_index": [
        ("kafka_partition", pa.int32()),
        ("min_offset", pa.int64()),
        ("max_offset", pa.int64()),
        ("record_count", pa.int64()),
        ("window_start", MS),
        ("quarantined_count", pa.int64()),
        ("window_end", MS),
        ("max_timestamp", MS),
        ("leader_epoch", pa.int32()),
        ("writer", pa.string()),
    ],
}


@pytest.mark.parametrize("table", TABLES)
def test_columns_have_the_names_types_and_order_of_the_contract(table: str) -> None:
    file = pq.ParquetFile(GOLDEN / f"{table}.parquet")
    assert [(field.name, field.type) for field in file.schema_arrow] == TABLES[table]
    physical = {file.schema.column(place).physical_type for place in range(len(file.schema))}
    assert "INT96" not in physical


def test_the_index_rows_are_read_as_they_were_written() -> None:
    data = (GOLDEN / "offset_index.parquet").read_bytes()
    (rows,) = read_rows("offset_index.parquet", data)
    runs = {
        int(p): (int(s), int(e), int(c))
        for p, s, e, c in zip(rows.partitions, rows.starts, rows.ends, rows.counts, strict=True)
    }
    whole = dict.fromkeys(range(9), (2000, 3000, 1000))
    assert runs == {**whole, 9: (2300, 3000, 700)}
    assert int(rows.quarantined.sum()) == 8
    (found,) = find_rows("offset_index.parquet", data, 9, 2500)
    assert (found.min_offset, found.max_offset, found.leader_epoch) == (2300, 2999, 0)
    assert found.writer == "20261123T094932Z-ab5e8c77"
    assert found.window_end == 1795427480927


def test_quarantined_records_keep_their_payload_and_a_reason_with_a_class() -> None:
    rows = pq.ParquetFile(GOLDEN / "quarantine.parquet").read().to_pylist()
    assert len(rows) == 8
    assert rows[0]["kafka_offset"] == 2069
    assert rows[0]["error"] == "truncated: field 'uuid': length 36 with 27 bytes left"
    assert rows[0]["payload"] == b"H93a3e0ee-57b5-4995-90bf-675"
    assert all(row["error"].partition(": ")[0].replace("-", "").isalnum() for row in rows)


def test_data_rows_keep_coordinates_and_milliseconds() -> None:
    rows = pq.ParquetFile(GOLDEN / "data.parquet").read().to_pylist()
    assert len(rows) == 59
    first = rows[0]
    assert (first["uuid"], first["kafka_partition"], first["kafka_offset"]) == (
        "9d42676c-47d4-45b9-840f-f0208b2012fc",
        6,
        0,
    )
    assert first["timestamp"].isoformat() == "2026-11-23T09:47:38.565000"
