"""Reports as Dagster metadata: numbers that plot over time, bounded tables, coverage map, incident figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from lineage_dagster import names
from lineage_dagster.judgement import Judgement, verdict_of
from lineage_dagster.outcome import AuditOutcome
from lineage_dagster.sentences import LOST, UNPROVEN_CAUSES, Stretch, next_command, stretches
from lineage_pipeline.core.coverage_map import SYMBOLS, coverage_map
from lineage_pipeline.core.next_steps import next_steps
from lineage_pipeline.core.report import AuditReport, PartitionReport

MAX_ROWS = 50  # the page does not fold a table
MAP_WIDTH = 36  # cells; a wider map pushes the words beside it off the page
MAX_INCIDENT_RANGES = 100
MAX_MARKDOWN = 990  # characters; Dagster folds 1,000 and more away
INCIDENT = "incident"
_EXACT_IN_JSON = 2**53

Metadata = dict[str, Any]  # Dagster's own type is a union of two dozen wrappers and raw values

# The asset's page cuts wide tables off, and all text with them: there only a few columns.
_FIGURES = ("expected", "actual", "missing", "damaged", "unknown", "pending", "duplicated")
_RANGE_COLUMNS = ("partition", "offsets", "count", "class", "cause", "evidence")
FEW_RANGE_COLUMNS = _RANGE_COLUMNS[:4]
_FEW_FIGURES = ("missing", "damaged", "unknown", "duplicated")


def asset_metadata(outcome: AuditOutcome, judged: Judgement) -> Metadata:
    """What the page of audit/<topic> shows, in this order; `judged` is of the check `completeness`."""
    report = outcome.report
    found: Metadata = {"verdict": verdict_of(outcome, judged), "why": judged.text}
    if report is None:
        return {**found, "audited_at": dg.MetadataValue.timestamp(outcome.finished_at)}
    totals = report.totals
    figures = ("expected", "actual", "missing", "damaged", "unknown", "pending", "duplicated", "quarantined")
    found.update(_next_steps(report))
    bad = stretches(report, (*LOST, "unknown", "duplicated"), UNPROVEN_CAUSES)
    if bad:
        found["ranges"] = ranges_table(bad, FEW_RANGE_COLUMNS)
    found["coverage_map"] = dg.MetadataValue.md(map_text(report))
    found["partitions"] = partitions_table(report, _FEW_FIGURES)
    found.update({key: dg.MetadataValue.int(totals[key]) for key in figures})
    found["audited_at"] = dg.MetadataValue.timestamp(report.audited_at)
    if outcome.report_path:
        found["report"] = dg.MetadataValue.path(outcome.report_path)
    return {**found, **_page(outcome)}


def check_metadata(judgement: Judgement, outcome: AuditOutcome) -> Metadata:
    """What the check's tab shows; keys are shown by name."""
    found: Metadata = {}
    if judgement.name == names.COMPLETENESS:
        found[INCIDENT] = dg.MetadataValue.json(incident_figures(outcome, judgement))
    if outcome.report is not None:
        found.update(_SHOWN[judgement.name](outcome.report, outcome))
    return found


def _next_steps(report: AuditReport) -> Metadata:
    """What to do, the most urgent first, as Markdown short enough to be shown unfolded."""
    text = ""
    for step in next_steps(report):
        line = f"- {step.text}" + (f"  \n  `{step.command}`" if step.command else "") + "\n"
        if len(text) + len(line) > MAX_MARKDOWN:
            break
        text += line
    return {"next": dg.MetadataValue.md(text)} if text else {}


def _page(outcome: AuditOutcome) -> Metadata:
    """Where the report is as a page for people."""
    place = outcome.page_path
    if not place:
        return {}
    linked = place.startswith(("http://", "https://"))
    return {"report_page": dg.MetadataValue.url(place) if linked else dg.MetadataValue.path(place)}


def _completeness(report: AuditReport, outcome: AuditOutcome) -> Metadata:
    found: Metadata = {
        "coverage_map": dg.MetadataValue.md(map_text(report)),
        "lost": dg.MetadataValue.int(report.totals["missing"] + report.totals["damaged"]),
        "not_proven": dg.MetadataValue.int(report.totals["unknown"]),
        **_next_steps(report),
    }
    return {**found, **_ranges(stretches(report, (*LOST, "unknown"), UNPROVEN_CAUSES)), **_page(outcome)}


def _counts(report: AuditReport, _outcome: AuditOutcome) -> Metadata:
    figures = {key: dg.MetadataValue.int(report.totals[key]) for key in ("actual", "expected")}
    return {**figures, "partitions": partitions_table(report, _FIGURES)}


def _duplicates(report: AuditReport, _outcome: AuditOutcome) -> Metadata:
    return {
        "duplicated": dg.MetadataValue.int(report.totals["duplicated"]),
        **_ranges(stretches(report, ["duplicated"])),
    }


def _freshness(_report: AuditReport, outcome: AuditOutcome) -> Metadata:
    if outcome.newest_file is None:
        return {}
    age = (outcome.finished_at - outcome.newest_file).total_seconds()
    return {"age_seconds": dg.MetadataValue.float(round(age, 1))}


def _evidence(report: AuditReport, _outcome: AuditOutcome) -> Metadata:
    return {"problems": dg.MetadataValue.int(len(report.problems))}


def _stalled(report: AuditReport, _outcome: AuditOutcome) -> Metadata:
    waiting = stretches(report, (), ["stalled"])
    return {"stalled": dg.MetadataValue.int(sum(len(one) for one in waiting)), **_ranges(waiting)}


def _findings(report: AuditReport, _outcome: AuditOutcome) -> Metadata:
    return {"findings": findings_table(report)} if report.findings else {}


def findings_table(report: AuditReport) -> dg.TableMetadataValue:
    """The findings, errors first, and a last row for what the table leaves out."""
    order = {"error": 0, "warn": 1, "info": 2}
    found = sorted(report.findings, key=lambda one: order[one.severity])
    rows = [
        {
            "severity": one.severity,
            "kind": one.kind,
            "partition": "" if one.partition is None else str(one.partition),
            "finding": one.text,
        }
        for one in found[:MAX_ROWS]
    ]
    if len(found) > MAX_ROWS:
        text = f"{len(found) - MAX_ROWS:,} more, none of them more urgent: the report has them all"
        rows.append({"severity": "...", "kind": "", "partition": "", "finding": text})
    columns = _columns(*((name, "string") for name in ("severity", "kind", "partition", "finding")))
    return dg.TableMetadataValue([dg.TableRecord(one) for one in rows], dg.TableSchema(columns=columns))


def _ranges(found: list[Stretch]) -> Metadata:
    return {"ranges": ranges_table(found)} if found else {}


def incident_figures(outcome: AuditOutcome, judged: Judgement) -> dict[str, Any]:
    """What the alerts compare from audit to audit: JSON that this project reads back itself (`version`)."""
    report = outcome.report
    bad = stretches(report, (*LOST, "unknown"), UNPROVEN_CAUSES) if report is not None else []
    until = report.repairable_until if report is not None else None
    return {
        "version": 1,
        "verdict": verdict_of(outcome, judged),
        "command": next_command(report) if report is not None else None,
        "repairable_until": None if until is None else until.timestamp(),
        "report": outcome.page_path or outcome.report_path,
        "lost": sum(len(one) for one in bad if one.range_class in LOST),
        "partitions": len({one.partition for one in bad}),
        "ranges_total": len(bad),
        "ranges": [
            [one.partition, one.start, one.end, one.range_class, one.cause] for one in bad[:MAX_INCIDENT_RANGES]
        ],
    }


def ranges_table(found: list[Stretch], names_shown: Sequence[str] = _RANGE_COLUMNS) -> dg.TableMetadataValue:
    """The widest ranges, a row each, and a last row for what the table leaves out."""
    records = [
        {
            "partition": one.partition,
            "offsets": str(one.start) if len(one) == 1 else f"{one.start} to {one.end - 1}",
            "count": exact(len(one)),
            "class": one.range_class,
            "cause": one.cause or "",
            "evidence": one.evidence,
        }
        for one in found[:MAX_ROWS]
    ]
    rest = found[MAX_ROWS:]
    if rest:
        count, text = exact(sum(len(one) for one in rest)), "the report has them all"
        more = {"partition": "...", "offsets": f"{len(rest):,} narrower ranges", "count": count}
        records.append({**more, "class": "", "cause": "", "evidence": text})
    columns = _columns(*((name, "int" if name in {"partition", "count"} else "string") for name in names_shown))
    shown = [{name: record[name] for name in names_shown} for record in records]
    return dg.TableMetadataValue([dg.TableRecord(one) for one in shown], dg.TableSchema(columns=columns))


def partitions_table(report: AuditReport, figures: Sequence[str]) -> dg.TableMetadataValue:
    """A row with these figures per partition, the worst first, and a last row for those that are left out."""
    columns = _columns(("partition", "int"), ("verdict", "string"), *((name, "int") for name in figures))
    shown = sorted(report.partitions, key=_badness)[:MAX_ROWS]
    records = [
        dg.TableRecord(
            {
                "partition": one.partition,
                "verdict": one.verdict,
                **{key: exact(one.counts[key]) for key in figures},
            }
        )
        for one in shown
    ]
    left = len(report.partitions) - len(shown)
    if left:
        text = f"{left:,} more, none of them worse"
        records.append(dg.TableRecord({"partition": "...", "verdict": text, **dict.fromkeys(figures, "")}))
    return dg.TableMetadataValue(records, dg.TableSchema(columns=columns))


def map_text(report: AuditReport) -> str:
    """The coverage map as a block of text, the worst partitions first when there are many."""
    worst = {one.partition for one in sorted(report.partitions, key=_badness)[:MAX_ROWS]}
    rows = [row for row in coverage_map(report, MAP_WIDTH) if row.partition in worst]
    if not any(row.cells for row in rows):
        return "No offsets to draw."
    used = {cell for row in rows for cell in row.cells}
    legend = "  ".join(f"{SYMBOLS[name]} {name}" for name in SYMBOLS if name in used)
    left = max(len(str(row.partition)) for row in rows)
    first = max(len(str(row.whole.start)) for row in rows)
    lines = [
        f"{row.partition:>{left}} {row.whole.start:>{first}} {row.text:<{MAP_WIDTH}} {row.whole.end}" for row in rows
    ]
    return "\n".join(["```", legend, "", *lines, "```"])


def exact(value: int) -> int | str:
    """The number, as text when a browser would round it."""
    return value if abs(value) < _EXACT_IN_JSON else str(value)


def _badness(one: PartitionReport) -> tuple[int, int, int]:
    order = {"loss": 0, "undetermined": 1, "complete": 2}
    return (order[one.verdict], -one.counts["missing"] - one.counts["damaged"] - one.counts["unknown"], one.partition)


def _columns(*named: tuple[str, str]) -> list[dg.TableColumn]:
    return [dg.TableColumn(name, type=kind) for name, kind in named]


_SHOWN: dict[str, Callable[[AuditReport, AuditOutcome], Metadata]] = {
    names.COMPLETENESS: _completeness,
    names.COUNTS_MATCH: _counts,
    names.EVIDENCE_COMPLETE: _evidence,
    names.INDEX_FRESH: _freshness,
    names.NO_DUPLICATES: _duplicates,
    names.NO_STALLED_PARTITION: _stalled,
    names.NO_URGENT_FINDING: _findings,
}
