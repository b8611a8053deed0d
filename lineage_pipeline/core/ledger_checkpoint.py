"""Pure: the ledger's state as events that say the same in fewer words: what a checkpoint begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from lineage_pipeline.core.clocks import credible, doubted_newest, slower
from lineage_pipeline.core.ledger import LedgerState
from lineage_pipeline.core.ledger_events import (
    Event,
    FilesVanished,
    FoldWritten,
    IncarnationOpened,
    Judged,
    LakeLooked,
    LogTruncated,
    Looked,
    Reached,
    WritersSeen,
)
from lineage_pipeline.core.offsets import EMPTY

_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)  # in checkpoints, where the time of the first word is forgotten
_RUNGS = 16  # doublings of max_delay: a year and more

Look = TypeVar("Look", bound=Looked | LakeLooked)


def condensed(state: LedgerState, settle: float, max_delay: float) -> tuple[Event, ...]:
    """Events that give the same state when replayed from nothing, but for its looks, which are thinned.

    Times in seconds. The last event is a Reached. Looks of one audit by a wrong clock go.
    """
    found: list[Event] = []
    if state.incarnation is not None:
        since = state.looks[0].began_at if state.looks else _LONG_AGO
        found.append(IncarnationOpened(since, state.incarnation))
    found += state.sealed
    found += [WritersSeen(tuple(sorted(state.writers)))] if state.writers else []
    found += state.left
    found += [state.baselines[one] for one in sorted(state.baselines)]
    found += _by_clock(state.looks, lambda looks: thinned(looks, settle, max_delay))
    found += [*state.resolutions, *state.acceptances, *state.history, *state.copies]
    found += _by_clock(state.lake_looks, lambda looks: _thinned_lake(looks, settle))
    found += [FilesVanished(_LONG_AGO, state.vanished)] if state.vanished else []
    found += [LogTruncated(_LONG_AGO, state.truncated)] if state.truncated else []
    found += [state.verified] if state.verified else []
    found += [FoldWritten(one) for one in state.folds]
    found += [Judged(state.judged), state.proven]
    found.append(
        Reached(
            looks=state.look_count,
            index_ends=state.index_ends,
            high_watermarks=state.high_watermarks,
            open_gaps=state.open_gaps,
            rows_without_writer_doubtful=state.rows_without_writer_doubtful,
            refused=state.refused,
        )
    )
    return tuple(found)


def _by_clock(looks: tuple[Look, ...], thin: Callable[[tuple[Look, ...]], tuple[Look, ...]]) -> tuple[Look, ...]:
    """The looks that are believed, thinned by the clock that is ahead and by the one that is behind, if there are two.

    So no machine pushes out what the other goes by. The newest stays in any case.
    """
    believed = credible(looks)
    behind = slower(believed)
    if not behind:
        return (*thin(believed), *doubted_newest(believed, looks))
    kept = {one.finished_at: one for one in (*thin(believed), *thin(behind))}
    return tuple(kept[time] for time in dict.fromkeys(one.finished_at for one in believed) if time in kept)


def thinned(looks: tuple[Looked, ...], settle: float, max_delay: float) -> tuple[Looked, ...]:
    """The looks that later audits can need: the newest, and behind it one for about every quarter of settle.

    Beyond `settle` one for every quarter of max_delay, and one beyond both; behind that, to measure how long the log
    keeps records, one for every doubling of the age. Walking from the oldest keeps frequent audits from pushing every
    look out before it is old enough to count.
    """
    if not looks:
        return ()
    ordered = sorted(looks, key=lambda one: one.finished_at)
    newest = ordered[-1].finished_at
    limit = timedelta(seconds=max(settle, max_delay))
    old = [one for one in ordered if newest - one.finished_at > limit]
    kept = [*_rungs(old[:-1], newest, limit), *old[-1:]]
    for one in ordered[len(old) : -1]:
        recent = newest - one.finished_at <= timedelta(seconds=2 * settle)
        step = timedelta(seconds=(settle if recent else max_delay) / 4)
        if not kept or one.finished_at - kept[-1].finished_at >= step:
            kept.append(one)
    return (*kept, ordered[-1])


def _thinned_lake(looks: tuple[LakeLooked, ...], settle: float) -> tuple[LakeLooked, ...]:
    """The newest look at the lake, the youngest that is older than it by `settle`, one per quarter in between."""
    if not looks:
        return ()
    ordered = sorted(looks, key=lambda one: one.finished_at)
    newest = ordered[-1].finished_at
    kept = [one for one in ordered if (newest - one.finished_at).total_seconds() >= settle][-1:]
    for one in ordered[:-1]:
        if not kept or (one.finished_at - kept[-1].finished_at).total_seconds() >= settle / 4:
            kept.append(one)
    return (*kept, ordered[-1])


def _rungs(looks: list[Looked], newest: datetime, limit: timedelta) -> list[Looked]:
    """The oldest look of every doubling of the age from `limit` on, as far as the broker was read.

    Their holes are left out: what was no hole in between has to be seen twice again.
    """
    found: dict[int, Looked] = {}
    for one in looks:
        rung = int((newest - one.finished_at) / limit).bit_length()
        if one.partitions and rung <= _RUNGS:
            found.setdefault(rung, one)
    return [
        replace(one, partitions={number: replace(seen, holes=EMPTY) for number, seen in one.partitions.items()})
        for one in found.values()
    ]
