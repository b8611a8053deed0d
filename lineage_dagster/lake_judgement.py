"""Pure: what an audit that read the lake says about the files alone, check by check. What nobody could see fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from lineage_dagster import names
from lineage_dagster.judgement import CheckKind, Judgement
from lineage_dagster.outcome import AuditOutcome
from lineage_dagster.sentences import MAX_NAMED, Stretch, listed, remark
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.core.report import AuditReport, PartitionReport

LAKE_CHECKS = (
    CheckKind(
        names.FILES_HOLD_THE_INDEX,
        "ERROR",
        "Every offset that the index accounts for is in a data or quarantine file that is there and can be read. Fails "
        "as well when that cannot be told.",
        blocking=True,
    ),
    CheckKind(
        names.FILES_READABLE,
        "ERROR",
        "Both tables could be listed, and every file was looked at since it last changed.",
    ),
    CheckKind(names.FILES_INDEXED, "WARN", "No file holds offsets that should have an index row and have none."),
    CheckKind(names.NO_REPEATED_ROWS, "WARN", "No offset is in the files more than once."),
)
_NOTHING_INDEXED = "the index accounts for no offset, so there is nothing to hold against the files"


@dataclass(frozen=True)
class FileFigures:
    """How many offsets are in files, and how many indexed ones are in none: damaged, or not judged yet."""

    held: int
    damaged: int
    doubtful: int


def judge_lake(outcome: AuditOutcome) -> tuple[Judgement, ...]:
    """A judgement for each of LAKE_CHECKS, in that order."""
    return tuple(_judge(kind, outcome) for kind in LAKE_CHECKS)


def figures(report: AuditReport) -> FileFigures:
    """The numbers that plot over time."""
    absent = [(_absent(one), one.decision.ranges_of("damaged")) for one in report.partitions]
    return FileFigures(
        held=sum(one.decision.lake.present.total for one in report.partitions),
        damaged=sum(ranges.intersection(damaged).total for ranges, damaged in absent),
        doubtful=sum(ranges.difference(damaged).total for ranges, damaged in absent),
    )


def absent_stretches(report: AuditReport) -> list[Stretch]:
    """The reported ranges of indexed offsets that no file holds, the widest first."""
    found = []
    for one in report.partitions:
        absent = _absent(one)
        for ranged in one.ranges:
            if ranged.range_class in {"damaged", "unknown", "pending"}:
                clipped = absent.clip(ranged.range.start, ranged.range.end)
                found += [
                    Stretch(one.partition, part.start, part.end, ranged.range_class, ranged.cause, ranged.evidence)
                    for part in clipped
                ]
    return sorted(found, key=lambda one: (-len(one), one.partition, one.start))


def look_again_at(outcome: AuditOutcome, settle: float) -> datetime | None:
    """When a second look can decide what this one saw for the first time; None when there is nothing of that kind.

    A job's first files come with its first checkpoint: what was looked at before is no reason to stay red for long.
    """
    report = outcome.report
    if report is None:
        return None
    suspected = any(one.cause == "suspected" for one in absent_stretches(report))
    too_early = _blind(report) == _NOTHING_INDEXED and not figures(report).held
    return outcome.finished_at + timedelta(seconds=settle) if suspected or too_early else None


def _judge(kind: CheckKind, outcome: AuditOutcome) -> Judgement:
    report = outcome.report
    if report is None:
        return Judgement(kind.name, False, kind.severity, f"NOT PROVEN: {outcome.failure}")
    passed, text = _RULES[kind.name](report)
    return Judgement(kind.name, passed, kind.severity, text)


def _hold(report: AuditReport) -> tuple[bool, str]:
    found, totals = absent_stretches(report), figures(report)
    if totals.damaged:
        lost = [one for one in found if one.range_class == "damaged"]
        return (
            False,
            f"LOSS: {totals.damaged:,} indexed offsets are in no file: {listed(lost)}. Why: {lost[0].evidence}",
        )
    blind = _blind(report)
    if totals.doubtful:
        reasons = [*(one.evidence for one in found[:1]), *_left_windows(report)[:MAX_NAMED]]
        more = f" Why: {'; '.join(reasons)}." if reasons else ""
        return (
            False,
            f"NOT PROVEN: {totals.doubtful:,} indexed offsets are in no file that was read: {listed(found)}.{more}",
        )
    if blind:
        return False, f"NOT PROVEN: {blind}"
    return True, f"{totals.held:,} offsets are in files, and all that the index accounts for are among them."


def _readable(report: AuditReport) -> tuple[bool, str]:
    if report.books["lake"] != "read":
        return False, f"The lake was {report.books['lake']}: {'; '.join(report.problems[:MAX_NAMED])}."
    if report.problems:
        more = f" ({len(report.problems) - MAX_NAMED:,} more problems)" if len(report.problems) > MAX_NAMED else ""
        return False, f"Not everything could be read: {'; '.join(report.problems[:MAX_NAMED])}{more}."
    return True, "Both tables were listed, and every file in them has been looked at."


def _indexed(report: AuditReport) -> tuple[bool, str]:
    found = [one for one in report.findings if one.kind == "unindexed-data"]
    if found:
        return False, f"{'; '.join(remark(one) for one in found[:MAX_NAMED])}. Next: lineage index rebuild"
    blind = _blind(report)
    return (
        not blind,
        f"Nobody can tell: {blind}" if blind else "Every offset in the files that is due has an index row.",
    )


def _repeated(report: AuditReport) -> tuple[bool, str]:
    surplus = sum(one.decision.lake.repeats.surplus() for one in report.partitions)
    if surplus:
        found = [remark(one) for one in report.findings if one.kind == "repeated-rows"]
        return False, f"{surplus:,} rows too many: {'; '.join(found[:MAX_NAMED])}."
    blind = _blind(report)
    return not blind, f"Nobody can tell: {blind}" if blind else "Every offset is in the files at most once."


def _absent(one: PartitionReport) -> RangeSet:
    decision = one.decision
    absent = _accounted(one).difference(decision.lake.present)
    return absent.difference(decision.ranges_of("explained")).difference(decision.ranges_of("accepted"))


def _accounted(one: PartitionReport) -> RangeSet:
    """The offsets that the index accounts for, or may: which of an inexact window it means is not known."""
    coverage = one.decision.coverage
    return coverage.exact.union(coverage.windows.ranges()).clip(one.baseline, one.end)


def _left_windows(report: AuditReport) -> list[str]:
    """Which files held offsets of inexact windows and are gone: what is said of such offsets names no file."""
    return [
        lost.text
        for one in report.partitions
        for absent in [_absent(one).difference(one.decision.coverage.exact)]
        for lost in one.decision.lake.lost
        if len(lost.ranges.intersection(absent))
    ]


def _blind(report: AuditReport) -> str:
    """Why figures about files need not be whole; empty when they are."""
    if report.books["lake"] != "read":
        return f"the lake was {report.books['lake']}: {'; '.join(report.problems[:MAX_NAMED])}"
    if report.books["index"] != "read":
        return f"the index was {report.books['index']}"
    if report.problems:
        return "; ".join(report.problems[:MAX_NAMED])
    if not report.partitions:
        return "no partition is in any book"
    # zero of zero is no proof, unless it was shown that the topic has no record
    compared = report.verdict == "complete" or any(len(_accounted(one)) for one in report.partitions)
    return "" if compared else _NOTHING_INDEXED


_RULES: dict[str, Callable[[AuditReport], tuple[bool, str]]] = {
    names.FILES_HOLD_THE_INDEX: _hold,
    names.FILES_READABLE: _readable,
    names.FILES_INDEXED: _indexed,
    names.NO_REPEATED_ROWS: _repeated,
}
