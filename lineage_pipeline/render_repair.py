"""A repair's plan and outcome for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lineage_pipeline.books.claim_log import Note
from lineage_pipeline.core.expiry import span
from lineage_pipeline.core.repair_claim import RepairClaim
from lineage_pipeline.core.repair_plan import DuplicatedRange, PlannedSpan, RefusedRange, planned_spans
from lineage_pipeline.dedup_sql import deduplicated_query
from lineage_pipeline.repair import Prepared
from lineage_pipeline.replay import Lake, Replayed

MAX_LINES = 30  # of each kind; a transactional topic can have thousands


def render_plan(prepared: Prepared, lake: Lake, console: Console) -> None:
    """What a repair would write, what it would not and why, and what is there twice."""
    plan = prepared.plan
    if not plan.records:
        why = "nothing is repaired now" if plan.refused or plan.obstacles else "nothing to repair"
        console.print(f"{plan.topic}: {why}; the audit says {prepared.report.verdict}")
    for one in plan.resumed:
        count = sum(len(task) for task in one.tasks)
        console.print(
            f"repair {one.claim.number} by {one.claim.by} of {one.claim.at:%Y-%m-%d %H:%M:%SZ} did not end:"
            f" {count} records of it are written first, as {one.claim.writer}",
            soft_wrap=True,
        )
    if plan.planned:
        _print_planned(prepared, lake, console)
    if plan.refused:
        console.print("\nnot repaired:", style="bold")
        for refusal in plan.refused[:MAX_LINES]:
            console.print(_refused(refusal), soft_wrap=True)
        _print_more(len(plan.refused), console)
    if plan.duplicated:
        _print_duplicates(plan.duplicated, console)
    for obstacle in plan.obstacles:
        console.print(Text(f"nothing can be repaired now: {obstacle}", style="red"), soft_wrap=True)


def render_outcome(done: tuple[Replayed, ...], console: Console) -> None:
    """What was written, and what could not be."""
    written = [one for one in done if one.written]
    data, quarantined = sum(one.data for one in written), sum(one.quarantined for one in written)
    console.print(f"written: {data} records to data, {quarantined} to quarantine, in {len(written)} parts")
    for one in done:
        number = one.task.chunk.partition
        for ranges, why in ((one.expired, "Kafka removed them meanwhile"), (one.gone, "Kafka does not give them")):
            for part in ranges:
                console.print(
                    Text(f"not written: partition {number} offsets {part.start} to {part.end - 1}: {why}", "red"),
                    soft_wrap=True,
                )
        if one.task.whole and not one.written:
            console.print(
                Text(
                    f"partition {number} offsets {one.task.chunk.bounds}: left as an earlier repair wrote them, since"
                    " not all can be read any more; `lineage index rebuild` adds what is there to the index",
                    "red",
                ),
                soft_wrap=True,
            )


def render_history(
    claims: tuple[RepairClaim, ...], notes: tuple[Note, ...], unfinished: Mapping[int, int], console: Console
) -> None:
    """Who repaired what, oldest first. `unfinished`: by number, how many parts of a repair have no index object.

    It has the repairs that are not noted as finished.
    """
    for claim in claims:
        ranges = ", ".join(
            f"partition {number} {name} {part}"
            for name, listed in (("lost", claim.lost), ("damaged", claim.damaged))
            for number in sorted(listed)
            for part in islice(listed[number], MAX_LINES)
        )
        console.print(
            f"{claim.number} {claim.at:%Y-%m-%d %H:%M:%SZ} {claim.by} {claim.writer}: {ranges}", soft_wrap=True
        )
        for note in (one for one in notes if one.number == claim.number):
            console.print(f"  {note.at} {note.by} {note.what} {note.text}".rstrip(), soft_wrap=True)
        if claim.number in unfinished:
            parts, left = sum(1 for _ in claim.chunks()), unfinished[claim.number]
            console.print(f"  not noted as finished; {parts - left} of its {parts} parts are written and indexed")


def _print_planned(prepared: Prepared, lake: Lake, console: Console) -> None:
    plan, now = prepared.plan, prepared.report.audited_at
    table = Table(header_style="bold underline", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("partition", "first", "last", "records", "about", "Kafka keeps them", "written"):
        table.add_column(name, justify="left" if name in {"Kafka keeps them", "written"} else "right")
    spans = planned_spans(plan, prepared.report)
    for one in spans[:MAX_LINES]:
        table.add_row(
            str(one.partition),
            str(one.range.start),
            str(one.range.end - 1),
            str(one.records),
            _bytes(prepared.sample.estimate(one.records)),
            _time_left(one, now),
            "data and index" if one.kind == "lost" else "data, the index has them",
        )
    console.print(table)
    _print_more(len(spans), console)
    total = sum(len(one.range) for one in plan.planned)
    console.print(
        f"{total} records (about {_bytes(prepared.sample.estimate(total))} of payloads) would be read from Kafka and"
        f" written to {lake.output.uri}, what cannot be decoded to {lake.quarantine.uri}, their index rows to"
        f" {lake.offset_index.uri}",
        soft_wrap=True,
    )


def _print_duplicates(duplicated: tuple[DuplicatedRange, ...], console: Console) -> None:
    console.print("\nthere more than once; nothing is ever deleted, readers can leave the copies out:", style="bold")
    for one in duplicated[:MAX_LINES]:
        by = f", written by {', '.join(one.writers)}" if one.writers else ""
        where = f"  partition {one.partition} offsets {one.range.start} to {one.range.end - 1}"
        console.print(f"{where}, {one.evidence}{by}", soft_wrap=True)
    _print_more(len(duplicated), console)
    console.print("  lineage sql: the views data_deduplicated and quarantine_deduplicated; elsewhere:")
    console.print(Text(f"  {deduplicated_query('data')}", style="dim"), soft_wrap=True)


def _print_more(count: int, console: Console) -> None:
    if count > MAX_LINES:
        console.print(f"  and {count - MAX_LINES} more: see --json")


def _refused(one: RefusedRange) -> str:
    return f"  partition {one.partition} offsets {one.range.start} to {one.range.end - 1}, {one.what}: {one.why}"


def _time_left(one: PlannedSpan, now: datetime) -> str:
    if one.until is None:
        return "no limit known"
    left = (one.until - now).total_seconds()
    return f"until {one.until:%Y-%m-%d %H:%M:%SZ}, {span(left)}" if left > 0 else "may remove them at any time"


def _bytes(count: int | None) -> str:
    if count is None:
        return "?"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
