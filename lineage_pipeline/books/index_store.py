"""The offset index of one topic in an object store: every file once, whole or refused by name.

Any layout of directories is read. A file below `kafka_topic=T` belongs to T; one that is below no such directory
belongs to the only topic configured for the path, or to the topic whose own path it is, and is refused otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from lineage_pipeline.books.deployments import read_deployments
from lineage_pipeline.books.index_file import find_rows, read_rows
from lineage_pipeline.books.index_files import work_through
from lineage_pipeline.books.object_store import ObjectInfo, ObjectStore, read_many
from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.deployment import FOLDER
from lineage_pipeline.core.evidence import IndexEvidence
from lineage_pipeline.core.offset_index import IndexRow
from lineage_pipeline.errors import IndexFileError, StoreError

TOPIC_DIRECTORY = "kafka_topic="


@dataclass(frozen=True)
class IndexPath:
    """Where one topic's index is. `sole`: no other topic's index is at the same path or below it."""

    store: ObjectStore
    topic: str
    sole: bool = True


@dataclass(frozen=True)
class IndexListing:
    """The topic's files, and a sentence per file of which nobody can say whose it is."""

    files: tuple[ObjectInfo, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class LocatedRow:
    """A row that holds an offset, and the key of its file."""

    key: str
    row: IndexRow


@dataclass(frozen=True)
class Located:
    """All rows that hold an offset, and what kept the look from being whole."""

    rows: tuple[LocatedRow, ...] = ()
    problems: tuple[str, ...] = field(default_factory=tuple)


def read_index(path: IndexPath) -> IndexEvidence:
    """Everything the index says about the topic. Never raises: what cannot be read is in `status` and `problems`.

    One LIST per 1,000 keys and one GET per file.
    """
    try:
        listing = list_index(path)
        records = read_deployments(path.store, path.topic)
    except StoreError as error:
        return IndexEvidence("unreadable", problems=(f"the offset index could not be read: {error}",))
    builder, problems = CoverageBuilder(), [*listing.problems]
    for _, part in work_through(path.store, [info.key for info in listing.files], _collected):
        if isinstance(part, IndexFileError):
            problems.append(str(part))
        else:
            builder.extend(part)
    return IndexEvidence(
        status="read",
        coverage=builder.build(),
        deployments=records.deployments,
        problems=tuple(problems),
        deployment_problems=records.problems,
        newest=max((info.last_modified for info in listing.files), default=None),
        files=len(listing.files),
    )


def _collected(key: str, content: bytes) -> CoverageBuilder:
    part = CoverageBuilder()
    for rows in read_rows(key, content):
        part.add(rows)
    return part


def has_index(store: ObjectStore) -> bool:
    """Whether any file or deployment record is below the root. Raises StoreError when that cannot be told.

    What audits, repairs and replays note there, or keep in a hidden place of their own, makes no index of it: a
    mistyped path would be a readable one as soon as it was audited.
    """
    return store.exists() and (_any(store.list()) or _any(store.list(FOLDER)))


def list_index(path: IndexPath) -> IndexListing:
    """The topic's files by key. Raises StoreError when the path is not there or cannot be listed whole."""
    there = path.store.exists()
    listed = sorted(path.store.list(), key=lambda one: one.key) if there else []
    if not (listed or (there and not _any(path.store.list(hidden=True))) or has_index(path.store)):
        raise StoreError(f"nothing is at {path.store.uri}: check the path, or whether the job ever wrote there")
    own = topic_of(path.store.uri)
    if own is not None and own != path.topic:
        raise StoreError(f"{path.store.uri} is the index of topic {own}, not of {path.topic}: check the path")
    files, problems = [], []
    for info in listed:
        topic = topic_of(info.key.rpartition("/")[0]) or own
        if topic is None and not path.sole:
            problems.append(
                f"index file {info.key} refused: it is in no {TOPIC_DIRECTORY} directory, and several topics share"
                f" {path.store.uri}: give each topic a path of its own"
            )
        elif topic in {None, path.topic}:
            files.append(info)
    return IndexListing(tuple(files), tuple(problems))


def locate_rows(path: IndexPath, partition: int, offset: int, end: int | None = None) -> Located:
    """Every row of the topic that holds the offset, or any of [offset, end), oldest window first.

    Raises StoreError when listing fails.
    """
    listing = list_index(path)
    problems, found = [*listing.problems], []
    for key, content in read_many(path.store, [info.key for info in listing.files]):
        if isinstance(content, StoreError):
            problems.append(f"index file {key} refused: {content}")
            continue
        try:
            found += [LocatedRow(key, row) for row in find_rows(key, content, partition, offset, end)]
        except IndexFileError as error:
            problems.append(str(error))
    found.sort(key=lambda one: (one.row.window_start, one.key))
    return Located(tuple(found), tuple(problems))


def _any(listing: Iterator[ObjectInfo]) -> bool:
    return next(listing, None) is not None


def topic_of(key: str) -> str | None:
    """The topic that the innermost `kafka_topic=` directory of a path names; None without one."""
    for segment in reversed(key.rstrip("/").split("/")):
        if segment.startswith(TOPIC_DIRECTORY):
            return unquote(segment[len(TOPIC_DIRECTORY) :])
    return None
