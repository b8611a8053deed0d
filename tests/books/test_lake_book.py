"""What the lake book keeps, and what it says where it could not look."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.books.index_ages import indexed_before
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.lake_book import MANIFEST
from lineage_pipeline.books.object_store import ObjectInfo, open_store
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.errors import StoreError
from tests.books.index_files import MILLIS, day, parquet, put, run
from tests.test_audit_lake import TOPIC, Lake, shown, told


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.mark.parametrize("data_days", [None, 1])
def test_a_manifest_that_cannot_be_read_for_once_is_not_written_over(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, data_days: int | None
) -> None:
    lake.audit(data_days=data_days)
    lake.two.unlink()
    old = MILLIS - 86_400_000 * 9
    put(lake.root / "index", day(TOPIC, "index-3"), parquet([run(0, 20, 25, window_start=old, window_end=old)]))
    got = DirectoryStore.get

    def refused(store: DirectoryStore, key: str) -> bytes:
        if key.endswith(MANIFEST):
            raise StoreError("refused for once")
        return got(store, key)

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "get", refused)
        assert "the file manifest could not be read: refused for once" in lake.audit(data_days=data_days).problems
    lake.wait()
    lake.audit(data_days=data_days)
    lake.wait()
    report = lake.audit(data_days=data_days)
    assert ("[10, 20)", "damaged", "object-missing") in shown(report)
    assert "part-2" in told(report)  # so it is still known


def test_where_no_place_of_quarantine_files_is_set_what_the_index_counts_there_is_unknown(lake: Lake) -> None:
    for _ in range(2):
        report = lake.audit(tables={"data": "output"})
        lake.wait()
    assert report.verdict == "undetermined"
    assert {(one, what) for one, what, _ in shown(report)} == {("[8, 10)", "unknown")}
    assert "no place for quarantine files is set: set QUARANTINE_PATH" in told(report)


def test_a_file_that_could_not_be_read_may_hold_what_retention_seems_to_have_removed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = MILLIS - 86_400_000 * 100
    for name, first in (("index-1", 0), ("index-2", 10)):
        put(lake.root / "index", day(TOPIC, name), parquet([run(0, first, first + 10, window_end=old)]))
    got = DirectoryStore.get_range

    def refused(store: DirectoryStore, listed: ObjectInfo, start: int, end: int) -> bytes:
        if listed.key.endswith("part-2"):
            raise StoreError("refused for once")
        return got(store, listed, start, end)

    monkeypatch.setattr(DirectoryStore, "get_range", refused)
    assert shown(lake.audit(data_days=90)) == [("[10, 20)", "unknown", "unproven")]


def test_a_row_that_counts_fewer_records_than_offsets_tells_of_none_that_it_was_written(lake: Lake) -> None:
    put(lake.root / "index", day(TOPIC, "index-1"), parquet([run(0, 0, 10, record_count=9), run(0, 10, 20)]))
    path = IndexPath(open_store(str(lake.root / "index"), {}), TOPIC)
    found = indexed_before(path, MILLIS / 1000 + 86_400, {0: RangeSet.of((0, 20))})
    assert [str(one) for one in found[0]] == ["[10, 20)"]
