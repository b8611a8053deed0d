"""Pure: an audit's outcome judged check by check. What could not be looked at fails, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from lineage_dagster import names
from lineage_dagster.outcome import AuditOutcome
from lineage_dagster.sentences import (
    complete_sentence,
    listed,
    loss_sentence,
    remark,
    stretches,
    undetermined_sentence,
)
from lineage_pipeline.core.report import AuditReport

Severity = Literal["ERROR", "WARN"]
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class AuditPromise:
    """What the settings promise about a topic: how old the newest index file may grow, and the books to be read."""

    max_delay: timedelta
    books: tuple[str, ...]


@dataclass(frozen=True)
class CheckKind:
    """One check as Dagster lists it. A `blocking` one fails the run, so that stock run-failure alerts see it too."""

    name: str
    severity: Severity
    description: str
    blocking: bool = False
    needs_broker: bool = False


@dataclass(frozen=True)
class Judgement:
    """The result of one check; `text` is all a person needs."""

    name: str
    passed: bool
    severity: Severity
    text: str


CHECKS = (
    CheckKind(
        names.COMPLETENESS,
        "ERROR",
        "Every offset of every partition reached the lake, compared as sets of offset ranges: a lost and a doubled "
        "record do not cancel out. Fails as well when that cannot be told.",
        blocking=True,
    ),
    CheckKind(names.COUNTS_MATCH, "ERROR", "Expected and actual number of records are equal in each partition."),
    CheckKind(
        names.EVIDENCE_COMPLETE, "ERROR", "Every book was read whole, and what was seen is kept for the next audit."
    ),
    CheckKind(
        names.INDEX_FRESH, "ERROR", "The newest index file is younger than max_delay, unless there is nothing to move."
    ),
    CheckKind(names.NO_DUPLICATES, "WARN", "No offset is accounted for more than once."),
    CheckKind(
        names.NO_STALLED_PARTITION,
        "ERROR",
        "No partition has records that have waited for longer than max_delay.",
        needs_broker=True,
    ),
    CheckKind(
        names.NO_URGENT_FINDING,
        "ERROR",
        "Nothing else is urgent: no time that runs out for a repair or for evidence, no transaction that is stuck, not "
        "too much in quarantine.",
    ),
)
_JUDGED = {"nothing", "duplicates", "stalled"}  # findings that have a check of their own


def checks_for(books: tuple[str, ...]) -> tuple[CheckKind, ...]:
    """The checks that these books can answer."""
    return tuple(kind for kind in CHECKS if "broker" in books or not kind.needs_broker)


def judge(outcome: AuditOutcome, promise: AuditPromise) -> tuple[Judgement, ...]:
    """A judgement for each of `checks_for(promise.books)`, in that order."""
    return tuple(_judge(kind, outcome, promise) for kind in checks_for(promise.books))


def verdict_of(outcome: AuditOutcome, judged: Judgement) -> str:
    """complete, loss or undetermined; an audit that could not run, or is complete by less than promised, is the last.

    `judged`: of the blocking check.
    """
    verdict = outcome.report.verdict if outcome.report is not None else "undetermined"
    return "undetermined" if verdict == "complete" and not judged.passed else verdict


def _judge(kind: CheckKind, outcome: AuditOutcome, promise: AuditPromise) -> Judgement:
    report = outcome.report
    if report is None:
        return Judgement(kind.name, False, kind.severity, f"NOT PROVEN: {outcome.failure}")
    passed, text = _RULES[kind.name](report, outcome, promise)
    return Judgement(kind.name, passed, kind.severity, text)


def _completeness(report: AuditReport, _outcome: AuditOutcome, promise: AuditPromise) -> tuple[bool, str]:
    unread = [book for book in promise.books if report.books[book] != "read"]
    if report.verdict == "complete" and unread:  # somebody asked for less: that ends no incident
        return False, (
            f"NOT PROVEN: this audit did not read what lineage.yaml names: {', '.join(unread)}. By what it read: "
            f"{complete_sentence(report)}"
        )
    if report.verdict == "complete":
        return True, complete_sentence(report)
    return False, loss_sentence(report) if report.verdict == "loss" else undetermined_sentence(report)


def _counts_match(report: AuditReport, _outcome: AuditOutcome, _promise: AuditPromise) -> tuple[bool, str]:
    differing = [one for one in report.partitions if one.counts["expected"] != one.counts["actual"]]
    if differing:
        worst = sorted(differing, key=lambda one: one.counts["actual"] - one.counts["expected"])
        told = "; ".join(
            f"partition {one.partition}: {one.counts['actual']:,} of {one.counts['expected']:,}" for one in worst[:3]
        )
        more = f"; and {len(worst) - 3:,} more partitions" if len(worst) > 3 else ""  # noqa: PLR2004  three are named
        return False, f"Records and expected records differ: {told}{more}."
    unseen = _unseen(report)
    if unseen:
        return False, f"The counts that are known match, but they are not all there: {unseen}."
    return True, f"{report.totals['actual']:,} of {report.totals['expected']:,} expected records."


def _evidence_complete(report: AuditReport, _outcome: AuditOutcome, promise: AuditPromise) -> tuple[bool, str]:
    wanting = [f"the {book} was {report.books[book]}" for book in promise.books if report.books[book] != "read"]
    problems = [*wanting, *report.problems]
    if not report.partitions:
        problems.append("no partition is in any book")
    if problems:
        more = f" ({len(problems) - 3:,} more problems)" if len(problems) > 3 else ""  # noqa: PLR2004  three are named
        return False, f"Not all evidence could be read: {'; '.join(problems[:3])}{more}."
    return True, f"Read whole: {', '.join(promise.books)}."


def _index_fresh(report: AuditReport, outcome: AuditOutcome, promise: AuditPromise) -> tuple[bool, str]:
    newest = outcome.newest_file
    waiting = report.totals["pending"]
    if newest is None:
        empty = report.verdict == "complete" and report.totals["expected"] == 0 and not waiting
        return (
            empty,
            "The topic is empty, and so is its index." if empty else "There is no index file that can be read.",
        )
    age = outcome.finished_at - newest
    said = f"The newest index file is from {newest:%Y-%m-%d %H:%M:%S} UTC, {_ago(age)} before the end of this audit"
    if age < -CLOCK_SKEW:
        return False, f"{said}: the clocks of store and auditor contradict each other."
    if age <= promise.max_delay:
        return True, f"{said}."
    allowed = f"{promise.max_delay.total_seconds():,.0f} s are allowed"
    if report.books["broker"] != "read":
        return False, f"{said}; {allowed}. Without the broker nobody can tell an idle topic from a dead job."
    if waiting or report.verdict != "complete":
        return False, f"{said}; {allowed}, and {waiting:,} offsets wait."
    return True, f"{said}; the topic is idle: nothing waits to be moved."


def _no_duplicates(report: AuditReport, _outcome: AuditOutcome, _promise: AuditPromise) -> tuple[bool, str]:
    surplus = report.totals["duplicated"]
    if surplus:
        return False, f"{surplus:,} records too many: {listed(stretches(report, ['duplicated']))}."
    unseen = _unseen(report)
    return not unseen, f"Nobody can tell: {unseen}." if unseen else "Every offset is accounted for at most once."


def _no_stalled_partition(report: AuditReport, _outcome: AuditOutcome, promise: AuditPromise) -> tuple[bool, str]:
    stalled = stretches(report, (), ["stalled"])
    limit = f"{promise.max_delay.total_seconds():,.0f} s"
    if stalled:
        return False, f"Waiting for more than {limit}: {listed(stalled)}."
    if report.books["broker"] != "read":
        return False, f"Nobody can tell: the broker was {report.books['broker']}."
    unseen = _unseen(report)
    return not unseen, f"Nobody can tell: {unseen}." if unseen else f"No partition has waited for more than {limit}."


def _no_urgent_finding(report: AuditReport, _outcome: AuditOutcome, promise: AuditPromise) -> tuple[bool, str]:
    others = [one for one in report.findings if one.kind not in _JUDGED]
    urgent = [one for one in others if one.severity == "error"]
    if urgent:
        told = "; ".join(remark(one) for one in urgent[:3])
        more = f"; and {len(urgent) - 3:,} more" if len(urgent) > 3 else ""  # noqa: PLR2004  three are named
        return False, f"Urgent: {told}{more}."
    unread = [f"the {book} was {report.books[book]}" for book in promise.books if report.books[book] != "read"]
    unseen = "; ".join(unread) or _unseen(report)
    if unseen:
        return False, f"Nobody can tell: {unseen}."
    warned = sum(1 for one in others if one.severity == "warn")
    beside = f" {warned:,} more to know: see the table." if warned else ""
    return True, f"Nothing else is urgent.{beside}"


def _unseen(report: AuditReport) -> str:
    """Why figures of this report need not be all there; empty when they are."""
    if report.books["index"] != "read":
        return f"the index was {report.books['index']}"
    if report.problems:
        more = f" ({len(report.problems) - 1:,} more problems)" if len(report.problems) > 1 else ""
        return f"{report.problems[0]}{more}"
    return "" if report.partitions else "no partition is in any book"


def _ago(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    return f"{seconds:,} s" if abs(seconds) < 7200 else f"{seconds // 3600:,} h"  # noqa: PLR2004  two hours


_Rule = Callable[[AuditReport, AuditOutcome, AuditPromise], tuple[bool, str]]
_RULES: dict[str, _Rule] = {
    names.COMPLETENESS: _completeness,
    names.COUNTS_MATCH: _counts_match,
    names.EVIDENCE_COMPLETE: _evidence_complete,
    names.INDEX_FRESH: _index_fresh,
    names.NO_DUPLICATES: _no_duplicates,
    names.NO_STALLED_PARTITION: _no_stalled_partition,
    names.NO_URGENT_FINDING: _no_urgent_finding,
}
