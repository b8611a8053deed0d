"""Columns and values of index rows: what is checked before anything is believed."""

from __future__ import annotations

import numpy as np
import pytest

from lineage_pipeline.core.offset_index import (
    COLUMNS,
    MAX_PARTITION,
    ORIGINAL_COLUMNS,
    IndexRow,
    IndexRows,
    checked_rows,
    expected_columns,
    iso_time,
)
from lineage_pipeline.core.offsets import MAX_OFFSET
from lineage_pipeline.errors import IndexFileError

NAMES = [column.name for column in COLUMNS]
ORIGINAL = [column.name for column in ORIGINAL_COLUMNS]
GOOD = {
    "kafka_partition": [0, MAX_PARTITION],
    "min_offset": [0, MAX_OFFSET],
    "max_offset": [0, MAX_OFFSET],
    "record_count": [1, 1],
    "quarantined_count": [0, 1],
}


def check(**changed: list[int]) -> IndexRows:
    return checked_rows("f", {name: np.array(values, dtype=np.int64) for name, values in {**GOOD, **changed}.items()})


def test_the_extremes_are_allowed_and_ranges_are_half_open() -> None:
    rows = check()
    assert (rows.starts.tolist(), rows.ends.tolist()) == ([0, MAX_OFFSET], [1, MAX_OFFSET + 1])
    assert (rows.counts.tolist(), rows.quarantined.tolist()) == ([1, 1], [0, 1])


@pytest.mark.parametrize(
    "changed",
    [
        {"kafka_partition": [0, -1]},
        {"kafka_partition": [0, MAX_PARTITION + 1]},
        {"min_offset": [-1, MAX_OFFSET]},
        {"max_offset": [0, MAX_OFFSET + 1]},
        {"max_offset": [0, MAX_OFFSET - 1]},
        {"record_count": [0, 1]},
        {"quarantined_count": [0, -1]},
        {"quarantined_count": [0, 2]},
    ],
)
def test_one_step_beyond_is_refused(changed: dict[str, list[int]]) -> None:
    with pytest.raises(IndexFileError, match=r"^index file f refused"):
        check(**changed)


def test_ours_has_ten_columns_and_the_original_five() -> None:
    assert len(expected_columns("f", frozenset(NAMES))) == 10
    assert expected_columns("f", frozenset([*ORIGINAL, "whatever"])) == ORIGINAL_COLUMNS


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_ours_needs_every_column(name: str) -> None:
    with pytest.raises(IndexFileError, match=f"no column {name}"):
        expected_columns("f", frozenset(NAMES) - {name})


def test_only_the_leader_epoch_may_be_null() -> None:
    wanted = expected_columns("f", frozenset(NAMES))
    assert [column.name for column in wanted if column.nullable] == ["leader_epoch"]


def test_a_row_is_exact_when_it_counts_one_record_per_offset() -> None:
    assert IndexRow(0, 5, 9, 5, 0).is_exact
    assert not IndexRow(0, 5, 9, 4, 0).is_exact


def test_times_are_shown_in_utc_and_absurd_ones_as_numbers() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(-1) == "1969-12-31T23:59:59.999Z"
    assert iso_time(2**62) == str(2**62)
    shown = IndexRow(0, 7, 7, 1, 1500).to_json()
    assert shown["window_start"] == "1970-01-01T00:00:01.500Z"
    assert (shown["min_offset"], shown["window_end"]) == (7, None)
