"""Use case: a person takes on a known gap, with a reason. It is an entry of the ledger and is shown for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage_pipeline.books.audit_state import AuditState, StoredState
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.ledger_events import Event, GapAccepted, GapChanged
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.errors import LedgerError, StoreError, UsageError
from lineage_pipeline.remembering import LATEST

ACCEPTABLE = ("missing", "damaged", "unknown")
MAX_TEXT = 1000


@dataclass(frozen=True)
class Acceptance:
    """What a person says: these offsets of this partition are known to be gone, for this reason."""

    partition: int
    range: OffsetRange
    reason: str
    author: str


def accept_gap(state: AuditState, accepted: Acceptance, rules: AuditRules, at: datetime) -> str:
    """Add the acceptance to the ledger and say so in a sentence.

    Only what the newest stored audit calls missing, damaged or unknown can be accepted, whole. Raises UsageError for
    anything else, LedgerError when there is no whole ledger, StoreError when it cannot be written.
    """
    _refuse_empty(accepted)
    known = state.read()
    if known.problems:
        raise LedgerError(known.problems[0])
    if known.head is None:
        raise _never_audited(state)
    classes = _judged(state, accepted)
    events: list[Event] = [
        GapAccepted(
            at=at,
            incarnation=known.state.incarnation,
            partition=accepted.partition,
            range=accepted.range,
            reason=accepted.reason,
            author=accepted.author,
        ),
        GapChanged(at, known.state.incarnation, accepted.partition, RangeSet.of(accepted.range), "accepted"),
    ]
    _append(state, known, events, rules)
    last = accepted.range.end - 1
    return (
        f"accepted: offsets {accepted.range.start} to {last} ({len(accepted.range)}) of partition {accepted.partition}"
        f" of {state.topic}, {' and '.join(classes)} so far, by {accepted.author}: {accepted.reason}"
    )


def _append(state: AuditState, known: StoredState, events: list[Event], rules: AuditRules) -> None:
    stored = state.append(known, events, rules.settle, rules.max_delay)
    if stored.head is not None:
        state.put_head(stored.head)


def _refuse_empty(accepted: Acceptance) -> None:
    if not len(accepted.range):
        raise UsageError(f"{accepted.range} holds no offset: END is the offset after the last one")
    for name, text in (("reason", accepted.reason), ("author", accepted.author)):
        if not text.strip() or len(text) > MAX_TEXT:
            raise UsageError(f"--{name} must say something, in at most {MAX_TEXT} characters")


def _judged(state: AuditState, accepted: Acceptance) -> list[str]:
    """The classes that the newest report gives the range. Raises UsageError unless all of it can be accepted."""
    ranges = _reported(state, accepted.partition)
    covered = RangeSet.of(*(one for one, name in ranges if name in ACCEPTABLE))
    rest = RangeSet.of(accepted.range).difference(covered)
    if len(rest):
        first = next(iter(rest))
        raise UsageError(
            f"offsets {first.start} to {first.end - 1} of partition {accepted.partition} are not missing, damaged or"
            " unknown in the newest audit, so there is nothing to accept: see `lineage audit --json`"
        )
    return sorted({name for one, name in ranges if name in ACCEPTABLE and _overlap(one, accepted.range)})


def _reported(state: AuditState, partition: int) -> list[tuple[OffsetRange, str]]:
    try:
        report: Any = state.get_json(LATEST)
        listed = [one["ranges"] for one in report["partitions"] if one["partition"] == partition]
        return [(OffsetRange(one["start"], one["end"]), str(one["class"])) for one in (listed or [[]])[0]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StoreError(f"{LATEST} of {state.topic} is no report of this version: audit the topic again") from None


def _overlap(one: OffsetRange, other: OffsetRange) -> bool:
    return one.start < other.end and other.start < one.end


def stored_watermark(state: AuditState, name: str) -> Mapping[str, Any]:
    """The object that the newest audit stored.

    Raises LedgerError when the topic was never audited, StoreError when the object cannot be read, is gone or not of
    this version.
    """
    try:
        found = state.get_json(name)
    except StoreError:
        known = state.read()
        if known.head is None and not known.problems:  # a memory that is lost or out of reach is no first audit
            raise _never_audited(state) from None
        raise
    if not isinstance(found, Mapping) or found.get("format") != "lineage-complete-through/1":
        raise StoreError(f"{name} of {state.topic} is not of this version: audit the topic again")
    return found


def _never_audited(state: AuditState) -> LedgerError:
    return LedgerError(f"{state.topic} has not been audited yet: run `lineage audit` first")
