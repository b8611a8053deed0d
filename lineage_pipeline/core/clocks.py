"""Pure: which of the looks that the ledger keeps were made by a clock that can have been right.

Audits run on many machines. What a look saw is true whatever its clock said; when it was made is believed only as far
as the looks that were stored behind it, and the audit that asks, do not contradict it. `looks` are always in the order
in which they were stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Protocol, TypeVar

from lineage_pipeline.core.ledger_entry import CHECKPOINT_EVERY
from lineage_pipeline.core.overdue import CLOCK_SKEW

_SKEW = timedelta(seconds=CLOCK_SKEW)
_ONE_AUDIT = 2  # looks, with --wait
NEVER = datetime.max.replace(tzinfo=timezone.utc)


class _Timed(Protocol):
    @property
    def finished_at(self) -> datetime: ...


T = TypeVar("T", bound=_Timed)


def credible(looks: Sequence[T], at: datetime | None = None) -> tuple[T, ...]:
    """The looks whose age counts, for an audit that began `at`, or for one at any time.

    Later than `at` no look can be: its clock was ahead. Of the others one audit that contradicts those around it is a
    mistake. What more audits go by is the clock of a second machine, or one that was put right: then all count. Clocks
    that are apart by no more than CLOCK_SKEW contradict nothing.
    """
    possible = tuple(one for one in looks if at is None or one.finished_at - at <= _SKEW)
    believed = _agreeing(possible, at or NEVER)
    others = sum(one not in believed for one in possible[1 - CHECKPOINT_EVERY :])
    return possible if others > _ONE_AUDIT else believed


def slower(looks: Sequence[T]) -> tuple[T, ...]:
    """What a second machine goes by, whose clock is behind: what was before its newest look; empty without one."""
    newest, behind = looks[0].finished_at if looks else NEVER, list[datetime]()
    for one in looks:
        newest = max(newest, one.finished_at)
        behind += [one.finished_at] if newest - one.finished_at > _SKEW else []
    return tuple(one for one in looks if behind and one.finished_at - max(behind) <= _SKEW)


def _agreeing(looks: Sequence[T], latest: datetime) -> tuple[T, ...]:
    """The looks, but for those later than one stored behind them, or that alone contradict both sides of them."""
    kept: list[T] = []
    for index, one in reversed(list(enumerate(looks))):
        time, before = one.finished_at, looks[max(index - 1, 0)].finished_at
        alone = before - time > _SKEW and before - latest <= _SKEW
        if time - latest <= _SKEW and not alone:
            kept.append(one)
            latest = min(latest, time)
    return tuple(reversed(kept))


def undisputed(looks: Sequence[T], at: datetime) -> tuple[T, ...]:
    """The looks that nothing at all says were earlier than their own clock did: those with which something is proven.

    Stricter than `credible`, which chooses, or counts both, where of two looks either the one was ahead or the other
    behind.
    """
    kept: list[T] = []
    latest = at
    for one in reversed(looks):
        if one.finished_at <= latest:
            kept.append(one)
            latest = one.finished_at
    return tuple(reversed(kept))


def doubted_newest(believed: Sequence[T], looks: Sequence[T]) -> tuple[T, ...]:
    """The look that was stored last, if it is not believed: whatever its clock said, it saw what is now."""
    return tuple(one for one in looks[-1:] if one not in believed)
