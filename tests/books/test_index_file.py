"""Index files: what is read, in every type a writer may choose, and what is refused whole and by name."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.index_file import find_rows, read_rows
from lineage_pipeline.errors import IndexFileError
from tests.books.index_files import (
    MILLIS,
    ORIGINAL_SCHEMA,
    SCHEMA,
    parquet,
    parquet_of,
    run,
    with_column,
)

NAME = "kafka_topic=t/dt=2026-11-22/part-0"
TWO = [run(0, 0, 10), run(1, 2**62, 2**63 - 1, leader_epoch=4, quarantined_count=7)]


def ranges(data: bytes) -> list[tuple[int, int, int, int, int]]:
    return [
        tuple(map(int, row))  # type: ignore[misc]
        for rows in read_rows(NAME, data)
        for row in zip(rows.partitions, rows.starts, rows.ends, rows.counts, rows.quarantined, strict=True)
    ]


def test_rows_of_our_format_are_read_up_to_the_largest_offset() -> None:
    assert ranges(parquet(TWO)) == [(0, 0, 10, 10, 0), (1, 2**62, 2**63 - 1, 2**62 - 1, 7)]


def test_the_five_column_format_is_read_with_its_counts() -> None:
    rows = [run(0, 0, 10, record_count=8), run(0, 10, 20, record_count=12)]
    assert ranges(parquet(rows, ORIGINAL_SCHEMA)) == [(0, 0, 10, 8, 0), (0, 10, 20, 12, 0)]


def test_a_file_without_rows_is_read_and_says_nothing() -> None:
    assert ranges(parquet([])) == []


def test_columns_nobody_knows_and_another_order_do_not_matter() -> None:
    table = pq.read_table(io.BytesIO(parquet(TWO)))
    shuffled = table.select(sorted(table.column_names)).append_column("note", pa.array(["a", "b"]))
    assert ranges(parquet_of(shuffled)) == ranges(parquet(TWO))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64()])
@pytest.mark.parametrize("column", ["kafka_partition", "min_offset", "record_count", "quarantined_count"])
def test_integers_of_any_width_are_read(column: str, kind: Any) -> None:
    values = {"kafka_partition": [0, 0], "min_offset": [0, 10], "record_count": [10, 10], "quarantined_count": [0, 2]}
    assert len(ranges(with_column(column, pa.array(values[column], type=kind)))) == 2


def test_dictionary_encoded_columns_are_read() -> None:
    assert len(ranges(with_column("min_offset", pa.array([0, 10]).dictionary_encode()))) == 2


@pytest.mark.parametrize(
    "kind",
    [pa.timestamp("ms"), pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.timestamp("us")],
)
def test_times_in_any_unit_with_or_without_zone_are_the_same_instant(kind: Any) -> None:
    data = with_column("window_start", pa.array([MILLIS, MILLIS], type=pa.timestamp("ms")).cast(kind))
    assert find_rows(NAME, data, 0, 15)[0].window_start == MILLIS


def test_times_as_int96_are_read() -> None:
    data = parquet(TWO, use_deprecated_int96_timestamps=True)
    assert find_rows(NAME, data, 0, 3)[0].window_start == MILLIS


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_the_usual_compressions_are_read(compression: str) -> None:
    assert len(ranges(parquet(TWO, compression=compression))) == 2


def test_row_groups_are_read_in_order_and_a_row_is_found_in_its_group() -> None:
    rows = [run(0, start, start + 10, writer=f"w{start}") for start in range(0, 100, 10)]
    data = parquet(rows, row_group_size=3)
    assert [start for _, start, *_ in ranges(data)] == list(range(0, 100, 10))
    assert [row.writer for row in find_rows(NAME, data, 0, 75)] == ["w70"]


def test_every_row_that_spans_the_offset_is_found_with_all_its_columns() -> None:
    data = parquet([run(3, 0, 10), run(3, 5, 8, leader_epoch=2), run(4, 5, 8)])
    found = find_rows(NAME, data, 3, 6)
    assert [(row.min_offset, row.max_offset, row.leader_epoch, row.writer) for row in found] == [
        (0, 9, None, "w1"),
        (5, 7, 2, "w1"),
    ]
    assert find_rows(NAME, data, 3, 10) == []
    original = find_rows(NAME, parquet([run(3, 0, 10)], ORIGINAL_SCHEMA), 3, 0)[0]
    assert (original.writer, original.quarantined_count, original.is_exact) == (None, None, True)


def test_a_leader_epoch_that_is_unknown_throughout_is_no_fault() -> None:
    assert len(ranges(with_column("leader_epoch", pa.nulls(2)))) == 2
    assert find_rows(NAME, with_column("leader_epoch", pa.nulls(2)), 0, 3)[0].leader_epoch is None


def without(column: str) -> bytes:
    return parquet(TWO, SCHEMA.remove(SCHEMA.get_field_index(column)))


@pytest.mark.parametrize("column", SCHEMA.names)
def test_a_file_that_lacks_a_column_is_refused(column: str) -> None:
    with pytest.raises(IndexFileError, match=f"{NAME} refused: it has no column {column}"):
        ranges(without(column))


@pytest.mark.parametrize("column", ORIGINAL_SCHEMA.names)
def test_a_five_column_file_that_lacks_one_is_refused(column: str) -> None:
    schema = ORIGINAL_SCHEMA.remove(ORIGINAL_SCHEMA.get_field_index(column))
    with pytest.raises(IndexFileError, match=column):
        ranges(parquet(TWO, schema))


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("column", [name for name in SCHEMA.names if name != "leader_epoch"])
def test_a_null_is_refused_with_and_without_statistics(column: str, statistics: bool) -> None:
    data = parquet([run(0, 0, 10), run(0, 10, 20, **{column: None})], write_statistics=statistics)
    with pytest.raises(IndexFileError, match=f"{NAME} refused: column {column} holds a null"):
        ranges(data)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("kafka_partition", pa.array([0.0, 0.0])),
        ("min_offset", pa.array(["0", "10"])),
        ("max_offset", pa.array([9.0, 19.0])),
        ("record_count", pa.array([True, True])),
        ("quarantined_count", pa.nulls(2)),
        ("window_start", pa.array([MILLIS, MILLIS])),
        ("window_start", pa.array(["2026", "2026"])),
        ("writer", pa.array([1, 2])),
        ("writer", pa.nulls(2)),
        ("leader_epoch", pa.array(["1", "2"])),
        ("min_offset", pa.array([[0], [10]])),
    ],
)
def test_a_column_of_another_type_is_refused(column: str, values: Any) -> None:
    with pytest.raises(IndexFileError, match=f"{NAME} refused: column {column} is "):
        ranges(with_column(column, values))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"min_offset": -1}, "min_offset is negative"),
        ({"min_offset": -(2**63)}, "min_offset is negative"),
        ({"max_offset": 3, "min_offset": 4}, "max_offset is below min_offset"),
        ({"max_offset": -1, "min_offset": 0}, "max_offset is below min_offset"),
        ({"max_offset": 2**63 - 1}, "max_offset is above"),
        ({"record_count": 0}, "record_count is below 1"),
        ({"record_count": -5}, "record_count is below 1"),
        ({"kafka_partition": -1}, "kafka_partition is not"),
        ({"quarantined_count": -1}, "quarantined_count is not"),
        ({"quarantined_count": 11}, "quarantined_count is not"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_row(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(IndexFileError, match=f"{NAME} refused: {why}.*row 1"):
        ranges(parquet([run(0, 0, 10), run(0, 10, 20, **changed)]))


def test_a_partition_beyond_int32_is_refused() -> None:
    with pytest.raises(IndexFileError, match="kafka_partition is not"):
        ranges(with_column("kafka_partition", pa.array([0, 2**31])))


def test_an_unsigned_offset_that_does_not_fit_is_refused_and_not_wrapped() -> None:
    with pytest.raises(IndexFileError, match=NAME):
        ranges(with_column("max_offset", pa.array([9, 2**64 - 1], type=pa.uint64())))


def test_a_column_given_twice_is_refused() -> None:
    table = pq.read_table(io.BytesIO(parquet(TWO)))
    doubled = pa.Table.from_arrays(
        [*table.columns, table.column("min_offset")], names=[*table.column_names, "min_offset"]
    )
    with pytest.raises(IndexFileError, match="min_offset twice"):
        ranges(parquet_of(doubled))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"not parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_bytes_that_are_no_parquet_are_refused(data: bytes) -> None:
    with pytest.raises(IndexFileError, match=NAME):
        ranges(data)


def test_a_brotli_file_is_refused_before_a_page_is_decoded() -> None:
    with pytest.raises(IndexFileError, match="BROTLI"):
        ranges(parquet(TWO, compression="brotli"))


def test_a_flipped_byte_in_a_page_with_a_checksum_is_refused() -> None:
    rows = [run(0, start, start + 10) for start in range(0, 1000, 10)]
    data = bytearray(parquet(rows, compression="none", use_dictionary=False, write_page_checksum=True))
    at = bytes(data).index(np.int64(500).tobytes())
    data[at] ^= 1
    with pytest.raises(IndexFileError, match=NAME):
        ranges(bytes(data))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_half_written_file_is_refused(share: float) -> None:
    data = parquet([run(0, start, start + 10) for start in range(0, 1000, 10)])
    with pytest.raises(IndexFileError, match=NAME):
        ranges(data[: int(len(data) * share)])
