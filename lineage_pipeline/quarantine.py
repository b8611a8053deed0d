"""Use case: what is in quarantine, by error class, with examples; and which of it was replayed to data since.

Only quarantine files are read, and of them no payloads but those of the examples. Which rows were replayed is known
from the claims and the manifest; objects that replays wrote after the newest audit of the lake are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from lineage_pipeline.books.deployments import read_deployments
from lineage_pipeline.books.index_ages import quarantined_since
from lineage_pipeline.books.index_store import IndexPath, read_index
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.lake_files import look_at
from lineage_pipeline.books.lake_listing import list_table
from lineage_pipeline.books.lake_records import RecordFile
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.quarantine_rows import quarantined_rows
from lineage_pipeline.core.deployment import TopicNow, topic_now
from lineage_pipeline.core.lake_comparison import shown
from lineage_pipeline.core.lake_manifest import LakeObject
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.quarantine_classes import (
    MAX_PAYLOAD,
    ClassCounter,
    ErrorClass,
    Example,
    Selection,
    total,
)
from lineage_pipeline.core.repair_plan import union_by_partition
from lineage_pipeline.core.replay_claim import ReplayClaim, claimed_offsets
from lineage_pipeline.errors import LakeFileError, LedgerError, StoreError

FORMAT = "lineage-quarantine/1"
Progress = Callable[[int, int], None]  # files read, and how many there are


@dataclass(frozen=True)
class QuarantineRequest:
    """What to list. `book` has a quarantine table; `index`: the root of the offset index; `examples`: of each class."""

    topic: str
    index: ObjectStore
    book: LakeBook
    selection: Selection = field(default_factory=Selection)
    examples: int = 3
    progress: Progress = lambda _done, _all: None


@dataclass(frozen=True)
class QuarantineListing:
    """What is there. `problems`: what could not be read, so that there may be more."""

    topic: str
    classes: tuple[ErrorClass, ...]
    files: int
    problems: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """All rows of all classes."""
        return total(self.classes)

    @property
    def replayed(self) -> int:
        """How many of them were replayed to data."""
        return sum(one.replayed for one in self.classes)

    @property
    def exit_code(self) -> int:
        """0; 3 when something could not be read."""
        return 3 if self.problems else 0

    def to_json(self) -> dict[str, Any]:
        """As `lineage quarantine --json` prints it."""
        return {
            "format": FORMAT,
            "topic": self.topic,
            "records": self.records,
            "replayed": self.replayed,
            "files": self.files,
            "classes": [one.to_json() for one in self.classes],
            "problems": list(self.problems),
        }


def list_quarantine(request: QuarantineRequest, at: datetime) -> QuarantineListing:
    """The rows by class. Raises StoreError when the table cannot be listed, or not be told what was replayed."""
    now, unknown = read_topic_now(request.index, request.topic)
    objects = quarantine_files(request.book, request.selection, now)
    replayed = _replayed(request, now, at)
    counter, problems = ClassCounter(request.examples), [*unknown]
    if not objects and not quarantine_files(request.book, Selection(), TopicNow()):
        problems += lacking_files(request.book, request.index, request.topic, replayed, at)
    for number, one in enumerate(objects, 1):
        try:
            for error_class, row in _rows(request, one, replayed):
                counter.add(error_class, row)
        except (LakeFileError, StoreError) as error:
            problems.append(f"{shown(one)} could not be read to its end: {error}")
        request.progress(number, len(objects))
    classes = counter.classes()
    for found in classes:
        found.examples = [_with_payload(request.book, one) for one in found.examples]
    return QuarantineListing(request.topic, classes, len(objects), tuple(problems))


def read_topic_now(index: ObjectStore, topic: str) -> tuple[TopicNow, tuple[str, ...]]:
    """Which topic of the name is read now, by the deployment records; and why it may be another one.

    Raises StoreError when they cannot be listed.
    """
    if not index.exists():
        return TopicNow(), ()
    book = read_deployments(index, topic)
    return topic_now(book.deployments), book.problems


def quarantine_files(book: LakeBook, selection: Selection, now: TopicNow) -> list[LakeObject]:
    """The topic's quarantine files that are meant, oldest first; not those of a topic of the name that is no more.

    Raises StoreError when they cannot be listed.
    """
    store = book.tables["quarantine"]
    if not store.exists():  # the job makes the directory when it has something to put there
        return []
    listing = list_table(store, "quarantine", book.layout)
    if listing.problem:
        raise StoreError(listing.problem)
    since = max(selection.since or 0.0, now.since or 0.0)
    return sorted((one for one in listing.objects if one.modified >= since), key=lambda one: (one.modified, one.key))


def lacking_files(
    book: LakeBook, index: ObjectStore, topic: str, replayed: Mapping[int, RangeSet], at: datetime
) -> list[str]:
    """Why a quarantine without any file is no empty one, if so: by the index, which counts what went there.

    What was `replayed` may have been tidied away, and what is older than `data_days` left by rule. Raises StoreError
    or IndexFileError when the index cannot be read any more.
    """
    path = IndexPath(index, topic)
    said = read_index(path)
    counted = sum(one.quarantined for one in said.coverage.values())
    counted -= sum(ranges.total for ranges in replayed.values())
    if counted > 0 and book.data_days is not None and not said.problems:
        counted = quarantined_since(path, (at - timedelta(days=book.data_days)).timestamp(), replayed)
    where = f"no quarantine file of {topic} is at {book.tables['quarantine'].uri}"
    if counted > 0:
        return [f"{where}, but the index counts {counted} records there: check QUARANTINE_PATH"]
    if said.problems or not said.files:
        why = said.problems[0] if said.problems else f"no index file of {topic} is at {index.uri}"
        return [f"{where}, and the index does not tell that nothing went there ({why}): check the topic and its paths"]
    return []


def claims_of(book: LakeBook, now: TopicNow) -> tuple[ReplayClaim, ...]:
    """The replays of the topic that is now. Raises StoreError or LedgerError.

    What was claimed before any record named a topic belongs to the first one that is named.
    """
    claims = book.replays.claims() if book.replays is not None else ()
    ours = {(now.cluster_id, now.topic_id), *([(None, None)] if now.since is None else [])}
    return tuple(one for one in claims if (one.cluster_id, one.topic_id) in ours)


def _replayed(request: QuarantineRequest, now: TopicNow, at: datetime) -> dict[int, RangeSet]:
    """By partition, what replays have taken on and is in data."""
    try:
        claims = claims_of(request.book, now)
    except LedgerError as error:
        raise StoreError(str(error)) from None
    if not claims:
        return {}
    manifest = request.book.kept().manifest
    in_data = manifest.chosen(lambda one: one.left is None and one.listed.table == "data")
    parts = [(partition, runs.ranges()) for partition, runs in in_data.by_partition()]
    known = manifest.present()
    for one in _written(request.book, claims):
        if one.name not in known or not known[one.name].listed.is_same(one):
            looked = look_at(request.book.tables["data"], one, request.book.layout, at.timestamp(), every_page=False)
            parts += [(partition, held.exact) for partition, held in looked.looked.coverage.items()]
    held = union_by_partition(parts)
    return {
        partition: ranges.intersection(held.get(partition, EMPTY))
        for partition, ranges in claimed_offsets(claims).items()
    }


def _written(book: LakeBook, claims: Sequence[ReplayClaim]) -> Iterator[LakeObject]:
    """The objects of the claims that are there."""
    keys = {key for claim in claims for key in claim.object_keys()}
    store = book.tables["data"]
    if not store.exists():
        return
    for folder in sorted({key.rpartition("/")[0] for key in keys}):
        for info in store.list(folder):
            if info.key in keys:
                yield LakeObject("data", info.key, info.size, info.etag, info.last_modified)


def _rows(request: QuarantineRequest, one: LakeObject, replayed: dict[int, RangeSet]) -> Iterator[tuple[str, Example]]:
    """The selected rows of a file with their classes, without payloads."""
    store, chosen = request.book.tables["quarantine"], request.selection
    for row in quarantined_rows(store, one, request.book.layout, payloads=False):
        partition, offset = row.partition, row.record.offset
        if chosen.takes(partition, offset, row.error_class):
            done = offset in replayed.get(partition, EMPTY)
            yield row.error_class, Example(partition, offset, row.record.timestamp, row.error, one, replayed=done)


def _with_payload(book: LakeBook, one: Example) -> Example:
    """The example with the beginning of its payload; as it is when the payload cannot be read."""
    try:
        file = RecordFile(book.tables["quarantine"], one.file, book.layout)
        found = [place.record for place in file.find(one.partition, one.offset, record=True) if place.record]
    except (LakeFileError, StoreError):
        return one
    text = found[0].get("payload") if found else None
    if text is None:
        return one
    payload = bytes.fromhex(text)
    return replace(one, payload=payload[:MAX_PAYLOAD], size=len(payload))
