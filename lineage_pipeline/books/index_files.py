"""Index files fetched one after the other and worked on side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.errors import IndexFileError, StoreError

Worked = TypeVar("Worked")

# One thread's share at a time. Smaller ones cost more to hand over than they save, bigger ones hold more in memory.
_SHARE_BYTES, _SHARE_FILES = 200_000, 32
_THREADS = min(4, os.cpu_count() or 1)

_Content = tuple[str, bytes | StoreError]


def work_through(
    store: ObjectStore, keys: list[str], work: Callable[[str, bytes], Worked]
) -> Iterator[tuple[str, Worked | IndexFileError]]:
    """Each key, in order, with what `work` makes of its content, or why that file is refused; one GET per key."""
    shares = _shares(read_many(store, keys))
    with ThreadPoolExecutor(_THREADS) as pool:
        while listed := list(islice(shares, _THREADS)):
            each = pool.map if len(listed) > 1 else map
            for done in each(lambda share: [(key, _worked(key, content, work)) for key, content in share], listed):
                yield from done


def _shares(contents: Iterator[_Content]) -> Iterator[list[_Content]]:
    share: list[_Content] = []
    size = 0
    for key, content in contents:
        share.append((key, content))
        size += len(content) if isinstance(content, bytes) else 0
        if size >= _SHARE_BYTES or len(share) >= _SHARE_FILES:
            yield share
            share, size = [], 0
    if share:
        yield share


def _worked(key: str, content: bytes | StoreError, work: Callable[[str, bytes], Worked]) -> Worked | IndexFileError:
    if isinstance(content, StoreError):
        return IndexFileError(f"index file {key} refused: {content}")
    try:
        return work(key, content)
    except IndexFileError as error:
        return error
