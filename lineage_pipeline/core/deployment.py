"""Pure: what a writer declares before it reads its first record, as a value and as JSON.

The job stores it at `OFFSET_INDEX_PATH/_deployments/<writer>.json`; the auditor takes baseline, isolation level and
incarnation from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from heapq import heappop, heappush
from typing import Any, Literal, TypeVar, cast

from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.errors import IndexFileError

FORMAT = "lineage-deployment/1"
FOLDER = "_deployments"
REPAIR = "repair"  # the reason of a record that a repair wrote
_STORE_SKEW = 900.0  # seconds; S3 refuses requests of clocks that are further off

Isolation = Literal["read_committed", "read_uncommitted"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Deployment:
    """One start of a writer.

    `start_offsets`: partition -> offset of the first record it reads. `checkpoint_interval` in seconds. `started_at`
    is an aware UTC time. `topic_id` is None on brokers that know none. `previous`: the writer this one continues.
    `reason`: `first`, `restored`, `new-plan`, `repair`, ... `skipped`: ranges it gave up, by partition. `stored_at`:
    when the store took the record (epoch seconds), which the record itself cannot tell.
    """

    writer: str
    topic: str
    cluster_id: str
    topic_id: str | None
    group: str
    start_offsets: Mapping[int, int]
    isolation: Isolation
    checkpoint_interval: float
    plan_hash: str
    started_at: datetime
    previous: str | None = None
    reason: str = "first"
    skipped: Mapping[int, tuple[OffsetRange, ...]] = field(default_factory=dict)
    stored_at: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.writer):
            raise ValueError(f"writer {self.writer!r} cannot name a file: letters, digits, dot, underscore and dash")
        if self.started_at.utcoffset() is None:
            raise ValueError("started_at has no time zone")
        if any(not 0 <= start <= MAX_END for start in self.start_offsets.values()):
            raise ValueError(f"a start offset of writer {self.writer} is not 0 to 2**63 - 1")

    @property
    def incarnation(self) -> tuple[str, str | None]:
        """(cluster id, topic id): offsets of different incarnations have nothing to do with each other."""
        return self.cluster_id, self.topic_id

    def begins(self, partition: int) -> int:
        """From where on a partition of `start_offsets` is accounted for: what the start gave up lies below them."""
        return min([self.start_offsets[partition], *(one.start for one in self.skipped.get(partition, ()))])

    @property
    def files_since(self) -> float:
        """When its files could begin to come (epoch seconds), by the clock of the store, which times them as well.

        A record that was copied or restored later than the skew of two clocks is believed what it says.
        """
        started, stored = self.started_at.timestamp(), self.stored_at
        return started if stored is None or abs(stored - started) > _STORE_SKEW else stored

    def to_json(self) -> str:
        """The record's text, with sorted partitions, so that equal values give equal bytes."""
        return json.dumps(
            {
                "format": FORMAT,
                "writer": self.writer,
                "topic": self.topic,
                "cluster_id": self.cluster_id,
                "topic_id": self.topic_id,
                "group": self.group,
                "start_offsets": {str(p): self.start_offsets[p] for p in sorted(self.start_offsets)},
                "isolation": self.isolation,
                "checkpoint_interval": self.checkpoint_interval,
                "plan_hash": self.plan_hash,
                "started_at": self.started_at.astimezone(timezone.utc).isoformat(timespec="milliseconds"),
                "previous": self.previous,
                "reason": self.reason,
                "skipped": {str(p): [[r.start, r.end] for r in self.skipped[p]] for p in sorted(self.skipped)},
            },
            indent=1,
        )


def by_jobs(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Those of starts of the job: a repair says nothing about where the topic's reading began."""
    return tuple(one for one in deployments if one.reason != REPAIR)


def in_order(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Oldest first: each behind the one that it continues. Clocks order those of which none continues the other.

    Where some continue each other in a circle, somebody changed them, and the clocks order all.
    """
    by_clock = sorted(deployments, key=lambda one: (one.started_at, one.writer))
    places = {one.writer: place for place, one in enumerate(by_clock)}
    ready: list[int] = []
    continuing: dict[int, list[int]] = {}
    for place, one in enumerate(by_clock):
        before = None if one.previous is None else places.get(one.previous)
        (ready if before is None else continuing.setdefault(before, [])).append(place)
    ordered: list[Deployment] = []
    while ready:  # a list in order is a heap
        place = heappop(ready)
        ordered.append(by_clock[place])
        for later in continuing.get(place, ()):
            heappush(ready, later)
    return tuple(ordered if len(ordered) == len(by_clock) else by_clock)


@dataclass(frozen=True)
class TopicNow:
    """The topic that the job reads now; `since` (epoch seconds): when it began, if another of its name was before."""

    cluster_id: str | None = None
    topic_id: str | None = None
    since: float | None = None


def topic_now(deployments: Iterable[Deployment]) -> TopicNow:
    """Which topic the newest start of the job declares; nothing is known without one."""
    jobs = by_jobs(deployments)
    if not jobs:
        return TopicNow()
    identity = (jobs[-1].cluster_id, jobs[-1].topic_id)
    mine = [one for one in jobs if (one.cluster_id, one.topic_id) == identity]
    since = min(one.files_since for one in mine) if len(mine) < len(jobs) else None
    return TopicNow(*identity, since)


def deployment_key(writer: str) -> str:
    """The record's key below the offset index path."""
    return f"{FOLDER}/{writer}.json"


def parse_deployment(name: str, text: str) -> Deployment:
    """The record in `text`; `name` is its key, for messages, and must end in its writer's name.

    Raises IndexFileError, naming the file and the field, for anything that is not exactly a record of this format.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise IndexFileError(f"deployment record {name} refused: it is not JSON") from None
    if not isinstance(raw, dict):
        raise IndexFileError(f"deployment record {name} refused: it is not a JSON object")
    if raw.get("format") != FORMAT:
        raise IndexFileError(
            f"deployment record {name} refused: its format is {raw.get('format')!r}, this version reads {FORMAT!r}"
        )
    fields = _Fields(name, raw)
    try:
        found = Deployment(
            writer=fields.text("writer"),
            topic=fields.text("topic"),
            cluster_id=fields.text("cluster_id"),
            topic_id=fields.optional_text("topic_id"),
            group=fields.text("group"),
            start_offsets=fields.by_partition("start_offsets", _offset),
            isolation=fields.isolation(),
            checkpoint_interval=fields.seconds("checkpoint_interval"),
            plan_hash=fields.text("plan_hash"),
            started_at=fields.time("started_at"),
            previous=fields.optional_text("previous"),
            reason=fields.text("reason"),
            skipped=fields.by_partition("skipped", _ranges),
        )
    except ValueError as error:
        raise IndexFileError(f"deployment record {name} refused: {error}") from None
    if name.rsplit("/", 1)[-1] != f"{found.writer}.json":
        raise IndexFileError(f"deployment record {name} refused: it says it is of writer {found.writer!r}")
    return found


@dataclass(frozen=True)
class _Fields:
    """Typed access to a parsed record; each method raises IndexFileError naming the field."""

    name: str
    raw: dict[str, Any]

    def text(self, field: str) -> str:
        value = self.raw.get(field)
        if not isinstance(value, str) or not value:
            raise self.refused(field)
        return value

    def optional_text(self, field: str) -> str | None:
        return None if field in self.raw and self.raw[field] is None else self.text(field)

    def isolation(self) -> Isolation:
        value = self.text("isolation")
        if value not in {"read_committed", "read_uncommitted"}:
            raise self.refused("isolation")
        return cast("Isolation", value)

    def seconds(self, field: str) -> float:
        value = self.raw.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.refused(field)
        return float(value)

    def time(self, field: str) -> datetime:
        try:  # Python 3.10 does not read a trailing Z
            value = datetime.fromisoformat(self.text(field).replace("Z", "+00:00"))
        except ValueError:
            raise self.refused(field) from None
        if value.utcoffset() is None:
            raise self.refused(field)
        return value.astimezone(timezone.utc)

    def by_partition(self, field: str, read: Callable[[Any], _T]) -> dict[int, _T]:
        value = self.raw.get(field)
        if not isinstance(value, dict) or not all(re.fullmatch(r"0|[1-9]\d{0,9}", key) for key in value):
            raise self.refused(field)
        try:
            return {int(key): read(value[key]) for key in sorted(value, key=int)}
        except (TypeError, ValueError):
            raise self.refused(field) from None

    def refused(self, field: str) -> IndexFileError:
        shown = repr(self.raw[field])[:80] if field in self.raw else "missing"
        return IndexFileError(f"deployment record {self.name} refused: its {field} is {shown}")


def _offset(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_END:
        raise ValueError(value)
    return value


def _ranges(value: Any) -> tuple[OffsetRange, ...]:
    return tuple(OffsetRange(_offset(start), _offset(end)) for start, end in value)
