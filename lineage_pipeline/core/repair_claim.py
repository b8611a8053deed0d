"""Pure: what one repair has taken on, as a value and as JSON. Names and times of its objects follow from it alone.

A claim is written once, before anything else. So a repair that was killed is gone on with under the same names, on
another day and by another person too, and what it writes replaces what was there instead of doubling it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage_pipeline.core.claim_text import read_strictly
from lineage_pipeline.core.deployment import REPAIR, Deployment, Isolation
from lineage_pipeline.core.ledger_json import parse_time, time_text
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.errors import LedgerError

FORMAT = "lineage-repair/1"
FOLDER = "_repairs"
WRITER_PREFIX = "repair-"
MAX_NAME = 200

Ranges = Mapping[int, RangeSet]


@dataclass(frozen=True)
class Chunk:
    """The part of a claim that goes into one data object: at most `width` neighbouring offsets of one partition.

    `lost`: in no book, so they get index rows. `damaged`: the index has them already, so they get data alone.
    """

    partition: int
    lost: RangeSet
    damaged: RangeSet

    @property
    def offsets(self) -> RangeSet:
        """Everything in it."""
        return self.lost.union(self.damaged)

    @property
    def bounds(self) -> OffsetRange:
        """From its first offset to its last."""
        found = self.offsets.bounds
        assert found is not None
        return found

    def __len__(self) -> int:
        return self.offsets.total


@dataclass(frozen=True)
class Task:
    """A chunk to be written, and which of its offsets: less than all of them when others came meanwhile.

    `whole`: an object of it is there already, so it is written with all of these offsets or not at all.
    """

    chunk: Chunk
    offsets: RangeSet
    whole: bool = False

    def __len__(self) -> int:
        return self.offsets.total


@dataclass(frozen=True)
class RepairClaim:
    """One repair. `number` counts the topic's repairs from 1; `at`: when it was claimed (UTC); `by`: a person.

    `width`: offsets per object at most. `group` and `checkpoint_interval` (seconds) are for its deployment record.
    """

    number: int
    topic: str
    cluster_id: str
    topic_id: str | None
    lost: Ranges
    damaged: Ranges
    width: int
    isolation: Isolation
    group: str
    checkpoint_interval: float
    at: datetime
    by: str

    @property
    def writer(self) -> str:
        """Its id in index rows and names of objects: by number, topic, incarnation and ranges."""
        ranges = [written_ranges(self.lost), written_ranges(self.damaged)]
        told = [self.topic, self.cluster_id, self.topic_id, *ranges, self.width]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        return f"{WRITER_PREFIX}{self.number:06d}-{digest[:12]}"

    def deployment(self) -> Deployment:
        """What this writer declares."""
        return Deployment(
            writer=self.writer,
            topic=self.topic,
            cluster_id=self.cluster_id,
            topic_id=self.topic_id,
            group=self.group,
            start_offsets={},
            isolation=self.isolation,
            checkpoint_interval=self.checkpoint_interval,
            plan_hash=FORMAT,
            started_at=self.at,
            reason=REPAIR,
        )

    def chunks(self) -> Iterator[Chunk]:
        """Its parts: cut at multiples of `width`, in the order of partition and offset."""
        for partition in sorted({*self.lost, *self.damaged}):
            lost, damaged = self.lost.get(partition, EMPTY), self.damaged.get(partition, EMPTY)
            for cell in _cells(lost.union(damaged), self.width):
                bounds = (cell * self.width, (cell + 1) * self.width)
                yield Chunk(partition, lost.clip(*bounds), damaged.clip(*bounds))

    def name(self, chunk: Chunk) -> str:
        """The name that the chunk's objects have in all three tables."""
        return f"{self.writer}-{chunk.partition}-{chunk.bounds.start}-{chunk.bounds.end - 1}.parquet"

    def data_key(self, chunk: Chunk) -> str:
        """Key of its data object below OUTPUT_PATH; the hour is that of the claim."""
        return f"{self._day}/hour={self.at:%H}/{self.name(chunk)}"

    def quarantine_key(self, chunk: Chunk) -> str:
        """Key of its quarantine object below QUARANTINE_PATH."""
        return f"{self._day}/{self.name(chunk)}"

    def index_key(self, chunk: Chunk) -> str:
        """Key of its index object below OFFSET_INDEX_PATH. It is written last: where it is, the chunk is finished."""
        return f"{self._day}/{self.name(chunk)}"

    @property
    def _day(self) -> str:
        return f"kafka_topic={self.topic}/dt={self.at:%Y-%m-%d}"

    def to_json(self) -> str:
        """The claim's text; equal claims give equal text."""
        return json.dumps(
            {
                "format": FORMAT,
                "number": self.number,
                "writer": self.writer,
                "topic": self.topic,
                "cluster_id": self.cluster_id,
                "topic_id": self.topic_id,
                "lost": written_ranges(self.lost),
                "damaged": written_ranges(self.damaged),
                "width": self.width,
                "isolation": self.isolation,
                "group": self.group,
                "checkpoint_interval": self.checkpoint_interval,
                "at": time_text(self.at),
                "by": self.by,
            },
            indent=1,
        )


def parse_claim(name: str, text: str) -> RepairClaim:
    """The claim in `text`; `name` is its key, for messages.

    Raises LedgerError, naming the key, for anything that is not exactly a claim of this version: what an earlier
    repair may have begun must not be guessed.
    """
    try:
        return read_strictly(text, FORMAT, _claim)
    except ValueError as error:
        raise _refused(name, str(error)) from None


def _claim(raw: Mapping[str, Any]) -> RepairClaim:
    isolation, number, width = raw["isolation"], raw["number"], raw["width"]
    whole = all(type(one) is int and one >= 1 for one in (number, width))
    if isolation not in {"read_committed", "read_uncommitted"} or not whole or not isinstance(raw["by"], str):
        raise ValueError(f"{isolation!r}, {number!r}, {width!r}")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", raw["topic"]):
        raise ValueError(f"{raw['topic']!r} is no topic")
    return RepairClaim(
        number=number,
        topic=raw["topic"],
        cluster_id=raw["cluster_id"],
        topic_id=raw["topic_id"],
        lost=read_ranges(raw["lost"]),
        damaged=read_ranges(raw["damaged"]),
        width=width,
        isolation=isolation,
        group=raw["group"],
        checkpoint_interval=float(raw["checkpoint_interval"]),
        at=parse_time(raw["at"]),
        by=raw["by"],
    )


def written_ranges(ranges: Ranges) -> dict[str, list[list[int]]]:
    """Ranges by partition for JSON; equal ranges are written equally."""
    return {str(one): [[part.start, part.end] for part in ranges[one]] for one in sorted(ranges) if len(ranges[one])}


def read_ranges(raw: Mapping[str, Any]) -> dict[int, RangeSet]:
    """What written_ranges wrote. Raises ValueError, TypeError or AttributeError."""
    found = {int(one): RangeSet.from_pairs((start, end) for start, end in pairs) for one, pairs in raw.items()}
    if any(not 0 <= one <= MAX_PARTITION for one in found):
        raise ValueError("a partition is not 0 to 2**31 - 1")
    return found


def _cells(offsets: RangeSet, width: int) -> list[int]:
    """The multiples of `width` at or below any of the offsets."""
    cells: set[int] = set()
    for one in offsets:
        cells.update(range(one.start // width, (one.end - 1) // width + 1))
    return sorted(cells)


def _refused(name: str, why: str) -> LedgerError:
    return LedgerError(f"repair claim {name} cannot be read ({why}): restore it before anything is repaired")
