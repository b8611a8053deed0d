"""One history: the world and its auditors step by step, every report held against the truth.

Promises that are checked after every audit:
- what is called indexed is in an index file that is there, written for the record that is at the offset now;
- what is called explained has no record; what is called missing is a record in no file and in none that will come;
- a lost, cut off or foreign memory is never green.
At the end all faults are over: then losses are seen, and a topic without any is complete.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lineage_pipeline.audit_topic import AuditRequest, audit_topic, audit_twice
from lineage_pipeline.books.audit_state import FOLD, AuditState
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.core.report import AuditReport, PartitionReport
from lineage_pipeline.errors import StoreError
from lineage_pipeline.remembering import StatePlan, ToldBaseline
from tests.books.memory_store import Died, MemoryStore
from tests.simulation.world import GROUP, MAX_DELAY, SETTLE, TOPIC, Slot, World

FOLD_KEY = f"kafka_topic={TOPIC}/{FOLD}"
LEDGER_PREFIX = f"kafka_topic={TOPIC}/_ledger/"


def _no_page(_report: AuditReport, _place: str) -> tuple[bytes, str | None]:
    """A page that is stored as any other but not drawn: histories are about verdicts, and a page costs an eighth."""
    return b"", None


def _without(store: MemoryStore, keys: Iterable[str]) -> None:
    for key in list(keys):
        store.objects.pop(key, None)


def _changed(store: MemoryStore, key: str, old: bytes, new: bytes) -> None:
    if key in store.objects:
        store.place(key, store.objects[key][0].replace(old, new))


# what can be lost or damaged of what audits keep; an entry in the middle counts only behind the newest checkpoint
_LOSSES: dict[str, Callable[[MemoryStore, list[str]], None]] = {
    "all": lambda store, _: store.objects.clear(),
    "ledger": _without,
    "tail": lambda store, entries: _without(store, entries[-1:]),
    "middle": lambda store, entries: _without(store, entries[len(entries) // 2 :][:1]),
    "flipped": lambda store, entries: _changed(store, entries[-1], b"index_ends", b"index_endz"),
    "other topic": lambda store, entries: _changed(store, entries[-1], b'"t"', b'"u"'),
    "fold": lambda store, _: _without(store, [FOLD_KEY]),
    "fold flipped": lambda store, _: _changed(store, FOLD_KEY, b"PAR1", b"PAR2"),
}


class BrokenPromiseError(AssertionError):
    """The auditor said what is not so; the text ends with how to see it again."""


@dataclass
class History:
    """A world and what the auditor keeps of it. `tolerant`: the clock jumped ahead, so settle times were too short."""

    seed: int
    world: World
    dice: random.Random
    kept: MemoryStore = field(default_factory=lambda: MemoryStore("audit"))
    skew: timedelta = timedelta(0)
    tolerant: bool = False
    damaged: bool = False
    audits: int = 0
    transactions_shown: int = 0  # the topic of whose markers an audit, not forgotten since, has told
    reached: dict[tuple[int, int], int] = field(default_factory=dict)  # by topic and partition: what looks saw of logs
    log: list[str] = field(default_factory=list)

    def clock(self) -> datetime:
        self.world.passes(0.05)
        return self.world.now + self.skew

    def request(self, *, full: bool = False, told: ToldBaseline | None = None, broker: bool = True) -> AuditRequest:
        state = AuditState(self.kept, TOPIC, self.world.index)
        plan = StatePlan(state, full=full, told=told, draw=_no_page)
        rules = AuditRules(SETTLE, MAX_DELAY, "seeded")
        index = IndexPath(self.world.index, TOPIC)
        if not broker:
            return AuditRequest(index, None, None, rules, plan=plan)
        return AuditRequest(index, self.world, GROUP, rules, reader=self.world, plan=plan)

    def audit(self, **how: bool) -> AuditReport | None:
        """An audit that may die, fail to store, or have another one run in its middle; None when it died."""
        self.audits += 1
        fate = self.dice.choices(["whole", "dies", "fails", "interleaved"], [12, 2, 2, 3])[0]
        self.log.append(f"audit {fate} {how}")
        self._arrange(fate)
        try:
            report = self._run(self.request(**how))
        except Died:
            self.log.append("died")
            return None
        finally:
            self._clear()
        self.judge(report, broker=how.get("broker", True))
        return report

    def plain_audit(self, **how: bool | ToldBaseline) -> AuditReport:
        """An audit to which nothing happens."""
        self._clear()
        report = self._run(self.request(**how))  # type: ignore[arg-type] - one mapping for options of several types
        if how.get("full"):
            self.world.unlisted.clear()
        self.judge(report, broker=True)
        return report

    def _run(self, request: AuditRequest) -> AuditReport:
        if self.dice.random() < 0.2:
            report = audit_twice(request, self.clock, self.world.passes)
        else:
            report = audit_topic(request, self.clock)
        shown = [
            (one.partition, str(ranged.range), ranged.range_class, ranged.cause)
            for one in report.partitions
            for ranged in one.ranges
        ]
        self.log.append(f"{report.state} {report.verdict} {shown} {report.problems}")
        if not report.problems:
            self._cuts_seen(request)
        return report

    def _cuts_seen(self, request: AuditRequest) -> None:
        """A log that was cut back is known from now on, if its end is below what anybody ever told an auditor."""
        if request.broker is None or self.world.elsewhere:
            return
        for number, log in self.world.logs.items():
            if number == self.world.silent:
                continue
            place = (self.world.topic_number, number)
            told = max(self.reached.get(place, 0), self.world.told_end(number))
            if log.end < told:
                log.known_cut = max(log.known_cut, told)
            self.reached[place] = max(told, log.end)

    def _arrange(self, fate: str) -> None:
        if fate == "whole":
            return
        countdown = [self.dice.randint(1, 30)]
        late = self.dice.random() < 0.5

        def strike(_operation: str, _key: str) -> None:
            countdown[0] -= 1
            if countdown[0] != 0:
                return
            if fate == "dies":
                raise Died
            if fate == "fails":
                raise StoreError("the store failed: look after it")
            self._clear()
            self.log.append("another audit in between")
            other = self._run(self.request())
            self.judge(other, broker=True)

        if late:
            self.kept.after = strike
        else:
            self.kept.before = strike
            self.world.index.before = strike

    def _clear(self) -> None:
        for store in (self.kept, self.world.index):
            store.before = store.after = lambda _operation, _key: None

    # ---- faults of what is kept

    def lose_state(self) -> None:
        entries = sorted(key for key in self.kept.objects if key.startswith(LEDGER_PREFIX))
        if not entries:
            return
        kind = self.dice.choice([*_LOSSES])
        self.log.append(f"lose {kind}")
        _LOSSES[kind](self.kept, entries)
        newest_gone = kind in {"tail", "middle"} and entries[-1] not in self.kept.objects
        if kind.startswith("fold"):
            return  # it is rebuilt, and nothing is lost
        self.transactions_shown = 0
        if self._said_again(entries):
            return
        self.damaged = bool(AuditState(self.kept, TOPIC, self.world.index).read().problems)
        witnessed = f"_audits/{TOPIC}.json" in self.world.index.objects
        # the newest entry of an audit that died before it told where the ledger ends has no witness but itself
        if not self.damaged and witnessed and not newest_gone:
            raise BrokenPromiseError(self.told(f"a memory that was lost ({kind}) went unnoticed"))

    def _said_again(self, entries: list[str]) -> bool:
        """Whether a checkpoint behind the one entry that is gone says all that it said, or begins a new ledger."""
        gone = [key for key in entries if key not in self.kept.objects]
        left = [self.kept.objects[key][0] for key in entries if key in self.kept.objects and gone and key > gone[0]]
        return len(gone) == 1 and any(b'"checkpoint":true' in data.splitlines()[0] for data in left)

    def begin_anew(self) -> None:
        self.log.append("a person tells a baseline")
        for log in self.world.logs.values():  # what was cut back once is forgotten with the memory
            for slot in log.slots:
                slot.excused = slot.excused or log.high > log.end or "cut-back" in self.world.marks
        self.damaged = False
        self.reached = {}
        self.transactions_shown = 0
        self.plain_audit(told=ToldBaseline({}))

    # ---- judging

    def judge(self, report: AuditReport, *, broker: bool) -> None:
        forgetful = self.damaged or any("earlier audits" in problem for problem in report.problems)
        if forgetful and report.verdict == "complete":
            raise BrokenPromiseError(self.told("green without its memory"))
        if self.world.elsewhere and broker and report.verdict == "complete":
            raise BrokenPromiseError(self.told("green by another cluster's word"))
        if not broker:
            self._judge_index_alone(report)
        if not broker or self.world.elsewhere or report.books["broker"] != "read":
            return
        explained = any(one.decision.ranges_of("explained") for one in report.partitions)
        transactions_known = explained or self.transactions_shown == self.world.topic_number
        for one in report.partitions:
            if not any(problem.startswith(f"partition {one.partition}") for problem in report.problems):
                self._judge_partition(one, forgetful and "cut-back" in self.world.marks, transactions_known)
        if explained and not report.problems:
            self.transactions_shown = self.world.topic_number
        if report.verdict == "complete":
            missed = {one.partition for one in report.partitions} ^ set(self.world.logs)
            if missed:
                raise BrokenPromiseError(self.told(f"complete, but partitions {missed} differ"))

    def _judge_index_alone(self, report: AuditReport) -> None:
        """What the index alone shows: complete reaches as far as its rows, and a record below that is in one of them.

        Unless the log began anew: without the broker nobody knows.
        """
        if report.verdict != "complete" or self.world.marks & {"recreated", "cut-back"}:
            return
        for one in report.partitions:
            log = self.world.logs.get(one.partition)
            if log and self.world.indexed_end(one.partition) > one.decision.end:
                raise BrokenPromiseError(self.told(f"complete to {one.decision.end}, and the index has more rows"))
            for slot in log.slots[one.decision.baseline.offset : one.decision.end] if log else []:
                if slot.data and not slot.excused and self._is_not_indexed(slot):
                    raise BrokenPromiseError(self.told(f"the index alone is complete, a record is in no row: {slot}"))

    def _judge_partition(self, one: PartitionReport, forgetful: bool, transactions_known: bool) -> None:
        """`forgetful`: the auditor says that it knows of no earlier look, so of no log that was cut back.

        Without `transactions_known` nobody can tell a marker from a record that the log's start has passed.
        """
        log = self.world.logs.get(one.partition)
        slots = log.slots if log else []
        for tile in one.decision.tiles:
            if tile.cause == "expired" and self._holds_a_loss(tile.ranges, slots):
                continue  # markers among lost records are no records, but nobody can tell once the log has passed them
            for part in tile.ranges:
                for offset in range(part.start, part.end):
                    slot = slots[offset] if offset < len(slots) else None
                    if slot is not None and slot.excused:
                        continue
                    wrong: Callable[[], bool] = {
                        "indexed": lambda slot=slot: slot is None or (not forgetful and self._is_not_indexed(slot)),
                        "explained": lambda slot=slot: slot is None or slot.data,
                        "missing": lambda slot=slot, cause=tile.cause: (
                            self._is_false_loss(slot)
                            and not (cause == "expired" and self._looks_lost(slot, transactions_known))
                        ),
                    }.get(tile.offset_class, lambda: False)
                    if wrong():
                        where = f"offset {offset} of partition {one.partition}"
                        raise BrokenPromiseError(self.told(f"{where} is not {tile.offset_class} ({tile.cause})"))

    def _is_not_indexed(self, slot: Slot) -> bool:
        return not self.world.accounted(slot) and not slot.files & self.world.unlisted

    def _holds_a_loss(self, ranges: RangeSet, slots: list[Slot]) -> bool:
        offsets = (offset for part in ranges for offset in range(part.start, min(part.end, len(slots))))
        return any(slots[offset].data and not self._is_false_loss(slots[offset]) for offset in offsets)

    def _is_false_loss(self, slot: Slot | None) -> bool:
        if slot is None:
            return True
        return (not slot.data or self.world.accounted(slot) or self.world.waiting(slot)) and not self.tolerant

    def _looks_lost(self, slot: Slot | None, transactions_known: bool) -> bool:
        """What nobody can tell from a lost record when the log has passed it: a marker, a row held back.

        That the log has passed a marker can be told where `transactions_known`; of a file that is not committed only
        the job knows.
        """
        if slot is None:
            return False
        return self.world.waiting(slot) if slot.data else not transactions_known

    def told(self, what: str) -> str:
        told = "\n  ".join(self.log[-40:])
        return f"{what}\n  {told}\nsee it again: python -m benchmarks.simulate --histories 1 --seed {self.seed}"
