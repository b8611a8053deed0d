"""Arrays from buffers are those that pyarrow itself makes of the same values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.books import arrow_columns
from lineage_pipeline.books.arrow_columns import int64_array, int64_values, string_array


@given(st.lists(st.none() | st.text(max_size=6), max_size=40))
def test_text_is_what_pyarrow_makes_of_it(values: list[str | None]) -> None:
    made = string_array(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))
    assert made.null_count == values.count(None)
    assert made.to_pylist() == values


@given(st.lists(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 3), min_size=1, max_size=20), st.integers(0, 2))
def test_numbers_are_what_pyarrow_makes_of_them(rows: list[tuple[int, int, int]], column: int) -> None:
    values = np.array(rows, dtype=np.int64)[:, column]  # every third in memory
    made = int64_array(values)
    made.validate(full=True)
    assert made.equals(pa.array(values))
    assert int64_array(values[:0]).equals(pa.array(values[:0]))


@given(
    st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=4),
    st.sampled_from([pa.int8(), pa.int32(), pa.int64(), pa.uint64()]),
    st.integers(0, 9),
    st.integers(0, 40),
)
def test_numbers_come_back_from_any_integers_in_any_chunks(
    chunks: list[list[int]], kind: pa.DataType, start: int, length: int
) -> None:
    small = [[value % 128 for value in one] for one in chunks] if kind == pa.int8() else chunks
    column = pa.chunked_array([pa.array(one, kind) for one in small], kind).slice(start, length)
    values = int64_values(column)
    assert (values.dtype, values.tolist()) == (np.int64, column.to_pylist())
    joined = pa.concat_arrays([pa.array([7], kind), *column.chunks]).slice(1)
    assert int64_values(joined).tolist() == column.to_pylist()


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()])
def test_a_null_is_never_taken_for_a_number(kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match="null"):
        int64_values(pa.chunked_array([pa.array([1], kind), pa.array([2, None], kind)]))


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        int64_values(pa.array([2**63], pa.uint64()))


def test_more_text_than_one_array_holds_is_left_to_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_columns, "_LONGEST", 3)
    monkeypatch.setattr(pa, "array", lambda values, kind: ("chunks", values, kind))
    assert string_array(["a", None, "bcd"]) == ("chunks", ["a", None, "bcd"], pa.string())
    assert string_array(["a", None, "bc"]).to_pylist() == ["a", None, "bc"]
