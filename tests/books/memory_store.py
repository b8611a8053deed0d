"""An object store in memory that counts its requests and fails, dies or lets something else happen at any of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from lineage_pipeline.books.object_store import ObjectInfo, is_hidden
from lineage_pipeline.errors import StoreError


class Died(BaseException):
    """The process ended in the middle: nothing after this point happened."""


class MemoryStore:
    """Objects in a dictionary. `before` runs before each operation, `after` behind it; either may raise."""

    in_flight = 1

    def __init__(self, uri: str = "memory") -> None:
        self.uri = uri
        self.objects: dict[str, tuple[bytes, str, float]] = {}
        self.requests: Counter[str] = Counter()
        self.fetched: list[str] = []
        self.now: Callable[[], float] = lambda: 0.0
        self.before: Callable[[str, str], None] = lambda _operation, _key: None
        self.after: Callable[[str, str], None] = lambda _operation, _key: None
        self._version = 0

    def exists(self) -> bool:
        self._begin("exists", "")
        return bool(self.objects)

    def list(self, prefix: str = "", *, hidden: bool = False) -> Iterator[ObjectInfo]:
        self._begin("list", prefix)
        below = f"{prefix}/" if prefix else ""
        found = [key for key in self.objects if key.startswith(below)]
        self.requests["pages"] += max(1, -(-len(found) // 1000))
        for key in found:
            if hidden or not is_hidden(key[len(below) :]):
                data, tag, moment = self.objects[key]
                yield ObjectInfo(key, len(data), tag, moment)

    def get(self, key: str) -> bytes:
        self._begin("get", key)
        self.fetched.append(key)
        if key not in self.objects:
            raise StoreError(f"{key} cannot be read: it is not there")
        return self.objects[key][0]

    def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:
        self._begin("get_range", listed.key)
        self.fetched.append(listed.key)
        if listed.key not in self.objects or self.objects[listed.key][1] != listed.etag:
            raise StoreError(f"{listed.key} changed since it was listed")
        return self.objects[listed.key][0][start:end]

    def put(self, key: str, data: bytes) -> None:
        self._begin("put", key)
        self.place(key, data)
        self.after("put", key)

    def put_new(self, key: str, data: bytes) -> bool:
        self._begin("put_new", key)
        if key in self.objects:
            return False
        self.place(key, data)
        self.after("put_new", key)
        return True

    def place(self, key: str, data: bytes) -> None:
        """Write without counting, as somebody else does."""
        self._version += 1
        self.objects[key] = (data, f"v{self._version}", self.now())

    def _begin(self, operation: str, key: str) -> None:
        self.requests[operation] += 1
        self.before(operation, key)
