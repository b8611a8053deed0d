"""Small random worlds (one index, one broker, one memory) and a brute-force oracle that audits them offset by offset.

The oracle holds a class per single offset in a dictionary. It shares no code with the auditor but the names of values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets
from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules, BrokerEvidence, IndexEvidence
from lineage_pipeline.core.memory import Acceptance, Memory, Observation, ObservedPartition, Resolution
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import MAX_END, OffsetRange, RangeSet

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
SETTLE, MAX_DELAY = 180, 900
SPAN = 40  # offsets in a world
CLUSTER, TOPIC_ID = "cluster-1", "topic-1"


@dataclass(frozen=True)
class Row:
    """One index row, half-open; `count` None means exact."""

    partition: int
    start: int
    end: int
    count: int | None = None
    quarantined: int = 0

    @property
    def exact(self) -> bool:
        return self.count is None or self.count == self.end - self.start


@dataclass(frozen=True)
class Seen:
    """An earlier observation of one partition, `age` seconds ago."""

    age: int
    committed: int | None
    high_watermark: int
    holes: frozenset[int]


@dataclass(frozen=True)
class World:
    """Partition 0 in every detail; `rows` may name other partitions too."""

    rows: tuple[Row, ...] = ()
    start: int | None = 0  # of the deployment record; None: no record
    log: tuple[int, int, int] | None = None  # log start, last stable, high watermark; None: broker not consulted
    broker_down: bool = False
    refused: bool = False
    transactional: bool = False
    read_committed: bool = True
    seen: tuple[Seen, ...] = ()
    accepted: tuple[tuple[int, int], ...] = ()
    skipped: tuple[tuple[int, int], ...] = ()
    resolved: tuple[tuple[int, int, str, str], ...] = ()
    newest_age: int = 10
    readable: frozenset[int] = frozenset()  # records that were read in the spans of inexact rows
    base: int = 0  # added to every offset, to try the far end of the number range
    topic_id: str = TOPIC_ID
    rules: AuditRules = field(default_factory=lambda: AuditRules(SETTLE, MAX_DELAY))


def rows_of(rows: tuple[Row, ...] | list[Row], base: int = 0) -> IndexRows:
    def column(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    return IndexRows(
        column([row.partition for row in rows]),
        column([row.start + base for row in rows]),
        column([row.end + base for row in rows]),
        column([row.end - row.start if row.count is None else row.count for row in rows]),
        column([row.quarantined for row in rows]),
    )


def evidence_of(world: World, files: list[tuple[Row, ...]] | None = None) -> AuditEvidence:
    """The world as the auditor gathers it; `files` are the same rows split in another way."""
    builder = CoverageBuilder()
    for rows in [world.rows] if files is None else files:
        part = CoverageBuilder()
        part.add(rows_of(rows, world.base))
        builder.extend(part)
    base = world.base
    ranges = {0: tuple(OffsetRange(a + base, b + base) for a, b in world.skipped)}
    deployments = () if world.start is None else (deployment(world.start + base, world, ranges),)
    broker = BrokerEvidence("not-consulted")
    if world.broker_down:
        broker = BrokerEvidence("unreadable", problem="the broker could not be read")
    elif world.log is not None:
        low, stable, high = (value + base for value in world.log)
        snapshot = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: PartitionOffsets(low, stable, high)})
        broker = BrokerEvidence("read", snapshot)
    return AuditEvidence(
        topic="t",
        audited_at=NOW,
        index=IndexEvidence(
            "read",
            builder.build(),
            deployments,
            ("index file x refused: it is empty",) if world.refused else (),
            newest=NOW.timestamp() - world.newest_age if world.rows else None,
            files=1,
        ),
        broker=broker,
        rules=replace(world.rules, isolation="read_committed" if world.read_committed else "read_uncommitted"),
        memory=memory_of(world),
        readable={0: RangeSet.from_pairs((one + base, one + base + 1) for one in world.readable)},
    )


def deployment(start: int, world: World, skipped: Mapping[int, tuple[OffsetRange, ...]]) -> Deployment:
    return Deployment(
        writer="w1",
        topic="t",
        cluster_id=CLUSTER,
        topic_id=world.topic_id,
        group="g",
        start_offsets={0: start},
        isolation="read_committed" if world.read_committed else "read_uncommitted",
        checkpoint_interval=60,
        plan_hash="h",
        started_at=NOW - timedelta(days=1),
        skipped=skipped,
    )


def memory_of(world: World) -> Memory:
    base = world.base
    observations = tuple(
        Observation(
            NOW - timedelta(seconds=one.age),
            {
                0: ObservedPartition(
                    high_watermark=one.high_watermark + base,
                    committed=None if one.committed is None else one.committed + base,
                    holes=RangeSet.from_pairs((hole + base, hole + base + 1) for hole in one.holes),
                )
            },
        )
        for one in world.seen
    )
    return Memory(
        observations=observations,
        resolutions=tuple(
            Resolution(0, OffsetRange(a + base, b + base), name, cause, "re-read")  # type: ignore[arg-type]
            for a, b, name, cause in world.resolved
        ),
        acceptances=tuple(Acceptance(0, OffsetRange(a + base, b + base), "known", "ann") for a, b in world.accepted),
        transactional=world.transactional,
    )


@dataclass(frozen=True)
class Expected:
    """What the oracle says about partition 0; offsets include the world's base."""

    baseline: int
    end: int
    classes: dict[int, tuple[str, str | None]]
    surplus: int
    doubled: set[int]
    verdict: str


def oracle(world: World) -> Expected:  # noqa: C901, PLR0915 - one case per rule, as plainly as possible
    """Audit partition 0 one offset at a time."""
    mine = [row for row in world.rows if row.partition == 0]
    times = Counter(offset for row in mine if row.exact for offset in range(row.start, row.end))
    vague = {offset for row in mine if not row.exact for offset in range(row.start, row.end)}
    index_start = min((row.start for row in mine), default=None)
    index_end = max((row.end for row in mine), default=0)
    low, stable, high = world.log if world.log is not None and not world.broker_down else (None, None, None)
    doubtful: set[int] = set()
    emptied = world.start is None and low is not None and low + world.base > 0 and index_start is None
    if world.start is not None:
        baseline = min([world.start, *(start for start, _ in world.skipped)])  # what it gave up it had to read
    elif low is None:
        baseline = index_start or 0
    elif index_start is None:
        baseline = low
    else:
        baseline = min(low, index_start)
        doubtful = set(range(low, index_start))
    end = max(index_end, high or 0, baseline)
    confirmed = {hole for one in world.seen if one.age >= SETTLE for hole in one.holes}
    due = max([index_end, baseline, low or 0, *(one.committed or 0 for one in world.seen if one.age >= SETTLE)])

    def class_of(offset: int) -> tuple[str, str | None]:  # noqa: C901, PLR0911 - the rules in their order
        if high is not None and offset >= high:
            return "unknown", "incarnation"
        if offset in times:
            return "indexed", None
        if offset in vague:
            return "unknown", "inexact-window"
        if any(a <= offset < b for a, b in world.accepted):
            return "accepted", None
        if world.start is not None and any(a <= offset < b for a, b in world.skipped):
            return "missing", "expired"
        for a, b, name, cause in world.resolved:
            if a <= offset < b and (name != "missing" or offset in confirmed):
                return name, cause
        if high is not None and offset >= due:
            return "pending", waiting(offset)
        if world.refused:
            return "unknown", "index-unreadable"
        if offset in doubtful:
            return "unknown", "no-baseline"
        if world.broker_down:
            return "unknown", "broker-unreachable"
        if high is None:
            return ("unknown" if world.transactional else "missing"), "unresolved"
        return ("unknown", "unresolved") if offset in confirmed else ("pending", "suspected")

    def waiting(offset: int) -> str:
        if world.read_committed and stable is not None and offset >= stable:
            return "open-transaction"
        old = [one for one in world.seen if one.age >= MAX_DELAY]
        if old and offset < min(old, key=lambda one: one.age).high_watermark:
            return "stalled"
        if not world.seen and world.rows and world.newest_age > MAX_DELAY:
            return "stalled"
        return "in-flight"

    classes = {offset: class_of(offset) for offset in range(baseline, end)}
    admitted = (
        world.log is None
        and not world.broker_down
        and not world.refused
        and any(
            row.count < sum(1 for one in range(max(row.start, baseline), row.end) if one not in times)
            for row in mine
            if not row.exact and row.count is not None
        )
    )
    if world.log is not None and not world.broker_down and not world.refused:
        admitted = any(
            baseline <= min(offsets)
            and max(offsets) < (high or 0)
            and loose <= confirmed
            and count < len(loose & world.readable)
            for offsets, count in together(mine)
            for loose in [offsets - set(times)]
        )
    found = set(classes.values())
    names = {name for name, _ in found}
    if names & {"missing", "damaged"} or admitted:
        verdict = "loss"
    elif (
        "unknown" in names
        or found & {("pending", "suspected"), ("pending", "stalled")}
        or ("indexed" not in names and ("pending" in names or high is None or emptied))
        or world.refused
        or world.broker_down
        or (high is not None and high < end)
    ):
        verdict = "undetermined"
    else:
        verdict = "complete"
    base = world.base
    return Expected(
        baseline + base,
        end + base,
        {offset + base: found for offset, found in classes.items()},
        sum(count - 1 for offset, count in times.items() if baseline <= offset < end),
        {offset + base for offset, count in times.items() if count > 1 and baseline <= offset < end},
        verdict,
    )


def together(rows: list[Row]) -> list[tuple[set[int], int]]:
    """Inexact rows that share offsets, joined until none do any more: their offsets and what they count."""
    groups = [(set(range(row.start, row.end)), row.count or 0) for row in rows if not row.exact]
    while True:
        pair = next(((a, b) for a in groups for b in groups if a is not b and a[0] & b[0]), None)
        if pair is None:
            return groups
        a, b = pair
        groups = [one for one in groups if one is not a and one is not b]
        groups.append((a[0] | b[0], a[1] + b[1]))


@st.composite
def spans(draw: st.DrawFn, highest: int = SPAN) -> tuple[int, int]:
    start = draw(st.integers(0, highest - 1))
    return start, draw(st.integers(start + 1, min(highest, start + 12)))


# strategies are made once: hypothesis looks into each that it has not met before, and that was half of the time
SPANS = spans()
AT_MOST_ONE, AT_MOST_TWO = st.lists(SPANS, max_size=1), st.lists(SPANS, max_size=2)
EDGES = st.sets(st.integers(0, SPAN), min_size=0, max_size=9)
CHANGES = st.sampled_from(["drop", "double", "add", "swap", "vague"])


@st.composite
def rows(draw: st.DrawFn, inexact: bool = True) -> tuple[Row, ...]:
    """Runs that tile a stretch, then damaged: some dropped, doubled, nested, overlapped, made inexact."""
    edges = sorted(draw(EDGES))
    found = [Row(0, a, b) for a, b in pairwise(edges)]
    for _ in range(draw(st.integers(0, 3))):
        change = draw(CHANGES)
        if change == "add":
            found.append(Row(0, *draw(SPANS)))
        elif found:
            index = draw(st.integers(0, len(found) - 1))
            chosen = found[index]
            if change == "drop":
                found.pop(index)
            elif change == "double":
                found.append(chosen)
            elif change == "swap" and len(found) > 1:
                # as many lost as doubled: what no count can see
                other = found[(index + 1) % len(found)]
                length = min(chosen.end - chosen.start, other.end - other.start)
                found[index] = Row(0, other.start, other.start + length)
            elif change == "vague" and inexact:
                found[index] = replace(chosen, count=draw(st.integers(1, 2 * (chosen.end - chosen.start))))
    counted = [replace(one, quarantined=draw(st.integers(0, 1))) for one in found]
    others = [Row(1, a, b) for a, b in draw(AT_MOST_TWO)]
    return tuple(draw(st.permutations([*counted, *others])))


HOLES = st.just(frozenset(range(SPAN))) | st.frozensets(st.integers(0, SPAN - 1), max_size=25)


COMMITTED = st.none() | st.integers(0, SPAN)
AGES = st.sampled_from([0, SETTLE - 1, SETTLE, MAX_DELAY - 1, MAX_DELAY, 5000])


@st.composite
def seen(draw: st.DrawFn) -> Seen:
    committed = draw(COMMITTED)
    age = draw(AGES)
    return Seen(age, committed, draw(st.integers(0, SPAN)), draw(HOLES))


CAUSES = [
    ("explained", "control-marker"),
    ("explained", "aborted"),
    ("missing", "repairable"),
    ("missing", "expired"),
    ("unknown", "unproven"),
]


LOGS = st.none() | st.tuples(*[st.integers(0, SPAN + 5)] * 3).map(lambda three: tuple(sorted(three)))
SEEN = st.lists(seen(), max_size=3, unique_by=lambda one: one.age)
ROWS = rows()
STARTS = st.none() | st.integers(0, 6)
RESOLVED = st.lists(st.tuples(SPANS, st.sampled_from(CAUSES)).map(lambda two: (*two[0], *two[1])), max_size=2)
NEWEST = st.sampled_from([0, MAX_DELAY, MAX_DELAY + 1])
BASES = st.sampled_from([0, 2**31 - 10, MAX_END - SPAN - 5])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    log = draw(LOGS)
    observations = draw(SEEN)
    return World(
        rows=draw(ROWS),
        start=draw(STARTS),
        log=log,  # type: ignore[arg-type]
        broker_down=draw(st.integers(0, 9)) == 0,
        refused=draw(st.integers(0, 5)) == 0,
        transactional=draw(st.integers(0, 5)) == 0,
        read_committed=draw(st.booleans()),
        seen=tuple(observations),
        accepted=tuple(draw(AT_MOST_ONE)),
        skipped=tuple(draw(AT_MOST_ONE)),
        resolved=tuple(draw(RESOLVED)),
        newest_age=draw(NEWEST),
        readable=draw(HOLES),
        base=draw(BASES),
    )
