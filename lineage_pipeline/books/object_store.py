"""One port for the places where tables lie: plain directories, `file://` and `s3://bucket/prefix`.

Keys are relative to the opened root, with `/` between segments. Everything the file system or obstore raises becomes
StoreError here; its text never holds a credential.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from lineage_pipeline.errors import SettingsError, StoreError


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a listing: key below the root, size in bytes, entity tag if there is one, UTC epoch seconds."""

    key: str
    size: int
    etag: str | None
    last_modified: float


class ObjectStore(Protocol):
    """A root below which objects are listed, read whole and written whole."""

    @property
    def uri(self) -> str:
        """Where the root is, as the user wrote it; safe to print."""

    @property
    def in_flight(self) -> int:
        """How many reads at once pay off."""

    def exists(self) -> bool:
        """Whether the root is there: the directory, or on S3 at least one object below the prefix.

        Raises StoreError when that cannot be told.
        """

    def list(self, prefix: str = "", *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """All objects below `prefix` (whole segments), in no promised order.

        Names below `prefix` with a segment that begins with `.` or `_` are left out unless `hidden`. An empty
        directory yields nothing; a root that is not there raises StoreError (on S3 only a missing bucket can be told
        from an empty one; ask `exists`). Raises StoreError when any part of the listing fails: a listing is whole or
        an error.
        """

    def get(self, key: str) -> bytes:
        """The whole object in one request. Raises StoreError, also when it is not there."""

    def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:
        """The bytes [start, end) of an object as it was listed, in one request.

        Raises StoreError, also when it is not there, or is not the listed one any more.
        """

    def put(self, key: str, data: bytes) -> None:
        """Write the whole object; a reader sees the old content or the new, never a part. Raises StoreError."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Write the whole object unless the key is taken; whether it was written. Raises StoreError.

        Of several writers at once exactly one is told yes. After an error, or a no that a repeated request got, the
        object may be there all the same: who must know reads it back.
        """


def open_store(uri: str, aws: Mapping[str, SecretStr]) -> ObjectStore:
    """The store at `uri`; `aws` holds the AWS_* settings by variable name and is used for s3:// only.

    Raises SettingsError for a URI of another kind. Nothing is touched yet.
    """
    parts = urlsplit(uri)
    if parts.scheme in {"s3", "s3a"}:
        if not parts.netloc:
            raise SettingsError(f"{uri!r} names no bucket: write s3://bucket/prefix")
        from lineage_pipeline.books.s3_store import S3ObjectStore  # noqa: PLC0415 - directories need no S3 client

        return S3ObjectStore(uri, parts.netloc, unquote(parts.path).strip("/"), aws)
    from lineage_pipeline.books.directory_store import DirectoryStore  # noqa: PLC0415 - it imports this module

    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"}:
            raise SettingsError(f"{uri!r} names the host {parts.netloc!r}: write file:///dir with three slashes")
        return DirectoryStore(uri, unquote(parts.path))
    if "://" in uri:
        raise SettingsError(f"{uri!r} cannot be opened: use s3://bucket/prefix, file:///dir or a plain directory")
    if not uri:
        raise SettingsError("an empty path cannot be opened: use s3://bucket/prefix, file:///dir or a plain directory")
    return DirectoryStore(uri, uri)


def below(place: str, other: str) -> tuple[str, ...] | None:
    """The segments of the path by which `other` lies below `place`; () for the same place, None for none below it.

    However the two are written: `file:///dir`, a relative directory, by a link, with a slash at the end.
    """
    above, inner = segments(place), segments(other)
    return inner[len(above) :] if inner[: len(above)] == above else None


def read_many(store: ObjectStore, keys: list[str]) -> Iterator[tuple[str, bytes | StoreError]]:
    """Every key with its bytes or with the error that reading it gave, in the order of `keys`.

    One request per key; at most 2 * store.in_flight objects are held at a time.
    """
    if store.in_flight <= 1:
        for key in keys:
            yield key, _get(store, key)
        return
    with ThreadPoolExecutor(store.in_flight, thread_name_prefix="read") as pool:
        waiting = iter(keys)
        window: list[tuple[str, Future[bytes | StoreError]]] = [
            (key, pool.submit(_get, store, key)) for key in islice(waiting, 2 * store.in_flight)
        ]
        try:
            while window:
                key, future = window.pop(0)
                yield key, future.result()
                window.extend((later, pool.submit(_get, store, later)) for later in islice(waiting, 1))
        finally:
            for _, future in window:
                future.cancel()


def present(store: ObjectStore, keys: Iterable[str]) -> set[str]:
    """Those of the `keys` that are there; each directory among them is listed once. Raises StoreError."""
    wanted = set(keys)
    if not wanted or not store.exists():
        return set()
    folders = {key.rpartition("/")[0] for key in wanted}
    return {info.key for folder in folders for info in store.list(folder)} & wanted


def is_hidden(relative_key: str) -> bool:
    """Whether a segment of the key begins with `.` or `_`, which readers of tables skip."""
    return any(segment[:1] in {".", "_"} for segment in relative_key.split("/"))


def checked_key(key: str) -> str:
    """The key itself. Raises StoreError when it is empty or could lead out of the root."""
    if not key or any(segment in {"", ".", ".."} for segment in key.split("/")):
        raise StoreError(f"{key!r} is no key below a root: segments must not be empty, `.` or `..`")
    return key


def segments(uri: str) -> tuple[str, ...]:
    """The place that `uri` means, as segments of its path: equal for equal places, however they are written."""
    parts = urlsplit(uri)
    if parts.scheme in {"s3", "s3a"}:
        return ("s3:", parts.netloc, *(one for one in unquote(parts.path).split("/") if one))
    return Path(unquote(parts.path) if parts.scheme == "file" else uri).resolve().parts


def _get(store: ObjectStore, key: str) -> bytes | StoreError:
    try:
        return store.get(key)
    except StoreError as error:
        return error
