"""Lakes whose objects come, change, break and go from audit to audit, judged as a brute-force oracle judges them.

The oracle keeps a history per object and judges offset by offset. It shares no code with the auditor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lineage_pipeline.books.manifest_file import manifest_bytes, parse_manifest
from lineage_pipeline.core.audit import audit, lake_observation
from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules, IndexEvidence
from lineage_pipeline.core.lake_comparison import Doubt
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence
from lineage_pipeline.core.lake_manifest import (
    LakeFile,
    LakeManifest,
    LakeObject,
    LookedAt,
    to_look_at,
    updated,
)
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.core.replay_claim import ReplayClaim, claimed_offsets
from lineage_pipeline.core.report import AuditReport

START = datetime(2026, 11, 23, tzinfo=timezone.utc)
SETTLE = 60
SPAN = 12


@dataclass(frozen=True)
class Thing:
    """An object as it is at one moment: the offsets in it (with repetition), or a fault."""

    version: int
    offsets: tuple[int, ...] = ()
    fault: str | None = None
    table: str = "data"


@dataclass(frozen=True)
class Step:
    """The lake at one audit. `blind`: names that the budget did not reach."""

    things: Mapping[str, Thing]
    blind: frozenset[str] = frozenset()
    settled: bool = True  # whether the settle time has passed since the audit before


things = st.builds(
    Thing,
    version=st.integers(0, 1),
    offsets=st.lists(st.integers(0, SPAN - 1), max_size=8).map(tuple),
    fault=st.sampled_from([None, None, None, None, "broken", "unsuitable"]),
    table=st.sampled_from(["data", "data", "quarantine"]),
)


# what is indexed, what a replay of the quarantine has taken on, and the lake from audit to audit
History = tuple[frozenset[int], frozenset[int], list[Step]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    index = draw(st.frozensets(st.integers(0, SPAN - 1), min_size=1))
    claimed = draw(st.frozensets(st.integers(0, SPAN - 1), max_size=draw(st.sampled_from([0, SPAN]))))
    now = draw(st.dictionaries(st.sampled_from("abcd"), things, max_size=4))
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        blind = draw(st.sampled_from(["", "", "", "a", "b"]))
        steps.append(Step(dict(now), frozenset(blind), draw(st.booleans())))
        for name in draw(st.lists(st.sampled_from("abcd"), max_size=2)):
            kind = draw(st.sampled_from(["delete", "change", "copy", "rename"]))
            if kind == "change":
                now[name] = draw(things)
            elif kind == "delete":
                now.pop(name, None)
            elif name in now:
                now[draw(st.sampled_from("abcd"))] = now[name]
                if kind == "rename":
                    now.pop(name, None)
    return index, claimed, steps


def builder_of(offsets: tuple[int, ...] | frozenset[int]) -> CoverageBuilder:
    found = CoverageBuilder()
    starts = np.array(sorted(offsets), dtype=np.int64)
    zero, one = np.zeros(starts.size, dtype=np.int64), np.ones(starts.size, dtype=np.int64)
    found.add(IndexRows(zero, starts, starts + 1, one, zero))
    return found


class Auditor:
    """The audits, one after the other, over a manifest that is stored in between."""

    def __init__(self, index: frozenset[int], claimed: frozenset[int]) -> None:
        self.index = builder_of(index).build()
        ranges = {0: RangeSet.from_pairs((one, one + 1) for one in claimed)} if claimed else {}
        self.replays = (ReplayClaim(1, "t", None, None, (ranges,), START, "Ada"),)
        self.manifest = LakeManifest()
        self.memory = Memory()
        self.now = START

    def audit(self, step: Step) -> AuditReport:
        self.now += timedelta(seconds=SETTLE if step.settled else 1)
        listed = [
            LakeObject(one.table, name, 100, f"{one}", self.now.timestamp())  # type: ignore[arg-type]
            for name, one in step.things.items()
        ]
        looks = [
            look_of(one, step.things[one.key]) for one in to_look_at(self.manifest, listed) if one.key not in step.blind
        ]
        claimed = claimed_offsets(self.replays)
        update = updated(self.manifest, listed, looks, self.now.timestamp(), claimed)
        self.manifest = parse_manifest(manifest_bytes(update.manifest, "t", "l"), "t", "l")
        doubts = (Doubt("budget", "unread"),) if update.unread else ()
        problems = tuple(one.text for one in doubts)
        reading = LakeReading(
            "read", self.manifest, doubts, problems, superseded=update.superseded, replays=self.replays
        )
        evidence = AuditEvidence(
            topic="t",
            audited_at=self.now,
            index=IndexEvidence("read", self.index, files=1),
            rules=AuditRules(SETTLE, 900, {0: 0}),
            memory=self.memory,
            lake=lake_evidence(reading, self.index, self.memory),
        )
        report = audit(evidence)
        seen = lake_observation(evidence, report, self.now)
        if seen is not None:
            self.memory = replace(self.memory, lake=(*self.memory.lake, seen))
        return report


def look_of(listed: LakeObject, one: Thing) -> LookedAt:
    if one.fault is not None:
        return LookedAt(LakeFile(listed, 0.0, fault=one.fault, problem=f"{listed.key} is {one.fault}"))  # type: ignore[arg-type]
    return LookedAt(LakeFile(listed, 0.0, len(one.offsets)), builder_of(one.offsets).build())


@dataclass
class Oracle:
    """What is known, in the plainest form. `known`: objects looked at; `former`: what objects held that left."""

    index: frozenset[int]
    claimed: frozenset[int]
    known: dict[str, Thing] = field(default_factory=dict)
    former: list[tuple[str, str, frozenset[int], str]] = field(default_factory=list)  # table, name, offsets, why
    absent_before: list[tuple[int, set[int]]] = field(default_factory=list)  # time, offsets, of whole looks
    damaged_before: set[int] = field(default_factory=set)
    forgotten: set[int] = field(default_factory=set)  # places in `former`
    time: int = 0

    def judge(self, step: Step) -> dict[int, tuple[str, set[str | None]]]:  # noqa: C901, PLR0912 - rule by rule
        """Offset -> class, and the causes that are right."""
        self.time += SETTLE if step.settled else 1
        for name, one in list(self.known.items()):
            if step.things.get(name) != one:
                if one.fault is None:
                    why = (
                        "object-changed"
                        if name in step.things and step.things[name].table == one.table
                        else "object-missing"
                    )
                    self.former.append((one.table, name, frozenset(one.offsets), why))
                del self.known[name]
        unread = False
        for name, one in step.things.items():
            if name not in self.known:
                if name in step.blind:
                    unread = True
                else:
                    self.known[name] = one
        good = [one for one in self.known.values() if one.fault is None]
        present = {offset for one in good for offset in one.offsets}
        in_data = {offset for one in good if one.table == "data" for offset in one.offsets}
        # what a replay put into data has to stay there: the row in quarantine does not stand for it any more
        held = set(present)
        for table, _, offsets, _ in self.former:
            if table == "data":
                present -= (offsets & self.claimed) - in_data
        # what an object held before is forgotten once it is in others, as nothing is missing then; not while one of its
        # name is there that cannot be read: what that may hold is known from before alone
        faulty = {(one.table, name) for name, one in self.known.items() if one.fault is not None}
        for number, (table, name, offsets, _) in enumerate(self.former):
            if (table, name) not in faulty and offsets <= self._standing(table, held, in_data):
                self.forgotten.add(number)
        absent = set(self.index) - present
        hidden = unread or any(one.fault == "unsuitable" for one in self.known.values())
        confirmed = set(self.damaged_before)
        for number, (moment, offsets) in enumerate(self.absent_before):
            if self.time - moment >= SETTLE:
                confirmed |= offsets.intersection(*(later for _, later in self.absent_before[number:]))
        found: dict[int, tuple[str, set[str | None]]] = {}
        for offset in range(max(self.index) + 1):
            causes = {why for _, _, offsets, why in self.former if offset in offsets}
            broken = any(
                one.fault == "broken" and not self._all_elsewhere(one.table, name, held, in_data)
                for name, one in self.known.items()
            )
            if offset not in self.index:
                found[offset] = ("unknown", {"unproven"}) if offset in held else ("missing", {"unresolved"})
            elif offset in present:
                found[offset] = ("indexed", {None})
            elif hidden:
                found[offset] = ("unknown", {"budget", "unproven"})
            elif broken and not causes:
                found[offset] = ("unknown", {"unproven"})
            elif offset in confirmed:
                found[offset] = ("damaged", set(causes) or {"not-committed"})
            else:
                found[offset] = ("pending", {"suspected"})
        if not hidden:
            self.absent_before.append((self.time, absent))
            self.damaged_before = {one for one, (name, _) in found.items() if name == "damaged"} | (
                self.damaged_before & absent
            )
        return found

    def _all_elsewhere(self, table: str, name: str, held: set[int], in_data: set[int]) -> bool:
        """Whether an object's former selves are known, and all they held is in other objects."""
        left = [one for number, one in enumerate(self.former) if number not in self.forgotten]
        selves = [offsets for where, other, offsets, _ in left if (where, other) == (table, name)]
        return bool(selves) and all(offsets <= self._standing(table, held, in_data) for offsets in selves)

    def _standing(self, table: str, held: set[int], in_data: set[int]) -> set[int]:
        return held - (self.claimed - in_data) if table == "data" else held


def judged(report: AuditReport) -> dict[int, tuple[str, str | None]]:
    found: dict[int, tuple[str, str | None]] = {}
    for tile in report.partitions[0].decision.tiles:
        for one in tile.ranges:
            for offset in range(one.start, one.end):
                assert offset not in found
                found[offset] = tile.offset_class, tile.cause
    return found


@settings(max_examples=200, deadline=None)
@given(histories())
def test_every_offset_of_every_audit_is_what_the_oracle_says(history: History) -> None:
    index, claimed, steps = history
    auditor, oracle = Auditor(index, claimed), Oracle(index, claimed)
    for step in steps:
        report, expected = auditor.audit(step), oracle.judge(step)
        found = judged(report)
        assert set(found) == set(expected)
        for offset, (name, cause) in found.items():
            assert name == expected[offset][0], (offset, name, cause, expected[offset])
            assert cause in expected[offset][1], (offset, name, cause, expected[offset])
        event(f"{sorted({name for name, _ in found.values()})}")
        if set(found.values()) <= {("indexed", None)} and not report.problems:
            assert report.verdict == "complete"
        if any(name != "indexed" for name, _ in found.values()) or report.problems:
            assert report.verdict != "complete"


@settings(max_examples=100, deadline=None)
@given(histories())
def test_repeats_are_counted_over_both_tables_but_a_replayed_row_is_none(
    history: History,
) -> None:
    index, claimed, steps = history
    auditor = Auditor(index, claimed)
    for step in steps:
        report = auditor.audit(replace(step, blind=frozenset()))
        good = {name: one for name, one in step.things.items() if one.fault is None}
        times = Counter(offset for one in good.values() for offset in one.offsets)
        quarantined = {offset for one in good.values() if one.table == "quarantine" for offset in one.offsets}
        in_data = {offset for one in good.values() if one.table == "data" for offset in one.offsets}
        times.subtract(quarantined & in_data & claimed)  # together they are one
        end = report.partitions[0].end
        surplus = sum(count - 1 for offset, count in times.items() if offset < end)
        assert report.totals["duplicated"] == surplus
        listed = {
            offset
            for one in report.partitions[0].ranges
            if one.range_class == "duplicated"
            for offset in range(one.range.start, one.range.end)
        }
        assert listed == {offset for offset, count in times.items() if count > 1 and offset < end}
