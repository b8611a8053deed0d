"""Pure: what a replay of the quarantine means for the lake: which rows stand, and which are there twice on purpose.

A replay claims offsets, writes their rows into data and leaves those in quarantine, since nothing is ever deleted. From
then on the row in data stands: together the two are one occurrence, and should the row in data vanish, the offset is
not there any more. Claims tell what was replayed, not names of objects: those change when data is compacted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage_pipeline.core.coverage import Repeats, layered
from lineage_pipeline.core.lake_manifest import LakeManifest
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offsets import RangeSet

Mask = npt.NDArray[np.bool_]  # by file number


@dataclass(frozen=True)
class Holding:
    """What objects hold of one partition.

    `present`: in any of them; `repeats`: more than once, where a row in quarantine and its replay are one occurrence;
    `quarantined`: in quarantine; `replayed`: claimed by a replay, and in data.
    """

    present: RangeSet
    repeats: Repeats
    quarantined: RangeSet
    replayed: RangeSet


def quarantine_files(manifest: LakeManifest) -> Mask:
    """Which files are quarantine files."""
    return np.array([one.listed.table == "quarantine" for one in manifest.files], dtype=np.bool_)


def holding(in_quarantine: Mask, runs: Runs, claimed: RangeSet) -> Holding:
    """What files that are there hold together, by their runs of one partition."""
    quarantined, data = _split(in_quarantine, runs)
    replayed = claimed.intersection(data.ranges()) if len(claimed) else claimed
    present, repeats = runs.layers()
    both = replayed.intersection(quarantined.ranges())
    if len(both):
        pairs = ((runs.starts, both.starts), (runs.ends, both.ends), (runs.weights, np.full(len(both), -1)))
        starts, ends, weights = (np.concatenate(pair) for pair in pairs)
        _, repeats = layered(starts, ends, weights)
    return Holding(present, repeats, quarantined.ranges(), replayed)


def withdrawn(in_quarantine: Mask, now: Runs, former: Runs, claimed: RangeSet) -> RangeSet:
    """Offsets that a replay once put into data, and that no data object holds any more. For runs of one partition."""
    if not len(claimed):
        return claimed
    once, still = _split(in_quarantine, former)[1], _split(in_quarantine, now)[1]
    return once.ranges().intersection(claimed).difference(still.ranges())


def accounted_once(in_quarantine: Mask, runs: Runs, claimed: RangeSet) -> Runs:
    """The runs without rows in data that a replay wrote beside those in quarantine. For runs of one partition."""
    if not len(claimed):
        return runs
    quarantined, data = _split(in_quarantine, runs)
    twice = claimed.intersection(quarantined.ranges())
    return quarantined.joined(data.within(data.ranges().difference(twice)))


def _split(in_quarantine: Mask, runs: Runs) -> tuple[Runs, Runs]:
    """The runs of quarantine files, and those of data files."""
    chosen = in_quarantine[runs.files]
    return runs.where(chosen), runs.where(~chosen)
