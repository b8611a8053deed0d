"""An object of a store as a file that can be read at any place: what is asked for is fetched, and nothing else.

Parquet's readers read the end first, then column chunks; so a column costs its own bytes and the footer's.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from typing import Any

from lineage_pipeline.books.object_store import ObjectInfo, ObjectStore
from lineage_pipeline.errors import StoreError

WHOLE_BELOW = 1 << 18  # bytes; an object this small is fetched in one request
GAP = 1 << 16  # bytes between two places that are fetched along rather than asked for twice
LARGEST = 1 << 25  # bytes of one request for several places
TAIL = 1 << 16  # bytes fetched with the first request of a larger one: footers are seldom longer


class RangedFile(io.RawIOBase):
    """Reads an object as it was listed. `failure` keeps the StoreError that a reader in between may have swallowed."""

    def __init__(self, store: ObjectStore, listed: ObjectInfo) -> None:
        self._store = store
        self._listed = listed
        self._position = 0
        self._tail: tuple[int, bytes] | None = None
        self._planned: list[tuple[int, int]] = []
        self._held: tuple[int, bytes] = 0, b""
        self._lock = threading.Lock()
        self.fetched = 0  # bytes
        self.failure: StoreError | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; see io.IOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._listed.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from here on. Raises StoreError."""
        with self._lock:
            end = self._listed.size if size < 0 else min(self._position + size, self._listed.size)
            if end <= self._position:
                return b""
            data = self._fetched(self._position, end)
            self._position += len(data)
            return data

    def readinto(self, buffer: Any) -> int:
        """As read, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def plan(self, places: Iterable[tuple[int, int]]) -> None:
        """Say which [start, end) will be read, each once and in order: near ones are fetched in one request.

        Arrow can do that too, in threads of its own that hold Python's objects: when the process ends before they have
        let go, it is aborted.
        """
        self._planned = []
        for start, end in sorted(places):
            first, last = self._planned[-1] if self._planned else (0, -GAP - 1)
            if start - last <= GAP and end - first <= LARGEST:
                self._planned[-1] = first, max(last, end)
            else:
                self._planned.append((start, end))

    def _fetched(self, start: int, end: int) -> bytes:
        size = self._listed.size
        if self._tail is None and end > size - TAIL:
            first = 0 if size <= WHOLE_BELOW else min(start, size - TAIL)
            self._tail = first, self._request(first, size)
        if self._tail is not None and start >= self._tail[0]:
            return self._tail[1][start - self._tail[0] : end - self._tail[0]]
        place = next(((low, high) for low, high in self._planned if low <= start and end <= high), None)
        if place is None:
            return self._request(start, end)
        if not self._held[0] <= start < end <= self._held[0] + len(self._held[1]):
            self._held = place[0], self._request(*place)
        return self._held[1][start - self._held[0] : end - self._held[0]]

    def _request(self, start: int, end: int) -> bytes:
        try:
            data = self._store.get_range(self._listed, start, end)
        except StoreError as error:
            self.failure = error
            raise
        if len(data) != end - start:
            self.failure = StoreError(
                f"{self._store.uri.rstrip('/')}/{self._listed.key} gave {len(data)} of {end - start} bytes: try again"
            )
            raise self.failure
        self.fetched += len(data)
        return data
