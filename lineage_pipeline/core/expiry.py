"""Pure: how long the log still keeps records: until when a loss can be repaired and evidence can be read.

Two things are known. By the topic's `retention.ms` a broker keeps a record at least until its Kafka timestamp plus
that time. By the auditor's own looks the log start moves at some pace. The pace counts where `retention.ms` does not
decide alone: a size limit is set, the limits could not be read, or the log lost records before their time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from typing import Literal

from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.memory import Resolution
from lineage_pipeline.core.offsets import OffsetRange

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ADVANCES = 2  # one step of the log start is a whole segment, not a pace


@dataclass(frozen=True)
class Deadline:
    """When the broker may remove the first record of a range, at the earliest: an aware UTC time, perhaps past.

    `left`: seconds from the audit to then, never below 0. `share`: `left` as a part, 0 to 1, of how long the log keeps
    a record altogether.
    """

    until: datetime
    left: float
    share: float
    basis: Literal["retention.ms", "log-start"]

    @property
    def text(self) -> str:
        """As the end of a sentence about records."""
        then = f"{shown(self.until)}, {span(self.left)} from this audit"
        if self.basis == "retention.ms":
            if not self.left:
                return "retention.ms lets the broker remove them at any time"
            return f"retention.ms keeps them until {then}"
        return f"at its pace the log start reaches them at about {then}"


@dataclass(frozen=True)
class _Pace:
    """The log start's speed, in offsets per second; `lifetime`: seconds it takes from a record's writing to it."""

    speed: float
    lifetime: float


class Expiry:
    """What one audit knows of how long its topic's partitions keep records."""

    def __init__(self, evidence: AuditEvidence) -> None:
        self._evidence = evidence
        self._readable: dict[int, list[Resolution]] = {}
        for one in evidence.memory.resolutions:
            if one.cause == "repairable":
                self._readable.setdefault(one.partition, []).append(one)
        self._known: dict[int, PartitionExpiry] = {}

    def partition(self, number: int) -> PartitionExpiry:
        """Of one partition; measured when it is asked for first."""
        if number not in self._known:
            self._known[number] = PartitionExpiry(number, self._evidence, self._readable.get(number, ()))
        return self._known[number]


class PartitionExpiry:
    """One partition: the timestamps of its `readable` ranges, and the log start's pace."""

    def __init__(self, partition: int, evidence: AuditEvidence, readable: Sequence[Resolution]) -> None:
        self._now = evidence.audited_at
        self._looks = sorted(
            (
                (one.observed_at, seen)
                for one in evidence.memory.observations
                for seen in [one.partitions.get(partition)]
                if seen is not None and one.observed_at < evidence.audited_at
            ),
            key=lambda look: look[0],
        )
        snapshot = evidence.broker.snapshot
        self._config: Mapping[str, str] = snapshot.config if snapshot else {}
        offsets = snapshot.partitions.get(partition) if snapshot else None
        self._log_start = offsets.log_start if offsets else None
        self._high_watermark = offsets.high_watermark if offsets else None
        self._retention = self._limit("retention.ms")
        self._pace = self._measured()
        self._readable = sorted(readable, key=lambda one: one.range)
        self._ends = list(accumulate((one.range.end for one in self._readable), max))

    def of_readable(self, one: OffsetRange) -> Deadline | None:
        """For a range in which records were read, by their own timestamps; None when nothing is known or no limit."""
        first = bisect_right(self._ends, one.start)
        stamps = []
        for found in self._readable[first:]:
            if found.range.start >= one.end:
                break
            if found.range.end > one.start and found.first_timestamp is not None:
                stamps.append(found.first_timestamp)
        return self._earliest(one.start, min(stamps, default=None))

    def sentence(self, deadline: Deadline | None) -> str:
        """How long records are kept that were read; empty when nobody knows."""
        if deadline is not None:
            return deadline.text
        unlimited = self._config.get("retention.ms") == "-1"
        return "retention.ms sets no limit" if unlimited else ""

    def of_unread(self, one: OffsetRange) -> Deadline | None:
        """For a range nobody read: its records were written after an own look that ended at or below it."""
        if self._log_start is None or one.start < self._log_start:
            return None
        before = [
            at for at, seen in self._looks if seen.high_watermark is not None and seen.high_watermark <= one.start
        ]
        return self._earliest(one.start, int(max(before).timestamp() * 1000) if before else None)

    def _earliest(self, offset: int, stamp: int | None) -> Deadline | None:
        found = [self._by_time(stamp), self._by_pace(offset)]
        return min((one for one in found if one is not None), key=lambda one: one.until, default=None)

    def _by_time(self, stamp: int | None) -> Deadline | None:
        if stamp is None or self._retention is None:
            return None
        return self._deadline(stamp / 1000 + self._retention, self._retention, "retention.ms")

    def _by_pace(self, offset: int) -> Deadline | None:
        if self._pace is None or self._log_start is None:
            return None
        reached = self._now.timestamp() + max(0, offset - self._log_start) / self._pace.speed
        return self._deadline(reached, self._pace.lifetime, "log-start")

    def _deadline(self, until: float, lifetime: float, basis: Literal["retention.ms", "log-start"]) -> Deadline | None:
        try:
            moment = _EPOCH + timedelta(seconds=until)
        except OverflowError:
            return None  # beyond the year 9999: no limit that anybody will meet
        left = max(0.0, until - self._now.timestamp())
        return Deadline(moment, left, min(1.0, left / lifetime) if lifetime > 0 else 0.0, basis)

    def _measured(self) -> _Pace | None:
        """The fastest pace over any stretch of looks in which the log start moved more than once."""
        if self._log_start is None or not self._pace_counts():
            return None
        looks = [(at, seen.log_start) for at, seen in self._looks if seen.log_start is not None]
        paces, ends = [], {self._log_start}
        for at, start in reversed(looks):
            ends.add(start)
            seconds = (self._now - at).total_seconds()
            if len(ends) > _ADVANCES and self._log_start > start:
                paces.append((self._log_start - start) / seconds)
        if not paces:
            return None
        speed = max(paces)
        return _Pace(speed, max(0, (self._high_watermark or 0) - self._log_start) / speed)

    def _pace_counts(self) -> bool:
        if self._retention is None or self._limit("retention.bytes") is not None:
            return True
        # what was written after such a look is gone already, so it was younger than retention.ms
        return any(
            seen.high_watermark is not None
            and self._log_start is not None
            and seen.high_watermark < self._log_start
            and (self._now - at).total_seconds() < self._retention
            for at, seen in self._looks
        )

    def _limit(self, key: str) -> float | None:
        """A limit of the topic, in seconds or bytes; None when there is none, or none that is known."""
        value = self._config.get(key, "")
        if not value.isdecimal() or "delete" not in self._config.get("cleanup.policy", "delete"):
            return None  # -1 is no limit
        return int(value) / 1000 if key.endswith(".ms") else float(value)


def shown(moment: datetime) -> str:
    """To the second, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """In the two largest units that count."""
    minutes = int(seconds // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
