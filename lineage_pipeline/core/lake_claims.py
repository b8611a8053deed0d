"""Pure: what the lake's objects say about indexed offsets, and about those without an index row, as claims in order.

An offset is damaged when it is indexed and in no object, by two looks at the whole lake. What an unread object may hold
is unknown; what an earlier audit found damaged stays so until an audit that reads the lake sees it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from lineage_pipeline.core.classes import Tiling
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.lake_comparison import PartitionLake
from lineage_pipeline.core.memory import Acceptance, Damage
from lineage_pipeline.core.offsets import EMPTY, RangeSet


def claim_absent(
    tiling: Tiling, evidence: AuditEvidence, partition: int, indexed: RangeSet, accepted: Sequence[Acceptance]
) -> None:
    """Claim the indexed offsets that no object holds, or that an earlier look found to be in none."""
    remembered = remembered_damage(evidence, partition)
    if evidence.lake.status == "not-consulted":
        _claim_remembered(tiling, remembered, indexed, accepted)
        return
    absent = absent_ranges(evidence, partition, indexed)
    _claim_accepted(tiling, absent, accepted)
    if evidence.lake.status == "unreadable":  # nothing was seen that could contradict what is known
        _claim_remembered(tiling, remembered, absent, accepted)
    _claim_seen(tiling, evidence, partition, absent)


def _claim_remembered(
    tiling: Tiling, remembered: Sequence[Damage], ranges: RangeSet, accepted: Sequence[Acceptance]
) -> None:
    for damage in remembered:
        held = damage.ranges.intersection(ranges)
        _claim_accepted(tiling, held, accepted)
        text = f"{damage.evidence} (so the newest audit that read the lake; only such an audit can see it whole again)"
        tiling.claim(held, "damaged", damage.cause, text)


def _claim_seen(tiling: Tiling, evidence: AuditEvidence, partition: int, absent: RangeSet) -> None:
    lake, remembered = evidence.lake, remembered_damage(evidence, partition)
    seen = lake.partitions.get(partition, PartitionLake())
    text = "their objects were older than retention.data_days allows and have left the lake"
    tiling.claim(absent.intersection(seen.retired), "explained", "lake-retention", text)
    confirmed = absent.intersection(_confirmed(evidence, partition).union(_union(one.ranges for one in remembered)))
    gone = _union(lost.ranges for lost in seen.lost)
    for doubt in lake.doubts:
        if doubt.of_lost:
            tiling.claim(absent, "unknown", doubt.cause, f"indexed, in no object that was read; {doubt.text}")
    for lost in seen.lost:
        tiling.claim(confirmed.intersection(lost.ranges), "damaged", lost.cause, lost.text)
    for damage in remembered:  # what the manifest has forgotten since
        if damage.cause != "not-committed":
            tiling.claim(confirmed.intersection(damage.ranges), "damaged", damage.cause, damage.evidence)
    for doubt in lake.doubts:
        tiling.claim(
            absent.difference(gone), "unknown", doubt.cause, f"indexed, in no object that was read; {doubt.text}"
        )
    tiling.claim(confirmed, "damaged", "not-committed", "indexed, but no object that was ever seen holds them")
    text = f"indexed, but in no object, seen for the first time; a look {evidence.rules.settle:g} s later decides"
    for lost in seen.lost:
        tiling.claim(absent.intersection(lost.ranges), "pending", "suspected", f"{text}; {lost.text}")
    tiling.claim(absent, "pending", "suspected", text)


def claim_unindexed(
    tiling: Tiling, evidence: AuditEvidence, partition: int, due: RangeSet, vanished: RangeSet
) -> RangeSet:
    """Claim those of the `due` offsets that objects hold though no index row does, and return them.

    What has `vanished` is due. They are not lost, so they are neither missing nor replayed: an index row has to be
    written for them.
    """
    seen = evidence.lake.partitions.get(partition)
    if seen is None:
        return EMPTY
    claimed = EMPTY
    for held in seen.unindexed:
        text = f"no index row, but {held.files[0]} holds them: `lineage index rebuild` writes the rows"
        gone = tiling.claim(held.ranges.intersection(vanished), "unknown", "index-vanished", text)
        rest = tiling.claim(held.ranges.intersection(due), "unknown", "unproven", text)
        claimed = claimed.union(gone).union(rest)
    return claimed


def absent_ranges(evidence: AuditEvidence, partition: int, indexed: RangeSet) -> RangeSet:
    """The indexed offsets that no object is known to hold."""
    seen = evidence.lake.partitions.get(partition, PartitionLake())
    return indexed.difference(seen.present)


def remembered_damage(evidence: AuditEvidence, partition: int) -> list[Damage]:
    """What the newest whole look at the lake left as damaged."""
    looks = evidence.memory.lake
    return [one for one in looks[-1].damage if one.partition == partition] if looks else []


def replayed_counts(evidence: AuditEvidence) -> dict[int, int]:
    """Of how many indexed offsets a replay put a row into data: as this look shows, or as the newest whole one did."""
    if not looked_whole(evidence):
        looks = evidence.memory.lake
        return dict(looks[-1].replayed) if looks else {}
    found = {}
    for partition, seen in evidence.lake.partitions.items():
        coverage = evidence.index.coverage.get(partition)
        count = seen.replayed.intersection(coverage.exact).total if coverage else 0
        if count:
            found[partition] = count
    return found


def looked_whole(evidence: AuditEvidence) -> bool:
    """Whether this look can be the first or the second of two: nothing that was there was left out."""
    return evidence.lake.status == "read" and not any(doubt.of_lost for doubt in evidence.lake.doubts)


def _confirmed(evidence: AuditEvidence, partition: int) -> RangeSet:
    """Absent at a whole look at least `settle` ago, and at every whole look since."""
    limit = evidence.audited_at - timedelta(seconds=evidence.rules.settle)
    found, still = EMPTY, None
    # of two looks at the same moment the later one comes first, as in the ledger
    looks = sorted((one for one in evidence.memory.lake if one.dated), key=lambda look: look.observed_at)
    for one in looks[::-1]:
        absent = one.absent.get(partition, EMPTY)
        still = absent if still is None else still.intersection(absent)
        if one.observed_at <= limit:
            found = found.union(still)
    return found


def _claim_accepted(tiling: Tiling, ranges: RangeSet, accepted: Sequence[Acceptance]) -> None:
    for one in accepted:
        text = f"accepted by {one.author}: {one.reason}"
        tiling.claim(ranges.intersection(one.ranges), "accepted", None, text)


def _union(ranges: Iterator[RangeSet]) -> RangeSet:
    found = EMPTY
    for one in ranges:
        found = found.union(one)
    return found
