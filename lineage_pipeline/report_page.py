"""A report as one HTML file that needs nothing else: no script, no network, everything that was read escaped.

It is bounded whatever the size of the topic: what is left out is counted, and the JSON beside it has everything.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lineage_pipeline.core.coverage_map import SEVERITY
from lineage_pipeline.core.expiry import shown
from lineage_pipeline.core.history import AuditHistory
from lineage_pipeline.core.map_drawing import WORST_FIRST, draw, worst_partitions
from lineage_pipeline.core.next_steps import next_steps
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.report import TOTALS, AuditReport, PartitionReport, ReportedRange

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_DRAWN = 100  # partitions in the map
MAX_STRIPS = 4_000  # of the map altogether, about 1 MB
MAX_PARTITIONS = 500
MAX_RANGES = 500
MAX_LINES = 200  # findings, problems, lines of history, accepted gaps
MAX_TEXT = 600  # characters of one sentence
_CELLS = 240
_NAMED = 5  # ranges that a line of history spells out
_MARKS = {"complete": "✓", "undetermined": "?", "loss": "✗"}
_MEANINGS = {
    "complete": "everything is proven to be there",
    "undetermined": "it cannot be proven that everything is there",
    "loss": "records are missing or damaged",
}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Cut(Generic[_T]):
    """The first of many: `shown` of them, and how many there are."""

    shown: Sequence[_T]
    total: int

    @property
    def left_out(self) -> int:
        """How many are not shown."""
        return self.total - len(self.shown)


def report_page(report: AuditReport, json_place: str | None = None) -> bytes:
    """The page as UTF-8. `json_place`: where the whole report is stored, if anywhere."""
    text = _environment().get_template("report.html").render(_values(report, json_place))
    return text.encode("utf-8", errors="backslashreplace")


def drawn_page(report: AuditReport, json_place: str | None = None) -> tuple[bytes, str | None]:
    """The page, and None; when it cannot be drawn, a plain one that says so, and why.

    So no earlier page is taken for this report's, and the audit goes on.
    """
    try:
        return report_page(report, json_place), None
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the drawing, the verdict stands
        reason = f"it could not be drawn ({type(error).__name__}: {str(error)[:200]})"
    verdict = f"{report.topic}: {report.verdict.upper()} at {shown(report.audited_at)}"
    told = f"{verdict}. The page would say more, but {reason}."
    head = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>report</title></head>'
    page = f"{head}<body><p>{escape(visible(told))}</p></body></html>\n"
    return page.encode("utf-8", errors="backslashreplace"), reason


def visible(value: Any) -> Any:
    """Text as it is written: control characters and those that turn the direction of text are spelled out."""
    if type(value) is not str:
        return value
    text = value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]} ... ({len(value) - MAX_TEXT} characters more)"
    if text.isprintable():
        return text
    return "".join(
        one if one == "\n" or unicodedata.category(one)[0] not in "CZ" or one == " " else f"\\u{ord(one):04x}"
        for one in text
    )


@cache
def _environment() -> Environment:
    # a command that draws nothing need not wait for it
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - as said above

    made = Environment(
        loader=PackageLoader("lineage_pipeline"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["amount"] = _amount
    made.filters["time"] = lambda moment: "" if moment is None else shown(moment)
    made.filters["offsets"] = offsets_text
    return made


def _values(report: AuditReport, json_place: str | None) -> dict[str, Any]:
    history = report.history
    drawn = worst_partitions(report, MAX_DRAWN)
    rows = draw(drawn, _CELLS, MAX_STRIPS)
    partitions = worst_partitions(report, MAX_PARTITIONS)
    used = {strip.name for row in rows for strip in (*row.strips, *row.copies)}
    return {
        "report": report,
        "mark": _MARKS[report.verdict],
        "meaning": _MEANINGS[report.verdict],
        "sentence": sentence(report),
        "steps": next_steps(report),
        "rows": Cut([row for row in rows if row.strips], sum(one.end > one.baseline for one in report.partitions)),
        "legend": [name for name in SEVERITY if name in used],
        "marks": _MARKS,
        "totals": [(name, report.totals[name]) for name in TOTALS],
        "columns": _columns(report),
        "partitions": Cut(partitions, len(report.partitions)),
        "ranges": _cut(_worst_ranges(report), MAX_RANGES),
        "findings": _cut(report.findings, MAX_LINES),
        "problems": _cut(report.problems, MAX_LINES),
        "history": history,
        "gaps": _cut(_gap_lines(history), MAX_LINES),
        "acceptances": _cut(list(reversed(history.acceptances)) if history else [], MAX_LINES),
        "left": _cut(_left_baselines(history), MAX_LINES),
        "json_place": json_place,
    }


def sentence(report: AuditReport) -> str:
    """The one sentence that matters, behind the verdict."""
    totals = report.totals
    lost = totals["missing"] + totals["damaged"]
    if report.verdict == "loss" and lost:
        parts = sum(1 for one in report.partitions if one.counts["missing"] or one.counts["damaged"])
        where = "1 partition" if parts == 1 else f"{parts} partitions"
        return f"{lost:,} of {totals['expected']:,} expected offsets in {where} are missing from the lake or damaged."
    counted = f"{totals['actual']:,} of {totals['expected']:,} expected offsets are in the index"
    if report.verdict == "complete":
        beside = [f"{totals[key]:,} {key}" for key in ("explained", "accepted", "pending") if totals[key]]
        return f"{counted}; beside them {', '.join(beside)}." if beside else f"{counted}."
    unproven = [f"{totals[key]:,} {key}" for key in ("unknown", "pending") if totals[key]]
    return f"{counted}; not proven: {', '.join(unproven) or 'see the problems below'}."


def offsets_text(one: OffsetRange) -> str:
    """For people: the last offset inclusive."""
    return str(one.start) if len(one) == 1 else f"{one.start} to {one.end - 1}"


def _amount(value: int) -> str:
    return f"{value:,}"


def _cut(listed: Sequence[_T], most: int) -> Cut[_T]:
    return Cut(listed[:most], len(listed))


def _columns(report: AuditReport) -> list[str]:
    """The counts that are not 0 in every partition; what is missing is told in any case."""
    always, first = ("expected", "actual", "missing"), ("expected", "actual", *SEVERITY)
    ordered = [*(name for name in first if name != "indexed"), "quarantined"]
    return [name for name in ordered if name in always or report.totals[name]]


def _worst_ranges(report: AuditReport) -> list[tuple[PartitionReport, ReportedRange]]:
    order = {name: rank for rank, name in enumerate((*WORST_FIRST[:3], "duplicated", *WORST_FIRST[3:]))}
    listed = [(one, ranged) for one in report.partitions for ranged in one.ranges]
    return sorted(
        listed, key=lambda pair: (order[pair[1].range_class], -len(pair[1].range), pair[0].partition, pair[1].range)
    )


def _gap_lines(history: AuditHistory | None) -> list[dict[str, Any]]:
    """Newest first."""
    return (
        [
            {
                "at": one.at,
                "status": one.status,
                "partition": one.partition,
                "count": one.ranges.total,
                "where": _where(one.ranges, len(one.ranges)),
                "now": history.of_this_topic(one.incarnation),
            }
            for one in reversed(history.gaps)
        ]
        if history
        else []
    )


def _where(ranges: Iterable[OffsetRange], count: int) -> str:
    named = [offsets_text(one) for _, one in zip(range(_NAMED), ranges, strict=False)]
    return ", ".join(named) + (f" and {count - _NAMED} further ranges" if count > _NAMED else "")


def _left_baselines(history: AuditHistory | None) -> list[dict[str, Any]]:
    lines = []
    for one in reversed(history.left) if history else ():
        listed = sorted(one.baselines.items())
        told = ", ".join(f"{partition} from {offset}" for partition, offset in listed[:_NAMED])
        more = f" and {len(listed) - _NAMED} further partitions" if len(listed) > _NAMED else ""
        lines.append({"at": one.at, "reason": one.reason, "where": f"{told}{more}"})
    return lines
