"""Pure: the rows of a quarantine by error class: how many, where, since when, and some to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lineage_pipeline.core.lake_manifest import LakeObject
from lineage_pipeline.core.offset_index import iso_time
from lineage_pipeline.core.offsets import OffsetRange

MAX_PAYLOAD = 64  # bytes of an example that are shown


@dataclass(frozen=True)
class Selection:
    """Which rows are meant. None: all of them. `since`: of files that the store took from then on (epoch seconds)."""

    error_class: str | None = None
    partition: int | None = None
    offsets: OffsetRange | None = None
    since: float | None = None

    def takes(self, partition: int, offset: int, error_class: str) -> bool:
        """Whether a row is meant, by where it is and why."""
        return (
            self.error_class in {None, error_class}
            and self.partition in {None, partition}
            and (self.offsets is None or offset in self.offsets)
        )


@dataclass(frozen=True)
class Example:
    """One row: its place, Kafka's timestamp in ms (-1: none), its error, its file, whether it was replayed to data.

    `payload`: the first MAX_PAYLOAD bytes, and `size` how many there are; None for a tombstone, or not looked at.
    """

    partition: int
    offset: int
    timestamp: int
    error: str
    file: LakeObject
    replayed: bool = False
    payload: bytes | None = None
    size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As `lineage quarantine --json` prints it: the payload in hex."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "kafka_timestamp": shown_time(self.timestamp),
            "error": self.error,
            "replayed": self.replayed,
            "file": self.file.key,
            "payload": None if self.payload is None else self.payload.hex(),
            "payload_bytes": self.size,
        }


@dataclass
class PartitionRows:
    """How many rows of one partition, and their first and last offset."""

    records: int
    first: int
    last: int


@dataclass
class ErrorClass:
    """All rows of one class. `first` and `last` by Kafka's timestamp; `examples` have errors that differ, if any do."""

    name: str
    first: Example
    last: Example
    records: int = 0
    replayed: int = 0
    partitions: dict[int, PartitionRows] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As `lineage quarantine --json` prints it."""
        return {
            "class": self.name,
            "records": self.records,
            "replayed": self.replayed,
            "partitions": [
                {"partition": number, "records": one.records, "first_offset": one.first, "last_offset": one.last}
                for number, one in sorted(self.partitions.items())
            ],
            "first": {
                "partition": self.first.partition,
                "offset": self.first.offset,
                "kafka_timestamp": shown_time(self.first.timestamp),
            },
            "last": {
                "partition": self.last.partition,
                "offset": self.last.offset,
                "kafka_timestamp": shown_time(self.last.timestamp),
            },
            "examples": [one.to_json() for one in self.examples],
        }


class ClassCounter:
    """Counts rows by class. Memory follows the number of classes and partitions, not the rows."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._classes: dict[str, ErrorClass] = {}

    def add(self, error_class: str, row: Example) -> None:
        """Take a row into account."""
        known = self._classes.get(error_class)
        if known is None:
            known = self._classes[error_class] = ErrorClass(error_class, row, row)
        known.records += 1
        known.replayed += row.replayed
        moment = (row.timestamp, row.partition, row.offset)
        if moment < (known.first.timestamp, known.first.partition, known.first.offset):
            known.first = row
        if moment > (known.last.timestamp, known.last.partition, known.last.offset):
            known.last = row
        place = known.partitions.get(row.partition)
        if place is None:
            known.partitions[row.partition] = PartitionRows(1, row.offset, row.offset)
        else:
            place.records += 1
            place.first, place.last = min(place.first, row.offset), max(place.last, row.offset)
        if len(known.examples) < self._examples and all(one.error != row.error for one in known.examples):
            known.examples.append(row)

    def classes(self) -> tuple[ErrorClass, ...]:
        """The classes, the largest first."""
        return tuple(sorted(self._classes.values(), key=lambda one: (-one.records, one.name)))


def shown_time(timestamp: int) -> str | None:
    """Milliseconds as ISO 8601 in UTC; None where Kafka gave no timestamp."""
    return None if timestamp < 0 else iso_time(timestamp)


def total(classes: Iterable[ErrorClass]) -> int:
    """All rows of the classes."""
    return sum(one.records for one in classes)
