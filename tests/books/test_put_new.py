"""A name in a directory is given once, whole, whoever else writes at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.errors import StoreError


def test_of_many_writers_at_once_exactly_one_creates_the_key(tmp_path: Path) -> None:
    for number in range(30):
        key = f"_ledger/{number}.jsonl"
        stores = [open_store(str(tmp_path), {}) for _ in range(8)]
        with ThreadPoolExecutor(len(stores)) as pool:
            won = list(pool.map(lambda one, key=key: one[1].put_new(key, b"by %d" % one[0]), enumerate(stores)))
        assert won.count(True) == 1
        assert (tmp_path / key).read_bytes() == b"by %d" % won.index(True)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(StoreError):
        open_store(str(tmp_path), {}).put_new("a/b", b"x")
