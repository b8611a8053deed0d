"""Use case, the half of an audit that remembers: what is read before the decision and stored after it.

Stored in this order, so that a crash between any two steps loses no fact: ledger entry, fold, head, page, report,
watermark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lineage_pipeline.books.audit_state import COMPLETE_THROUGH, AuditState
from lineage_pipeline.books.fold_file import fold_bytes
from lineage_pipeline.books.index_merge import IndexReading, read_index_onto
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.core.audit_events import Look, events_of
from lineage_pipeline.core.classes import worst
from lineage_pipeline.core.completeness import complete_through
from lineage_pipeline.core.evidence import AuditRules, BrokerEvidence, IndexEvidence
from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.history import history_of
from lineage_pipeline.core.ledger import LedgerState, replay
from lineage_pipeline.core.ledger_entry import LedgerHead, digest_of
from lineage_pipeline.core.ledger_events import PERSON, BaselineResolved, Event, FoldWritten, Listing, Proven, Restarted
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.recall import Recalled, Seen, current_incarnation, recall, seal_others, stranger
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import LedgerError, StoreError
from lineage_pipeline.report_page import drawn_page

LATEST = "latest.json"
PAGE = "report.html"
PageDrawer = Callable[[AuditReport, str], tuple[bytes, str | None]]


@dataclass(frozen=True)
class ToldBaseline:
    """A person begins the memory anew: from these offsets by partition, the others as in a first audit."""

    offsets: Mapping[int, int]


@dataclass(frozen=True)
class StatePlan:
    """What to do with the stored state. `full`: list every day and read every file; `store`: write anything at all.

    `draw` gives the page of a report, and why it does not show it, if so.
    """

    state: AuditState
    full: bool = False
    store: bool = True
    told: ToldBaseline | None = None
    draw: PageDrawer = drawn_page


class Remembering:
    """One audit after the other over the same stored state. `before` are facts that an earlier one could not store."""

    def __init__(self, plan: StatePlan, path: IndexPath, rules: AuditRules, before: Sequence[Event] = ()) -> None:
        self._plan = plan
        self._path = path
        self._rules = rules
        self._unstored = tuple(before)
        self._stored = plan.state.read()
        healthy = not self._stored.problems
        known = self._stored.state if healthy else LedgerState()
        self._state = replay(self._unstored, known)
        self._fold = plan.state.fold(known) if plan.told is None else None
        self._reading: IndexReading | None = None
        self._recalled: Recalled | None = None
        self._told: tuple[Event, ...] = ()

    @property
    def state(self) -> LedgerState:
        """The ledger as the decision went by it."""
        return self._recalled.state if self._recalled else self._state

    @property
    def listing(self) -> Listing:
        """Which days the last reading listed."""
        return self._reading.listing if self._reading else "full"

    @property
    def files(self) -> tuple[str, ...]:
        """The keys of the index files that were merged."""
        return tuple(self._reading.fold.files) if self._reading else ()

    def read_index(self, at: datetime, *, closed_days: bool) -> IndexEvidence:
        """The index, read onto the fold. Never raises: what cannot be read is in `status` and `problems`."""
        # a refused file is in no fold: once its day is closed, only a full listing finds it again
        full = self._plan.full or closed_days or self._state.refused
        onto = self._reading.fold if self._reading else self._fold.fold if self._fold else None
        try:
            self._reading = read_index_onto(
                self._path, None if self._plan.full else onto, at.date(), self._state.writers, full=full
            )
        except StoreError as error:
            self._reading = None
            return IndexEvidence("unreadable", problems=(f"the offset index could not be read: {error}",))
        reading = self._reading
        return IndexEvidence(
            status="read",
            deployments=reading.deployments.deployments,
            problems=reading.problems,
            deployment_problems=reading.deployments.problems,
            newest=reading.newest,
            files=len(reading.fold.files) + reading.refused,
            future=reading.future,
        )

    def recall(self, at: datetime, index: IndexEvidence, broker: BrokerEvidence) -> tuple[IndexEvidence, Memory]:
        """The index of the topic that is now, and the memory of it, before anything is decided."""
        if self._reading is None:
            # nothing is sealed without the index, and what is remembered says nothing of another topic
            foreign = stranger(self._state, broker.snapshot)
            return index, replace(self._state.memory(at), problems=self._problems(), incarnation_problem=foreign)
        before = self._fold.fold if self._fold else None
        records, whole = index.deployments, not index.deployment_problems
        seen = Seen(at, self._reading.fold, before, records, broker.snapshot, records_whole=whole)
        self._told = self._told_events(seen)
        recalled = recall(replay(self._told, self._state), seen)
        self._recalled = recalled
        memory = replace(recalled.memory, problems=(*self._problems(), *recalled.memory.problems))
        current = replace(
            index,
            coverage=recalled.coverage,
            deployments=recalled.deployments,
            sealed_writers=recalled.sealed_writers,
        )
        return current, memory

    def keep(self, look: Look) -> tuple[AuditReport, tuple[Event, ...]]:
        """The report after storing what this look adds, and the facts that could not be stored.

        What cannot be stored makes the verdict at best undetermined: the next audit would not know what this one saw.
        """
        data, event = self._fold_to_store()
        already = self._recalled.events if self._recalled else ()
        added = events_of(look, self.state, event)
        events = (*self._unstored, *self._told, *already, *added)
        report = replace(look.report, history=history_of(replay(added, self.state)))
        if not self._plan.store:
            return report, events
        try:
            head = self._append(events)
            if head is not None:
                if data is not None:
                    self._plan.state.put_fold(data)
                self._plan.state.put_head(head)
            report = self._published(replace(look, report=report), head, events)
        except (StoreError, LedgerError) as error:
            text = f"what this audit saw could not be stored, so the next one will not know it: {error}"
            return _at_best_undetermined(report, text), events
        return report, () if head is not None else events

    def _fold_to_store(self) -> tuple[bytes | None, FoldWritten | None]:
        """The fold's bytes, None when they are stored already, and what the ledger says of it."""
        if self._reading is None:
            return None, None
        if self._fold is not None and self._reading.fold is self._fold.fold:  # no file was merged: most audits
            return None, FoldWritten(self._fold.digest)
        data = fold_bytes(self._reading.fold, self._path.topic)
        digest = digest_of(data)
        stored = self._fold is not None and self._fold.digest == digest
        return None if stored else data, FoldWritten(digest)

    def _append(self, events: Sequence[Event]) -> LedgerHead | None:
        """Where the ledger ends now; None when it is damaged, and so must be left as it is."""
        if not self._stored.writable:
            raise StoreError(self._stored.problems[0])
        if self._stored.problems:
            return self._plan.state.restart(self._stored, events).head if self._plan.told else None
        return self._plan.state.append(self._stored, events, self._rules.settle, self._rules.max_delay).head

    def _published(self, look: Look, head: LedgerHead | None, events: Sequence[Event]) -> AuditReport:
        marks = next((one for one in reversed(events) if isinstance(one, Proven)), Proven({}))
        report = self._with_page(look.report)
        self._plan.state.put_json(LATEST, report.to_json())
        told = complete_through(look.evidence, report, marks)
        self._plan.state.put_json(COMPLETE_THROUGH, {**told, "ledger": head.to_json() if head else None})
        return report

    def _with_page(self, report: AuditReport) -> AuditReport:
        """The report, its page stored. The proof does not hang on a picture: a page that fails is a finding."""
        page, failure = self._plan.draw(report, self._plan.state.place(LATEST))
        try:
            self._plan.state.put_page(PAGE, page)
        except StoreError as error:
            failure = str(error)
        if failure is None:
            return report
        text = f"{self._plan.state.place(PAGE)} does not show this report: {failure}"
        return replace(report, findings=(*report.findings, Finding("page-failed", "warn", None, text)))

    def _problems(self) -> tuple[str, ...]:
        return () if self._plan.told else self._stored.problems

    def _told_events(self, seen: Seen) -> tuple[Event, ...]:
        if self._plan.told is None:
            return ()
        reason = "; ".join(self._stored.problems) or "a person told a baseline"
        baselines = [
            BaselineResolved(partition, offset, PERSON) for partition, offset in sorted(self._plan.told.offsets.items())
        ]
        return (*seal_others(seen, current_incarnation(seen)), Restarted(seen.at, reason), *baselines)


def _at_best_undetermined(report: AuditReport, problem: str) -> AuditReport:
    return replace(report, verdict=worst([report.verdict, "undetermined"]), problems=(*report.problems, problem))
