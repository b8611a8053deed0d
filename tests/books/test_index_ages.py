"""What the times of index rows tell, and that a file that cannot be read tells nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.books.index_ages import indexed_before, quarantined_since
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.errors import LineageError, StoreError
from tests.books.index_files import MILLIS, ORIGINAL_SCHEMA, day, parquet, put, run

TOPIC = "orders"
MOMENT = MILLIS / 1000 + 10


class _Failing(DirectoryStore):
    """A store that lists what it cannot give."""

    def get(self, key: str) -> bytes:
        raise StoreError(f"{key} cannot be read")


def index(root: Path) -> Path:
    young = run(0, 10, 20, quarantined_count=5, window_end=MILLIS + 20_000)
    put(root, day(TOPIC, "a"), parquet([run(0, 0, 10, quarantined_count=3), young]))
    return root


def test_rows_emitted_since_count_what_went_to_quarantine_and_was_not_replayed(tmp_path: Path) -> None:
    path = IndexPath(DirectoryStore("index", str(index(tmp_path))), TOPIC)
    assert quarantined_since(path, MOMENT, {}) == 5
    assert quarantined_since(path, MOMENT, {0: RangeSet.of((2, 12)), 1: RangeSet.of((10, 20))}) == 3
    assert quarantined_since(path, MOMENT + 3600, {}) == 0


def test_a_file_that_cannot_be_read_is_no_file_that_counts_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        quarantined_since(IndexPath(_Failing("index", str(index(tmp_path))), TOPIC), MOMENT, {})
    put(tmp_path, day(TOPIC, "b"), b"PAR1 torn PAR1")
    with pytest.raises(LineageError, match="refused"):
        quarantined_since(IndexPath(DirectoryStore("index", str(tmp_path)), TOPIC), MOMENT, {})


def test_with_writers_only_rows_of_theirs_tell_what_is_old(tmp_path: Path) -> None:
    rows = [run(0, 0, 10), run(0, 10, 30, writer="w2"), run(0, 30, 40)]
    put(tmp_path, day(TOPIC, "a"), parquet(rows))
    put(tmp_path, day(TOPIC, "b"), parquet([run(0, 40, 50)], ORIGINAL_SCHEMA))
    path, wanted = IndexPath(DirectoryStore("index", str(tmp_path)), TOPIC), {0: RangeSet.of((5, 50))}
    assert indexed_before(path, MOMENT, wanted) == wanted
    assert indexed_before(path, MOMENT, wanted, {"w1"}) == {0: RangeSet.of((5, 10), (30, 40))}
    assert indexed_before(path, MOMENT, wanted, ()) == {}
