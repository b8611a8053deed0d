"""Pure: what a replay of the quarantine means for the lake: which rows stand, and which are there on purpose twice.

A replay writes a row into data and leaves the one in quarantine, since nothing is ever deleted. From then on the row in
data stands: together the two are one occurrence, and should the object in data vanish,
the offset is not there any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage_pipeline.core.coverage import Repeats, layered
from lineage_pipeline.core.lake_manifest import LakeFile
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offsets import RangeSet

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Holding:
    """What objects hold of one partition.

    `present`: in any of them; `repeats`: more than once, where a row in quarantine and its replay are one occurrence;
    `quarantined`: in quarantine; `replayed`: in what a replay wrote.
    """

    present: RangeSet
    repeats: Repeats
    quarantined: RangeSet
    replayed: RangeSet


@dataclass(frozen=True)
class Kinds:
    """Of files by number: whether they are quarantine files, and whether a replay wrote them."""

    quarantine: Mask
    replay: Mask

    @classmethod
    def of(cls, files: Sequence[LakeFile]) -> Kinds:
        """The kinds of these files."""
        quarantine = [one.listed.table == "quarantine" for one in files]
        return cls(np.array(quarantine, dtype=np.bool_), np.array([one.listed.is_replay for one in files], np.bool_))


def holding(kinds: Kinds, runs: Runs) -> Holding:
    """What files that are there hold together, by their runs of one partition."""
    quarantined = runs.where(kinds.quarantine[runs.files]).ranges()
    replayed = runs.where(kinds.replay[runs.files]).ranges()
    present, repeats = runs.layers()
    both = replayed.intersection(quarantined)
    if len(both):
        pairs = ((runs.starts, both.starts), (runs.ends, both.ends), (runs.weights, np.full(len(both), -1)))
        starts, ends, weights = (np.concatenate(pair) for pair in pairs)
        _, repeats = layered(starts, ends, weights)
    return Holding(present, repeats, quarantined, replayed)


def withdrawn(kinds: Kinds, now: Runs, former: Runs) -> RangeSet:
    """Offsets that a replay once put into data, and that no data object holds any more. For runs of one partition."""
    once = former.where(kinds.replay[former.files]).ranges()
    return once.difference(now.where(~kinds.quarantine[now.files]).ranges())


def accounted_once(kinds: Kinds, runs: Runs) -> Runs:
    """The runs without those of replays that quarantine files hold as well. For runs of one partition."""
    replays = kinds.replay[runs.files]
    if not replays.any():
        return runs
    quarantined, mine = runs.where(kinds.quarantine[runs.files]).ranges(), runs.where(replays)
    return runs.where(~replays).joined(mine.within(mine.ranges().difference(quarantined)))
