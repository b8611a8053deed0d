"""Pure: stored reports as one row per topic. A report that is absent, too old or senseless is never complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from lineage_dagster.sentences import LOST, UNPROVEN_CAUSES, Stretch, listed
from lineage_pipeline.core.classes import VERDICTS
from lineage_pipeline.core.overdue import counts_no_more

FIGURES = ("lost", "not_proven", "doubled")
MAX_WHAT = 160  # characters; the topic's own page has all of it
_NAMED = 5  # topics that the headline spells out


@dataclass(frozen=True)
class Expected:
    """What a report has to be of: this topic, these books, and at most `oldest` seconds ago."""

    topic: str
    books: tuple[str, ...]
    oldest: float


@dataclass(frozen=True)
class SummaryRow:
    """One topic. `figures` has the keys of FIGURES, or none; `what`: what is wrong, empty when nothing is."""

    topic: str
    verdict: str
    audited_at: str
    figures: Mapping[str, int]
    what: str


def unreadable(topic: str, why: str) -> SummaryRow:
    """The row of a topic without a report."""
    return SummaryRow(topic, "undetermined", "", {}, _cut(f"no report: {why}"))


def summary_row(expected: Expected, report: Mapping[str, Any], now: datetime) -> SummaryRow:
    """The row for a stored report. One that is not as expected may still tell a loss, and is never complete."""
    topic = expected.topic
    try:
        said = str(report["audited_at"])
        audited_at = datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        totals = {key: int(value) for key, value in report["totals"].items()}
        figures = {
            "lost": totals["missing"] + totals["damaged"],
            "not_proven": totals["unknown"],
            "doubled": totals["duplicated"],
        }
        verdict = str(report["verdict"])
        what = _what(report)
        proven = figures["lost"] == figures["not_proven"] == 0 and totals["expected"] == totals["actual"]
        parts = [str(one["verdict"]) for one in report["partitions"]]
        figures = figures if parts else {}  # zero of zero would look like none lost
        unread = [book for book in expected.books if report["books"].get(book) != "read"]
        foreign = report["topic"] != topic
    except (AttributeError, KeyError, TypeError, ValueError):
        return SummaryRow(topic, "undetermined", "", {}, "the stored report cannot be read: audit the topic again")
    age = (now - audited_at).total_seconds()
    if foreign:
        return SummaryRow(
            topic, "undetermined", said, {}, "the stored report is of another topic: audit the topic again"
        )
    if verdict not in VERDICTS:
        verdict, what = "undetermined", f"the stored report says {verdict[:40]!r}, which is no verdict"
    elif verdict == "complete" and (what or not proven or set(parts) != {"complete"}):
        verdict, what = "undetermined", "the stored report says complete and contradicts itself: audit the topic again"
    elif counts_no_more(age, expected.oldest):
        old = f"no audit since {said}, and that one said {verdict}"
        old = old if age > 0 else f"the report is from {said}, which is yet to come: some clock is wrong"
        verdict, what = (verdict, f"{old}: {what}") if verdict == "loss" else ("undetermined", old)
    elif verdict == "complete" and unread:
        verdict, what = "undetermined", f"the newest audit did not read what lineage.yaml names: {', '.join(unread)}"
    return SummaryRow(topic, verdict, said, figures, _cut(what or ("" if verdict == "complete" else "see its page")))


def worst_first(rows: Iterable[SummaryRow]) -> list[SummaryRow]:
    """Losses before doubts before complete ones, in each the most offsets first."""

    def badness(row: SummaryRow) -> tuple[int, int, str]:
        return -VERDICTS.index(row.verdict), -row.figures.get("lost", 0) - row.figures.get("not_proven", 0), row.topic

    return sorted(rows, key=badness)


def headline(rows: Sequence[SummaryRow]) -> str:
    """All topics in a sentence; `rows` have the worst first."""
    wrong = [row for row in rows if row.verdict != "complete"]
    if not wrong:
        return f"Every topic is complete ({len(rows)} of {len(rows)})."
    named = ", ".join(f"{row.topic} ({row.verdict})" for row in wrong[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return f"{len(wrong)} of {len(rows)} topics {'is' if len(wrong) == 1 else 'are'} not complete: {named}{more}."


def _what(report: Mapping[str, Any]) -> str:
    """What is wrong, the worst first; empty when the report names nothing."""
    lost = _stretches(report, LOST)
    if lost:
        until = report.get("repairable_until")
        return listed(lost) + (f"; can be repaired until {until}" if until else "")
    if report["problems"]:
        return str(report["problems"][0])
    doubts = _stretches(report, ("unknown",), UNPROVEN_CAUSES)
    if doubts:
        return f"{listed(doubts)}: {doubts[0].evidence}"
    return "" if report["partitions"] else "no partition is in any book, so nothing was looked at"


def _stretches(report: Mapping[str, Any], classes: Iterable[str], causes: Iterable[str] = ()) -> list[Stretch]:
    """The widest first, as in `sentences.stretches`."""
    wanted, caused = set(classes), set(causes)
    found = [
        Stretch(one["partition"], told["start"], told["end"], told["class"], told["cause"], str(told["evidence"]))
        for one in report["partitions"]
        for told in one["ranges"]
        if told["class"] in wanted or told["cause"] in caused
    ]
    return sorted(found, key=lambda one: (-len(one), one.partition, one.start))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_WHAT else f"{text[: MAX_WHAT - 4]} ..."
