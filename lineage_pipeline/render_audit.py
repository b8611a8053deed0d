"""An audit report for people: verdict, table, coverage map, a sentence per range. Reads nothing but the report."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lineage_pipeline.core.coverage_map import SYMBOLS, MapRow, coverage_map
from lineage_pipeline.core.report import AuditReport, PartitionReport, ReportedRange

MAX_PARTITIONS = 40  # rows of the table and the map; above, only what is not complete
MAX_RANGES = 40
_NARROW = 100  # columns of a terminal; below, the table is set tighter
MAX_FINDINGS = 20

_STYLES = {
    "indexed": "green",
    "explained": "cyan",
    "accepted": "magenta",
    "pending": "blue",
    "missing": "bold white on red",
    "damaged": "bold white on red",
    "unknown": "black on yellow",
    "duplicated": "black on bright_yellow",
}
_BLOCKS = {**SYMBOLS, "indexed": "█", "explained": "▒", "pending": "░"}
_VERDICTS = {"complete": "bold green", "undetermined": "bold yellow", "loss": "bold red"}
_SEVERITIES = {"info": "dim", "warn": "yellow", "error": "red"}
# columns that are shown when any partition has something in them, so that the table fits a narrow terminal
_COLUMNS = ("explained", "accepted", "pending", "missing", "damaged", "unknown", "duplicated", "quarantined")


def render_audit(report: AuditReport, console: Console) -> None:
    """Print the report."""
    console.print(_headline(report))
    shown = _shown(report)
    if shown:
        console.print(_table(shown, 1 if console.width < _NARROW else 2))
        _print_map(report, {one.partition for one in shown}, console)
    left_out = len(report.partitions) - len(shown)
    if left_out:
        console.print(Text(f"{left_out} further partitions are complete", style="dim"))
    for line in sentences(report):
        console.print(line, soft_wrap=True)


def headline(report: AuditReport) -> str:
    """The verdict in one sentence."""
    totals = report.totals
    said = [f"{totals['actual']} of {totals['expected']} expected offsets are in the index"]
    said += [
        f"{totals[key]} {key}" for key in ("missing", "damaged", "unknown", "pending", "duplicated") if totals[key]
    ]
    said += [f"{totals[key]} {key}" for key in ("explained", "accepted") if totals[key]]
    return f"{report.topic}: {report.verdict.upper()}: {', '.join(said)}"


def sentences(report: AuditReport) -> Iterator[Text]:
    """A line per reported range, finding and problem, worst first within the report's order."""
    listed = [(one, ranged) for one in report.partitions for ranged in one.ranges]
    for partition, ranged in listed[:MAX_RANGES]:
        yield Text(_sentence(partition, ranged), style=_STYLES[ranged.range_class].partition(" on ")[2] or "")
    if len(listed) > MAX_RANGES:
        yield Text(f"... and {len(listed) - MAX_RANGES} further ranges: --json lists all", style="dim")
    for finding in report.findings[:MAX_FINDINGS]:
        where = "" if finding.partition is None else f"partition {finding.partition}: "
        yield Text(f"{finding.severity}: {where}{finding.text}", style=_SEVERITIES[finding.severity])
    if len(report.findings) > MAX_FINDINGS:
        yield Text(f"... and {len(report.findings) - MAX_FINDINGS} further findings: --json lists all", style="dim")
    for problem in report.problems[:MAX_FINDINGS]:
        yield Text(f"problem: {problem}", style="red")
    if len(report.problems) > MAX_FINDINGS:
        yield Text(f"... and {len(report.problems) - MAX_FINDINGS} further problems: --json lists all", style="red")


def _headline(report: AuditReport) -> Text:
    return Text(headline(report), style=_VERDICTS[report.verdict])


def _sentence(partition: PartitionReport, ranged: ReportedRange) -> str:
    count = len(ranged.range)
    last = ranged.range.end - 1
    what = f"offset {last} is" if count == 1 else f"offsets {ranged.range.start} to {last} ({count}) are"
    cause = f" ({ranged.cause})" if ranged.cause else ""
    return f"partition {partition.partition}: {what} {ranged.range_class}{cause}: {ranged.evidence}"


def _shown(report: AuditReport) -> list[PartitionReport]:
    if len(report.partitions) <= MAX_PARTITIONS:
        return list(report.partitions)
    return [one for one in report.partitions if one.verdict != "complete" or one.counts["duplicated"]]


def _table(partitions: list[PartitionReport], gap: int) -> Table:
    table = Table(header_style="bold underline", box=None, padding=(0, gap, 0, 0), pad_edge=False)
    shown = [key for key in _COLUMNS if key == "missing" or any(one.counts[key] for one in partitions)]
    for name in ("partition", "verdict", "expected", "actual", *shown, "complete through"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for one in partitions:
        figures = [Text(str(one.counts[key]), style=_figure_style(key, one.counts[key])) for key in shown]
        table.add_row(
            str(one.partition),
            Text(one.verdict, style=_VERDICTS[one.verdict]),
            *(str(one.counts[key]) for key in ("expected", "actual")),
            *figures,
            str(one.complete_through),
        )
    return table


def _figure_style(key: str, value: int) -> str:
    return (
        "dim"
        if not value
        else {"missing": "red", "damaged": "red", "unknown": "yellow", "duplicated": "yellow"}.get(key, "")
    )


def _print_map(report: AuditReport, partitions: set[int], console: Console) -> None:
    symbols = _BLOCKS if console.encoding.lower().startswith("utf") else SYMBOLS
    rows = [row for row in coverage_map(report, max(10, min(100, console.width - 34))) if row.partition in partitions]
    used = {cell for row in rows for cell in row.cells}
    if not used:
        return
    legend = Text("coverage, each partition from baseline to end: ")
    for name in SYMBOLS:
        if name in used:
            legend.append(symbols[name], style=_STYLES[name])
            legend.append(f" {name}  ")
    console.print(legend, soft_wrap=True)
    for row in rows:
        console.print(_map_line(row, symbols), soft_wrap=True)


def _map_line(row: MapRow, symbols: dict[str, str]) -> Text:
    line = Text(f"{row.partition:>5} {row.whole.start:>10} ")
    for cell in row.cells:
        line.append(symbols[cell], style=_STYLES[cell])
    line.append(f" {row.whole.end}")
    return line
