"""Pure: an audit's outcome in whole sentences, short enough for a list and a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.next_steps import next_steps
from lineage_pipeline.core.report import AuditReport

MAX_NAMED = 3  # ranges or problems that a sentence spells out; a table beside it has more
LOST = ("missing", "damaged")
UNPROVEN_CAUSES = ("suspected", "stalled")


@dataclass(frozen=True)
class Stretch:
    """One reported range and its partition, as figures. [start, end) half-open."""

    partition: int
    start: int
    end: int
    range_class: str
    cause: str | None
    evidence: str

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        """For people: last offset inclusive."""
        named = f"offset {self.start}" if len(self) == 1 else f"offsets {self.start} to {self.end - 1}"
        cause = f", {self.cause}" if self.cause else ""
        return f"partition {self.partition}, {named} ({len(self):,} {self.range_class}{cause})"


def stretches(report: AuditReport, classes: Iterable[str], causes: Iterable[str] = ()) -> list[Stretch]:
    """All ranges of these classes, or with one of these causes, the widest first."""
    wanted, caused = set(classes), set(causes)
    found = [
        Stretch(one.partition, ranged.range.start, ranged.range.end, ranged.range_class, ranged.cause, ranged.evidence)
        for one in report.partitions
        for ranged in one.ranges
        if ranged.range_class in wanted or ranged.cause in caused
    ]
    return sorted(found, key=lambda one: (-len(one), one.partition, one.start))


def complete_sentence(report: AuditReport) -> str:
    """Of a complete topic, with everything that is not simply indexed said aloud."""
    totals = report.totals
    partitions = "1 partition" if len(report.partitions) == 1 else f"{len(report.partitions)} partitions"
    said = f"Every one of {totals['expected']:,} expected offsets in {partitions} is in the index."
    beside = [
        f"{totals[key]:,} {words}"
        for key, words in (
            ("pending", "not due yet"),
            ("explained", "explained"),
            ("accepted", "accepted as lost by a person"),
        )
        if totals[key]
    ]
    return f"{said} Beside them: {', '.join(beside)}." if beside else said


def loss_sentence(report: AuditReport) -> str:
    """What is lost, where, and what to do next."""
    totals = report.totals
    found = stretches(report, LOST)
    if not found:  # without the broker an index row that counts too few records is a loss as well
        short = totals["expected"] - totals["actual"]
        return (
            f"LOSS: the index accounts for {totals['actual']:,} of {totals['expected']:,} expected offsets, {short:,} "
            f"too few, but its rows do not say which. {listed(stretches(report, ['unknown']))}"
        )
    count = sum(len(one) for one in found)
    return (
        f"LOSS: {count:,} of {totals['expected']:,} expected offsets did not reach the lake: {listed(found)}. "
        f"Why: {found[0].evidence}. Next: {next_command(report)}"
    )


def next_command(report: AuditReport) -> str:
    """What to type first."""
    commands = (step.command for step in next_steps(report) if step.command is not None)
    return next(commands, f"lineage audit --topic {report.topic}")


def remark(finding: Finding) -> str:
    """A finding with its partition."""
    return finding.text if finding.partition is None else f"partition {finding.partition}: {finding.text}"


def undetermined_sentence(report: AuditReport) -> str:
    """Why nobody can tell."""
    return f"NOT PROVEN: {'; '.join(_limited(list(_doubts(report))))}."


def listed(found: list[Stretch]) -> str:
    """The widest of them, and how many more there are."""
    rest = found[MAX_NAMED:]
    more = f", and {sum(len(one) for one in rest):,} in {len(rest):,} further ranges" if rest else ""
    return "; ".join(str(one) for one in found[:MAX_NAMED]) + more


def _doubts(report: AuditReport) -> Iterator[str]:
    yield from (text.rstrip(".") for text in report.problems)
    if not report.partitions:
        yield "no partition is in any book, so nothing was looked at"
    open_ranges = stretches(report, ["unknown"], UNPROVEN_CAUSES)
    for one in open_ranges[:MAX_NAMED]:
        yield f"{one}: {one.evidence}"
    if len(open_ranges) > MAX_NAMED:
        yield f"{len(open_ranges) - MAX_NAMED:,} further ranges"
    named = {one.partition for one in open_ranges}
    others = [one for one in report.partitions if one.verdict == "undetermined" and one.partition not in named]
    if others and not report.problems:  # a problem with the evidence makes every partition undetermined: said above
        first = others[0]
        more = f", and {len(others) - 1:,} more partitions" if len(others) > 1 else ""
        indexed, span = first.counts["indexed"], first.end - first.baseline
        yield f"partition {first.partition} has {indexed:,} of {span:,} offsets in the index{more}"


def _limited(doubts: list[str]) -> list[str]:
    limit = 2 * MAX_NAMED
    kept = doubts[:limit]
    return [*kept, f"and {len(doubts) - limit:,} more"] if len(doubts) > limit else kept or ["no reason was given"]
