"""Index files fetched and worked on one after the other, big ones side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.errors import IndexFileError, StoreError

Worked = TypeVar("Worked")

_BIG = 200_000  # bytes, some 100,000 rows; below, handing a file to a thread costs more than it saves
_THREADS = min(4, os.cpu_count() or 1)


def work_through(
    store: ObjectStore, keys: list[str], work: Callable[[str, bytes], Worked]
) -> Iterator[tuple[str, Worked | IndexFileError]]:
    """Each key, in order, with what `work` makes of its content, or why that file is refused; one GET per key."""
    contents = read_many(store, keys)
    with ThreadPoolExecutor(_THREADS) as pool:
        while listed := list(islice(contents, _THREADS)):
            big = sum(isinstance(content, bytes) and len(content) >= _BIG for _, content in listed)
            each = pool.map if big > 1 else map
            yield from each(lambda pair: (pair[0], _worked(pair[0], pair[1], work)), listed)


def _worked(key: str, content: bytes | StoreError, work: Callable[[str, bytes], Worked]) -> Worked | IndexFileError:
    if isinstance(content, StoreError):
        return IndexFileError(f"index file {key} refused: {content}")
    try:
        return work(key, content)
    except IndexFileError as error:
        return error
