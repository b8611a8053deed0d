"""Pure: what a reader of an audit should know beside the verdict, each with a severity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from lineage_pipeline.core.baseline import FROM_INDEX, FROM_LOG_START
from lineage_pipeline.core.classes import Tile
from lineage_pipeline.core.copies import told_writers
from lineage_pipeline.core.decision import PartitionDecision
from lineage_pipeline.core.deployment import by_jobs
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.expiry import Deadline, Expiry, shown, span
from lineage_pipeline.core.lake_claims import replayed_counts
from lineage_pipeline.core.memory import Counted
from lineage_pipeline.core.offsets import OffsetRange, RangeSet

Severity = Literal["info", "warn", "error"]

_HALF, _TENTH = 0.5, 0.1  # of the time that the log keeps a record: from here on a remark, an error
_DAY = timedelta(days=1)
_STARTS = 3  # of the job in a day: more look like a job that fails over and over
_ENOUGH_RECORDS = 100  # fewer make no rate
_READ_AT_MOST = 1_000  # ranges of one partition whose time left is worked out


@dataclass(frozen=True)
class Finding:
    """One remark; `partition` is None when it concerns the topic. `data`: its figures, as docs/audit.md lists them."""

    kind: str
    severity: Severity
    partition: int | None
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


def find(evidence: AuditEvidence, decisions: tuple[PartitionDecision, ...], expiry: Expiry) -> tuple[Finding, ...]:
    """All remarks about the topic, then about each partition in order."""
    found = [*_about_topic(evidence, decisions)]
    for decision in decisions:
        found += _about_partition(evidence, decision)
        found += _about_time(decision, expiry)
    return tuple(found)


def _about_topic(evidence: AuditEvidence, decisions: tuple[PartitionDecision, ...]) -> Iterator[Finding]:
    if not decisions:
        yield Finding("nothing", "error", None, "no partition is in any book: nothing was looked at")
    if evidence.incarnation_problem:
        yield Finding("incarnation", "error", None, evidence.incarnation_problem)
    if decisions and not by_jobs(evidence.index.deployments):
        text = "no deployment record: baseline and isolation level come from settings, broker or the index itself"
        yield Finding("no-deployment-record", "info", None, text)
    if evidence.index.status == "read" and evidence.index.files == 0:
        yield Finding("empty-index", "warn", None, "the offset index holds no file of this topic: did the job run?")
    if evidence.index.future is not None:
        text = (
            f"an index file lies in dt={evidence.index.future}, a day to come: a clock is wrong, and every audit lists"
            " the whole index; put the clock right and move such files to the day on which they were written"
        )
        yield Finding("future-day", "warn", None, text, {"day": f"{evidence.index.future}"})
    for note in evidence.lake.notes:
        yield Finding(note.kind, note.severity, note.partition, note.text)
    for remark in evidence.memory.remarks:
        yield Finding("sealed", "info", None, remark)
    yield from _about_clocks(evidence)
    yield from _about_values(evidence)
    yield from _about_writers(evidence)
    yield from _about_quarantine(evidence)


def _about_clocks(evidence: AuditEvidence) -> Iterator[Finding]:
    """Earlier looks do not count whose clocks contradict the others; the next checkpoints of the ledger forget them."""
    misdated = evidence.memory.misdated
    if misdated:
        text = (
            f"{len(misdated)} earlier looks count as none, since their clocks contradict this audit's or each other's,"
            f" the latest says {shown(misdated[-1])}: check the clocks of the machines that audit"
        )
        yield Finding("clocks-differ", "warn", None, text, {"looks": len(misdated), "latest": misdated[-1].isoformat()})


def _about_values(evidence: AuditEvidence) -> Iterator[Finding]:
    """What `lineage verify` found, until it finds otherwise."""
    compared = evidence.memory.verified
    if compared is None:
        return
    text = f"{compared.records} records were compared with Kafka by value at {shown(compared.at)}, and are right"
    yield Finding("verified", "info", None, text, {"records": compared.records, "at": compared.at.isoformat()})
    for partition, ranges in sorted(compared.differing.items()):
        text = f"{ranges.total} records have not the values that Kafka had, the first at {next(iter(ranges)).start}"
        told = {"ranges": [[one.start, one.end] for one in islice(ranges, _READ_AT_MOST)]}
        yield Finding("values-differ", "error", partition, text, told)


def _about_writers(evidence: AuditEvidence) -> Iterator[Finding]:
    """Starts of the job in the last day: also of one that fails and starts over and over."""
    jobs = by_jobs(evidence.index.deployments)
    recent = [one for one in jobs if evidence.audited_at - one.started_at <= _DAY]
    if len(jobs) < 2 or not recent:  # noqa: PLR2004 - the first writer changes nothing
        return
    newest = jobs[-1]
    before = newest.previous or "no other"
    text = f"writer {newest.writer} writes since {shown(newest.started_at)} ({newest.reason}), continuing {before}"
    if len(recent) > 1:
        text += f"; {len(recent)} starts of the job in the last 24 hours"
    data = {
        "writer": newest.writer,
        "previous": newest.previous,
        "reason": newest.reason,
        "started_at": f"{newest.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "starts": len(recent),
    }
    yield Finding("writer-changed", "warn" if len(recent) > _STARTS else "info", None, text, data)


def _about_quarantine(evidence: AuditEvidence) -> Iterator[Finding]:
    rows = evidence.index.coverage.values()
    now = Counted(evidence.audited_at, sum(one.records for one in rows), sum(one.quarantined for one in rows))
    if not now.quarantined:
        return
    replayed = min(now.quarantined, sum(replayed_counts(evidence).values()))
    text = f"{now.quarantined} records went to quarantine"
    counts = {"quarantined": now.quarantined, "records": now.records}
    if replayed:
        text += f", and {replayed} of them were replayed to data"
        counts["replayed"] = replayed
    yield Finding("quarantine", "info" if replayed == now.quarantined else "warn", None, text, counts)
    limit = evidence.rules.quarantine_limit
    # lately, and altogether: what was replayed is no trouble any more
    stretches = [(_since(evidence), now), (Counted(now.at, 0, replayed), now)]
    for index, (before, after) in enumerate(stretches):
        records, bad = after.records - before.records, after.quarantined - before.quarantined
        if records >= _ENOUGH_RECORDS and bad > limit * records:
            since = None if index else before.at
            when = f" since {shown(since)}" if since else ""
            went = "are in quarantine, replayed ones aside" if index and replayed else "went to quarantine"
            told = f"{bad} of {records} records{when} {went}: {bad / records:.2%}, the limit is {limit:.2%}"
            data = {
                "quarantined": bad,
                "records": records,
                "limit": limit,
                "since": None if since is None else f"{since:%Y-%m-%dT%H:%M:%SZ}",
            }
            yield Finding("quarantine-rate", "error", None, told, data)
            return


def _since(evidence: AuditEvidence) -> Counted:
    """The newest earlier look at least max_delay old, else the oldest; nothing counted when there is none."""
    looks = sorted(evidence.memory.counted, key=lambda one: one.at)
    old = [one for one in looks if (evidence.audited_at - one.at).total_seconds() >= evidence.rules.max_delay]
    return (old[-1:] or looks[:1] or [Counted(evidence.audited_at, 0, 0)])[0]


def _about_acceptances(evidence: AuditEvidence, decision: PartitionDecision) -> Iterator[Finding]:
    """Once a person took something on, every later report says so, also when the records came after all."""
    tiled = decision.ranges_of("accepted")
    for accepted in evidence.memory.acceptances:
        gone = not len(tiled.clip(accepted.range.start, accepted.range.end))
        if accepted.partition == decision.partition and gone:
            text = f"{accepted.range} was accepted by {accepted.author} ({accepted.reason}) and is accounted for now"
            yield Finding("accepted", "info", decision.partition, text)


def _about_baseline(decision: PartitionDecision) -> Iterator[Finding]:
    offset, source = decision.baseline.offset, decision.baseline.source
    if source == FROM_INDEX and offset > 0:
        text = f"baseline {offset} is the index's own first offset: a lost head cannot be seen"
        yield Finding("baseline-from-index", "warn", decision.partition, text)
    if source == FROM_LOG_START and offset > 0 and decision.coverage.bounds is None:
        text = f"the log begins at {offset}, nothing is indexed, and nobody says where to begin: set a baseline"
        yield Finding("nothing-indexed", "warn", decision.partition, text)


def _about_partition(evidence: AuditEvidence, decision: PartitionDecision) -> Iterator[Finding]:
    number, repeats = decision.partition, decision.repeats
    yield from _about_baseline(decision)
    surplus = repeats.surplus()
    if surplus:
        ranges = repeats.ranges()
        text = f"{surplus} surplus occurrences in {_ranges(len(ranges))}, the first {next(iter(ranges))}"
        told = told_writers(decision.copies)
        data = {
            "surplus": surplus,
            "ranges": len(ranges),
            "writers": sorted({writer for one in decision.copies for writer in one.writers}),
        }
        yield Finding("duplicates", "warn", number, f"{text}; written {told}" if told else text, data)
    windows = decision.coverage.windows
    if len(windows):
        text = f"{len(windows)} index rows count more or fewer records than their span of offsets"
        yield Finding("inexact-window", "warn", number, text)
    bounds = decision.coverage.bounds
    if bounds is not None and bounds.start < decision.baseline.offset:
        text = f"the index has offsets from {bounds.start} on, below the baseline {decision.baseline.offset}"
        yield Finding("below-baseline", "info", number, text)
    problem = evidence.partition_problem(number)
    if problem:
        yield Finding("broker-answer", "error", number, problem)
    yield from _about_acceptances(evidence, decision)
    for tile in decision.tiles:
        if tile.cause == "stalled":
            yield Finding("stalled", "error", number, f"{tile.ranges.total} offsets stalled: {tile.evidence}")
        elif tile.cause == "open-transaction":
            yield _about_transaction(evidence, number, tile)
        elif tile.offset_class == "accepted":
            yield Finding("accepted", "info", number, f"{tile.ranges.total} offsets {tile.evidence}")


def _about_transaction(evidence: AuditEvidence, partition: int, tile: Tile) -> Finding:
    """A transaction that is open is nothing special; one that stays open holds up everything behind it."""
    since = stuck_since(evidence, partition)
    waited = (evidence.audited_at - since).total_seconds() if since else 0.0
    text = f"{tile.ranges.total} offsets: {tile.evidence}"
    data = {
        "offsets": tile.ranges.total,
        "since": None if since is None else f"{since:%Y-%m-%dT%H:%M:%SZ}",
        "seconds": int(waited),
    }
    if waited < evidence.rules.max_delay:
        return Finding("open-transaction", "warn", partition, text, data)
    text += (
        f", for {span(waited)} at least: no reader that waits for commits gets past it until the transaction ends or is"
        " aborted (kafka-transactions.sh find-hanging)"
    )
    return Finding("stuck-transaction", "error", partition, text, data)


def stuck_since(evidence: AuditEvidence, partition: int) -> datetime | None:
    """When an own look first saw the last stable offset where it still is, with records above it; None if none did."""
    snapshot = evidence.broker.snapshot
    now = snapshot.partitions.get(partition) if snapshot else None
    since = None
    for one in sorted(evidence.memory.observations, key=lambda look: look.observed_at, reverse=True):
        seen = one.partitions.get(partition)
        if seen is None or now is None or one.observed_at > evidence.audited_at:
            continue
        if seen.last_stable is None or seen.last_stable != now.last_stable or seen.high_watermark == seen.last_stable:
            break
        since = one.observed_at
    return since


def _about_time(decision: PartitionDecision, expiry: Expiry) -> Iterator[Finding]:
    """What the log will not keep for long: records that a repair needs, and offsets that nobody has read yet."""
    repairable, unread = _of_cause(decision, "repairable"), _unread(decision)
    if not len(repairable) and not len(unread):
        return
    known = expiry.partition(decision.partition)
    deadlines = [(one, known.of_readable(one)) for one in _first(repairable)]
    yield from _expiring("repair-expiring", decision.partition, deadlines, "{} can be repaired, but not for long")
    deadlines = [(one, known.of_unread(one)) for one in _first(unread)]
    text = "what {} hold is not known yet, and the log will not keep it for long"
    yield from _expiring("evidence-expiring", decision.partition, deadlines, text)


def _expiring(
    kind: str, partition: int, deadlines: list[tuple[OffsetRange, Deadline | None]], text: str
) -> Iterator[Finding]:
    soon = [(one, found) for one, found in deadlines if found is not None and found.share <= _HALF]
    if not soon:
        return
    _, first = min(soon, key=lambda pair: pair[1].until)
    count = sum(len(one) for one, _ in soon)
    told = f"{text.format(f'{count} offsets')}: {first.text}"
    data = {
        "until": f"{first.until:%Y-%m-%dT%H:%M:%SZ}",
        "seconds_left": int(first.left),
        "basis": first.basis,
        "offsets": count,
    }
    yield Finding(kind, "error" if first.share <= _TENTH else "warn", partition, told, data)


def _of_cause(decision: PartitionDecision, cause: str) -> RangeSet:
    found = RangeSet()
    for tile in decision.tiles:
        if tile.cause == cause:
            found = found.union(tile.ranges)
    return found


def _unread(decision: PartitionDecision) -> RangeSet:
    """Offsets that may be lost and of which the log could still tell; what it told already stays told."""
    found = RangeSet()
    for tile in decision.tiles:
        unknown = tile.offset_class == "unknown" and tile.cause in {"unresolved", "budget", "broker-unreachable"}
        if unknown or tile.cause in {"suspected", "stalled"}:
            found = found.union(tile.ranges)
    return found


def _first(ranges: RangeSet) -> list[OffsetRange]:
    """The lowest of them, which the log loses first."""
    return [one for _, one in zip(range(_READ_AT_MOST), ranges, strict=False)]


def _ranges(count: int) -> str:
    return "one range" if count == 1 else f"{count} ranges"
