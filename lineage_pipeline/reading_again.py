"""Use case, the part of an audit that asks the broker twice: what nobody accounts for is read again for its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from lineage_pipeline.books.broker_book import BrokerBook, HoleReader
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.hole_reading import (
    HoleBudget,
    Scan,
    open_offsets,
    out_of_reach,
    readable_offsets,
    short_window_rounds,
    still_holding,
    windows,
)
from lineage_pipeline.core.hole_resolution import Circumstances, Looks, resolve, shows_transactions
from lineage_pipeline.core.memory import Resolution
from lineage_pipeline.errors import BrokerError


@dataclass(frozen=True)
class Rereading:
    """By whom holes are read again, and what that may cost."""

    broker: BrokerBook
    reader: HoleReader
    budget: HoleBudget = field(default_factory=HoleBudget)

    def causes(self, evidence: AuditEvidence, now: Callable[[], datetime]) -> AuditEvidence:
        """The evidence with the cause of every hole that is due, as far as reading it again shows one."""
        before, memory = evidence.broker.snapshot, evidence.memory
        if before is None:
            return evidence
        held = tuple(still_holding(memory.resolutions, before.partitions))
        evidence = _with_resolutions(evidence, held, transactional=memory.transactional)
        opened = open_offsets(evidence)
        rounds = windows(opened, before.partitions, self.budget.ranges)
        scans: tuple[Scan, ...] = ()
        looks = Looks(before, before)
        try:
            if rounds:
                scans = self.reader.read(evidence.topic, rounds, evidence.isolation, self.budget)
                looks = Looks(before, self.broker.snapshot(evidence.topic))
        except BrokerError as error:
            looks = Looks(before, None, str(error))
        found = resolve(
            opened,
            scans,
            looks,
            Circumstances(
                isolation=evidence.isolation,
                finished_at=now(),
                observations=memory.observations,
                transactional=memory.transactional or shows_transactions(held),
                index_whole=not evidence.index.problems,
                indexed=any(one.bounds is not None for one in evidence.index.coverage.values()),
                holes_read=not out_of_reach(evidence, memory.resolutions),
            ),
        )
        resolutions = (*held, *found)
        transactional = memory.transactional or shows_transactions(resolutions)
        return self._short_windows(_with_resolutions(evidence, resolutions, transactional=transactional))

    def _short_windows(self, evidence: AuditEvidence) -> AuditEvidence:
        """The evidence with the records that can be read where index rows count fewer records than offsets."""
        rounds = short_window_rounds(evidence, self.budget.ranges)
        if not rounds:
            return evidence
        try:
            scans = self.reader.read(evidence.topic, rounds, evidence.isolation, self.budget)
        except BrokerError:
            return evidence  # such a span is unknown(inexact-window) with or without them, never green
        return replace(evidence, readable=readable_offsets(scans, evidence.isolation))


def _with_resolutions(
    evidence: AuditEvidence, resolutions: tuple[Resolution, ...], *, transactional: bool
) -> AuditEvidence:
    """The evidence with that in its memory; the same one, with what was decided from it, when it is in it already."""
    memory = evidence.memory
    if (memory.resolutions, memory.transactional) == (resolutions, transactional):
        return evidence
    return replace(evidence, memory=replace(memory, resolutions=resolutions, transactional=transactional))
