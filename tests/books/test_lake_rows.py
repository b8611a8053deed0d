"""Rows as plain values: who rewrites files may change a unit, which changes no value, and no other value is equal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.lake_rows import plain_rows, plain_rows_of
from lineage_pipeline.books.table_files import TableWriter

SCHEMA = pa.schema(
    [
        ("time", pa.time32("ms")),
        ("moment", pa.timestamp("ms")),
        ("day", pa.date32()),
        ("price", pa.decimal128(10, 2)),
        ("bytes", pa.binary()),
        ("number", pa.float32()),
        ("headers", pa.map_(pa.string(), pa.binary())),
    ]
)
ROWS: list[list[Any]] = [
    [3_723_004, 1_795_000_000_123, 20_000, Decimal("12.30"), b"\x00\xff", 0.1, [("k", b"v"), ("a", None)]],
    [0, -1, -1, Decimal("-0.01"), b"", -0.5, []],
    [None] * len(SCHEMA),
]


def written() -> bytes:
    writer = TableWriter(SCHEMA)
    for row in ROWS:
        writer.add(row)
    return writer.finish()


def test_a_file_that_duckdb_compacts_has_the_values_that_it_had(tmp_path: Path) -> None:
    (tmp_path / "part-1").write_bytes(written())
    query = f"SELECT * FROM read_parquet('{tmp_path / 'part-1'}')"
    duckdb.sql(f"COPY ({query}) TO '{tmp_path / 'compacted'}' (FORMAT parquet)")
    compacted = pq.read_table(tmp_path / "compacted")
    assert str(compacted.schema.field("time").type) == "time64[us]"  # else this test shows nothing
    assert plain_rows(compacted) == plain_rows_of(written())


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.time64("us"), pa.time64("ns")])
def test_what_lies_between_two_milliseconds_equals_neither(kind: Any) -> None:
    per = {"us": 1_000, "ns": 1_000_000}[kind.unit]
    ticks = pa.array([5 * per, 5 * per + 1, 6 * per - 1, None], pa.int64()).cast(kind)
    values = [row["at"] for row in plain_rows(pa.table({"at": ticks}))]
    assert (values[0], values[3]) == (5, None)
    assert 5 < values[1] < values[2] < 6
