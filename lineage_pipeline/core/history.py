"""Pure: what the ledger tells people about earlier audits: gaps that opened, healed or were accepted, baselines.

It decides nothing. Everything here is bounded by what is kept, not by what is shown: a page shows the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lineage_pipeline.core.ledger import LedgerState, same_topic
from lineage_pipeline.core.ledger_events import BaselineResolved, BaselinesLeft, GapAccepted, GapChanged, Incarnation


@dataclass(frozen=True)
class AuditHistory:
    """Oldest first. `audits`: how many there were, this one among them; `since`: when the oldest kept look began."""

    audits: int = 0
    since: datetime | None = None
    gaps: tuple[GapChanged, ...] = ()
    acceptances: tuple[GapAccepted, ...] = ()
    baselines: Mapping[int, BaselineResolved] = field(default_factory=dict)
    left: tuple[BaselinesLeft, ...] = ()
    incarnation: Incarnation | None = None

    def of_this_topic(self, incarnation: Incarnation | None) -> bool:
        """Whether offsets of that incarnation mean the same records as this topic's."""
        if incarnation is None or self.incarnation is None:
            return True
        return same_topic(incarnation, self.incarnation)


def history_of(state: LedgerState) -> AuditHistory:
    """The history that the replayed ledger holds."""
    return AuditHistory(
        audits=state.look_count,
        since=state.looks[0].began_at if state.looks else None,
        gaps=state.history,
        acceptances=state.acceptances,
        baselines=state.baselines,
        left=state.left,
        incarnation=state.incarnation,
    )
