"""Pure: from what re-reading showed to the cause of every offset of a hole. docs/causes.md explains the causes.

Nothing is explained unless both isolation levels were read through it, and nothing is missing unless a record was seen
there or the log's start passed it. Parts of one hole may have different causes; together they make up the hole exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets
from lineage_pipeline.core.classes import OffsetClass
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import FoundRun, OpenOffsets, Scan, Stop
from lineage_pipeline.core.memory import Observation, Resolution
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet

_GATHERING_SECONDS = 600.0  # an observation is stamped when it ended; the broker was asked at most this much earlier
_NO_POLICY = "whether the topic is compacted could not be read: grant DescribeConfigs on it"
_ABORTED = "only a read_uncommitted reader sees these records: their transaction was aborted"
_ALL_THAT_CAN_BE = {"unproven", "index-unreadable"}  # of what is unknown, a further reading would not tell more
NOT_REACHED = Stop("budget", "the audit's budget for reading again was used up; the next audit goes on")


@dataclass(frozen=True)
class Looks:
    """The two looks at the broker around the reading; `after` is None when it failed, for the reason `problem`."""

    before: BrokerSnapshot
    after: BrokerSnapshot | None
    problem: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What else counts. `isolation` is the writer's, `finished_at` the aware time when the reading was over.

    `transactional`: the topic is known to hold transactions. `index_whole`: no index file was refused. `indexed`: some
    offset of the topic is in the index, so that records and markers behind it were looked at. `holes_read`: every hole
    that the logs still hold was read, so that markers among them would have been seen.
    """

    isolation: Isolation
    finished_at: datetime
    observations: tuple[Observation, ...] = ()
    transactional: bool = False
    index_whole: bool = True
    indexed: bool = True
    holes_read: bool = True


def resolve(
    opened: Mapping[int, OpenOffsets], scans: Iterable[Scan], looks: Looks, circumstances: Circumstances
) -> tuple[Resolution, ...]:
    """The cause of every offset of every due hole, and of those offsets of the tails where no record is.

    The result tiles the due holes exactly; it is ordered so that equal sentences of a partition stand together.
    """
    by_partition: dict[int, list[Scan]] = {}
    for scan in scans:
        by_partition.setdefault(scan.partition, []).append(scan)

    def told(knowing: Circumstances) -> list[Resolution]:
        found: list[Resolution] = []
        for partition, one in sorted(opened.items()):
            found += _PartitionHoles(partition, one, by_partition.get(partition, []), looks, knowing).resolve()
        return found

    first = told(circumstances)
    if not circumstances.transactional and shows_transactions(first):
        # markers in one partition: holes that the log's start has passed in another may have been markers too
        first = told(replace(circumstances, transactional=True))
    elif any(one.offset_class == "unknown" and one.cause not in _ALL_THAT_CAN_BE for one in first):
        first = told(replace(circumstances, holes_read=False))
    return tuple(first)


def shows_transactions(resolutions: Iterable[Resolution]) -> bool:
    """Whether some of them can only be there because the topic holds transactions."""
    return any(one.cause in {"control-marker", "aborted"} for one in resolutions)


class _PartitionHoles:
    """One partition's open offsets; each claim takes its part of what is left, the strongest contradiction first."""

    def __init__(
        self, partition: int, opened: OpenOffsets, scans: list[Scan], looks: Looks, circumstances: Circumstances
    ) -> None:
        self.partition = partition
        self.due, self.tail = opened.due, opened.tail
        self.scans = scans
        self.looks = looks
        self.knowing = circumstances
        self.left = opened.due
        self.resolutions: list[Resolution] = []
        mine = circumstances.isolation
        other: Isolation = "read_uncommitted" if mine == "read_committed" else "read_committed"
        self.readable, self.runs = self._found(mine)
        self.run_starts = [run.start for run in self.runs]
        self.elsewhere, _ = self._found(other)
        self.absent = (
            self._passed(mine).intersection(self._passed(other)).difference(self.readable.union(self.elsewhere))
        )
        self.elsewhere = self.elsewhere.intersection(self._passed(mine)).difference(self.readable)

    def resolve(self) -> list[Resolution]:
        before, after = self.looks.before, self.looks.after
        if after is None:
            return self._all("broker-unreachable", f"the broker did not answer after the reading: {self.looks.problem}")
        if (before.cluster_id, before.topic_id) != (after.cluster_id, after.topic_id):
            return self._all("incarnation", "the topic was deleted and created again during the reading")
        then, now = before.partitions.get(self.partition), after.partitions.get(self.partition)
        if now is None or then is None or now.error or then.error:
            reason = (now and now.error) or (then and then.error) or "the partition is not among the broker's"
            return self._all("broker-unreachable", reason)
        self._expired(then, now)
        if self._log_was_replaced(then, now):
            return self.resolutions
        self._claim_readable()
        self._gaps()
        self._not_passed()
        return self.resolutions

    def _all(self, cause: str, text: str) -> list[Resolution]:
        self._claim(self.left, "unknown", cause, text)
        return self.resolutions

    def _claim(self, ranges: RangeSet, offset_class: OffsetClass, cause: str, text: str) -> None:
        taken = self._taken(ranges)
        self.resolutions += [Resolution(self.partition, one, offset_class, cause, text) for one in taken]

    def _claim_readable(self) -> None:
        for one in self._taken(self.readable):
            stamps = self._timestamps(one)
            text = _readable_text(len(one), stamps)
            first = min((stamp for stamp in stamps if stamp is not None), default=None)
            self.resolutions.append(Resolution(self.partition, one, "missing", "repairable", text, first))

    def _taken(self, ranges: RangeSet) -> RangeSet:
        taken = self.left.intersection(ranges)
        self.left = self.left.difference(taken)
        return taken

    def _expired(self, then: PartitionOffsets, now: PartitionOffsets) -> None:
        """What the log's start has passed. Whether records were there is known only where one was read."""
        gone_before, gone = _below(then.log_start), _below(now.log_start)
        self._claim(self.readable.intersection(gone), "missing", "expired", "read a moment ago, then removed")
        if self.knowing.isolation == "read_committed":
            self._explain(self.elsewhere.intersection(gone), "aborted", _ABORTED)
            self.elsewhere = self.elsewhere.difference(gone)
        lost = "the log start has passed them and no index row covers them"
        if not self.knowing.index_whole:
            self._claim(gone_before, "unknown", "index-unreadable", f"{lost}, but a refused index file may")
        if self._compactable() is None:
            self._claim(gone_before, "unknown", "unresolved", f"{lost}; {_NO_POLICY}")
        if self._compactable():
            self._claim(gone_before, "unknown", "unproven", f"{lost}; compaction may have removed them before")
        if self.knowing.transactional:
            self._claim(gone_before, "unknown", "unproven", f"{lost}; they may have been transaction markers")
        if not self.knowing.indexed:
            # nothing was ever read through, so nothing can have spoken of transactions yet
            text = f"{lost}; nothing is indexed yet, so whether they were records or transaction markers is not known"
            self._claim(gone_before, "unknown", "unresolved", text)
        if not self.knowing.holes_read:
            text = f"{lost}; other holes could not be read, so whether these were transaction markers is not known"
            self._claim(gone_before, "unknown", "unresolved", text)
        self._claim(gone_before, "missing", "expired", lost)
        self._claim(gone, "unknown", "unresolved", "the log start passed them while they were read")
        self.absent = self.absent.difference(gone)

    def _log_was_replaced(self, then: PartitionOffsets, now: PartitionOffsets) -> bool:
        """Whether the log after the reading is not the one before it, so that the reading proves nothing."""
        assert then.high_watermark is not None
        assert now.high_watermark is not None
        if now.high_watermark < then.high_watermark:
            cut = RangeSet.of(OffsetRange(now.high_watermark, max(then.high_watermark, self._end())))
            text = f"the high watermark went back from {then.high_watermark} to {now.high_watermark}"
            self._claim(self.readable.intersection(cut), "missing", "truncated", f"read a moment ago, then {text}")
            self._claim(cut, "unknown", "incarnation", text)
            self._claim(self.left, "unknown", "unresolved", f"{text} during the reading")
            return True
        if None not in (then.leader_epoch, now.leader_epoch) and then.leader_epoch != now.leader_epoch:
            text = f"the leader epoch changed from {then.leader_epoch} to {now.leader_epoch} during the reading"
            self._claim(self.left, "unknown", "unresolved", text)
            return True
        return False

    def _gaps(self) -> None:
        """What the writer could not read."""
        if self.knowing.isolation == "read_committed":
            self._explain(self.elsewhere, "aborted", _ABORTED)
        else:
            text = "a read_committed reader sees records that a read_uncommitted reader does not"
            self._claim(self.elsewhere, "unknown", "unresolved", text)
        nothing = "no record can be read there in either isolation level"
        compactable = self._compactable()
        if compactable is False:
            text = f"{nothing}, and the log is whole and not compacted: transaction markers"
            self._explain(self.absent, "control-marker", text)
        elif compactable is None:
            self._claim(self.absent, "unknown", "unresolved", f"{nothing}; {_NO_POLICY}")
        else:
            young = self.absent.clip(self._young_from(), self._end())
            lag = f"min.compaction.lag.ms={self._config('min.compaction.lag.ms')}"
            self._explain(young, "compacted", f"{nothing}, and they were too young ({lag}) for a record to be removed")
            text = f"{nothing}; the topic is compacted, so a record may have been there when the writer passed"
            self._claim(self.absent, "unknown", "unproven", text)

    def _explain(self, ranges: RangeSet, cause: str, text: str) -> None:
        """Explained offsets count in the tail too: no record will ever come there."""
        self.left = self.left.union(ranges.intersection(self.tail))
        self._claim(ranges, "explained", cause, text)

    def _not_passed(self) -> None:
        for scan in self.scans:
            if scan.stopped is not None:
                rest = RangeSet.of(OffsetRange(scan.reached, scan.range.end))
                self._claim(rest, "unknown", scan.stopped.cause, scan.stopped.text)
        self._claim(self.left, "unknown", NOT_REACHED.cause, NOT_REACHED.text)

    def _found(self, isolation: Isolation) -> tuple[RangeSet, list[FoundRun]]:
        runs = sorted((run for scan in self._of(isolation) for run in scan.found), key=lambda run: run.start)
        return RangeSet.from_pairs((run.start, run.end) for run in runs), runs

    def _passed(self, isolation: Isolation) -> RangeSet:
        return RangeSet.from_pairs((scan.range.start, scan.reached) for scan in self._of(isolation))

    def _of(self, isolation: Isolation) -> list[Scan]:
        return [scan for scan in self.scans if scan.isolation == isolation]

    def _end(self) -> int:
        return max([int(part.ends[-1]) for part in (self.due, self.tail) if len(part)], default=0)

    def _config(self, key: str) -> str | None:
        """A topic setting that both looks agree about; None when unknown or changed in between."""
        before, after = self.looks.before.config.get(key), self.looks.after and self.looks.after.config.get(key)
        return before if before == after else None

    def _compactable(self) -> bool | None:
        """Whether compaction may have removed records; None when nobody knows."""
        policies = [look.config.get("cleanup.policy") for look in (self.looks.before, self.looks.after) if look]
        if any("compact" in policy for policy in policies if policy):
            return True
        return None if None in policies else False

    def _young_from(self) -> int:
        """The first offset of which it is certain that no compaction can have reached it; the end when none is.

        The auditor's own earlier look says that an offset was not yet written then. Kafka goes by the records'
        timestamps, so they must be the broker's own.
        """
        lag = self._config("min.compaction.lag.ms")
        if lag is None or self._config("message.timestamp.type") != "LogAppendTime":
            return self._end()
        reach = timedelta(milliseconds=min(int(lag), 10**13)) - timedelta(seconds=_GATHERING_SECONDS)
        ends = [
            seen.high_watermark
            for one in self.knowing.observations
            if not one.disputed and timedelta(0) <= self.knowing.finished_at - one.observed_at < reach
            for seen in [one.partitions.get(self.partition)]
            if seen is not None and seen.high_watermark is not None
        ]
        return min(ends, default=self._end())

    def _timestamps(self, one: OffsetRange) -> tuple[int | None, int | None]:
        """Of the first and the last record of a range in which every offset was found."""
        first, last = (self.runs[bisect_right(self.run_starts, at) - 1] for at in (one.start, one.end - 1))
        return first.first_timestamp, last.last_timestamp


def _below(offset: int | None) -> RangeSet:
    return RangeSet.of((0, offset)) if offset else EMPTY


def _readable_text(count: int, stamps: tuple[int | None, int | None]) -> str:
    many = "1 record is" if count == 1 else f"{count} records are"
    text = f"{many} readable from the broker"
    first, last = stamps
    if first is None or last is None:
        return text
    between = _shown(first) if first == last else f"{_shown(first)} to {_shown(last)}"
    return f"{text} (Kafka timestamp {between})"


def _shown(millis: int) -> str:
    """A Kafka timestamp, which a producer may have set to anything."""
    try:
        return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=millis)).strftime(
            "%Y-%m-%d %H:%M:%SZ"
        )
    except OverflowError:
        return f"{millis} ms"
