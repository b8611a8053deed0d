"""What is in quarantine, a replay's plan and its outcome, for people and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lineage_pipeline.books.claim_log import Note, ended
from lineage_pipeline.core.quarantine_classes import ErrorClass, Example, shown_time
from lineage_pipeline.core.quarantine_replay import count
from lineage_pipeline.core.replay_claim import ReplayClaim
from lineage_pipeline.quarantine import QuarantineListing
from lineage_pipeline.quarantine_plan import ReplayPlan
from lineage_pipeline.replay_quarantine import Done

REPLAY_FORMAT = "lineage-quarantine-replay/1"
_PARTITIONS = 12  # that are named one by one


def render_listing(found: QuarantineListing, console: Console) -> None:
    """The classes as a table, then each one's examples."""
    replayed = f", {found.replayed} of them replayed to data" if found.replayed else ""
    console.print(f"{found.topic}: {found.records} records in {found.files} quarantine files{replayed}", soft_wrap=True)
    if not found.classes:
        return
    table = _table("class", "records", "replayed", "partitions", "first", "last")
    for one in found.classes:
        table.add_row(
            one.name, str(one.records), str(one.replayed), _partitions(one), _moment(one.first), _moment(one.last)
        )
    console.print(table)
    for one in found.classes:
        if one.examples:
            console.print(f"\n{one.name}", style="bold")
        for example in one.examples:
            _print_example(example, console)


def render_plan(plan: ReplayPlan, console: Console) -> None:
    """What a replay would write, what stays and why, and what forbids it."""
    console.print(
        f"{plan.topic}: {plan.fresh} quarantined records decode now, {plan.undecodable} do not;"
        f" {plan.standing.replayed} were replayed before",
        soft_wrap=True,
    )
    if plan.unfinished:
        numbers = ", ".join(sorted({str(part.claim.number) for part in plan.standing.unfinished}))
        console.print(f"replay {numbers} did not end, or its objects are gone: {plan.unfinished} records of it are")
        console.print("written first, under its names")
    if plan.tried:
        table = _table("class", "records", "decode now", "still do not, now as")
        for name, tried in sorted(plan.tried.items(), key=lambda pair: (-pair[1].records, pair[0])):
            still = ", ".join(f"{other} {times}" for other, times in tried.still.most_common())
            table.add_row(name, str(tried.records), str(tried.decodable), still)
        console.print(table)
        for tried in plan.tried.values():
            for example in tried.examples.values():
                _print_example(example, console)
    if plan.standing.elsewhere:
        console.print(
            f"{count(plan.standing.elsewhere)} records are in data too, though no replay put them there: they are left"
            " alone, and an audit with the lake book calls them duplicated",
            soft_wrap=True,
        )
    if plan.keyless:
        console.print(
            f"{plan.keyless} of them went to quarantine before key or headers were asked for: these will be NULL",
            soft_wrap=True,
        )
    for obstacle in plan.obstacles:
        console.print(Text(f"nothing can be replayed now: {obstacle}", style="red"), soft_wrap=True)


def render_replayed(done: Sequence[Done], topic: str, console: Console) -> None:
    """What was written, and what earlier replays had taken on and could not be."""
    written = sum(one.written for one in done)
    console.print(f"written: {written} records to data, in {sum(one.written > 0 for one in done)} objects")
    for one in done:
        for example in one.failed.values():
            console.print(
                Text(f"replay {one.part.claim.number} took on what does not decode any more; a schema that reads it"
                     f" lets the next replay write it: partition {example.partition} offset {example.offset}:"
                     f" {example.error}", "red"),
                soft_wrap=True,
            )  # fmt: skip
        if one.left:
            console.print(
                Text(f"{one.part.key} is left as it is: it holds rows that cannot be written again", "red"),
                soft_wrap=True,
            )
        if one.gone:
            console.print(
                Text(f"replay {one.part.claim.number} took on {one.gone} records that are in no data file, and in no"
                     " quarantine file any more: an audit with the lake book says what is lost", "red"),
                soft_wrap=True,
            )  # fmt: skip
    if written:
        console.print(f"next: lineage audit --books index,broker,lake --topic {topic}")


def render_replays(
    claims: Sequence[ReplayClaim], notes: Sequence[Note], there: Collection[str], console: Console
) -> None:
    """Who replayed what, oldest first. `there`: keys of data objects; they tell what no note does of a killed one."""
    for claim in claims:
        text = f"{claim.number} {claim.at:%Y-%m-%d %H:%M:%SZ} {claim.by} {claim.writer}: {claim.records} records"
        console.print(text, soft_wrap=True)
        for note in (one for one in notes if one.number == claim.number):
            console.print(f"  {note.at} {note.by} {note.what} {note.text}".rstrip(), soft_wrap=True)
        if not ended(claim, notes):
            keys = claim.object_keys()
            written = sum(key in there for key in keys)
            console.print(f"  not noted as finished; {written} of its {len(keys)} data objects are there")


def replay_json(plan: ReplayPlan, done: Sequence[Done], *, executed: bool) -> dict[str, Any]:
    """As `lineage quarantine replay --json` prints it."""
    return {
        "format": REPLAY_FORMAT,
        "topic": plan.topic,
        "executed": executed,
        "decodable": plan.fresh,
        "unfinished": plan.unfinished,
        "undecodable": plan.undecodable,
        "replayed_before": plan.standing.replayed,
        "in_data_without_replay": count(plan.standing.elsewhere),
        "without_key_or_headers": plan.keyless,
        "classes": [
            {
                "class": name,
                "records": tried.records,
                "decodable": tried.decodable,
                "still": [
                    {"class": other, "records": times, "example": tried.examples[other].to_json()}
                    for other, times in tried.still.most_common()
                ],
            }
            for name, tried in sorted(plan.tried.items())
        ],
        "written": sum(one.written for one in done),
        "objects": [one.part.key for one in done if one.written],
        "failed": [example.to_json() for one in done for example in one.failed.values()],
        "gone": sum(one.gone for one in done),
        "obstacles": list(plan.obstacles),
    }


def _print_example(one: Example, console: Console) -> None:
    time = shown_time(one.timestamp) or "no timestamp"
    done = ", replayed" if one.replayed else ""
    console.print(f"  partition {one.partition} offset {one.offset}, {time}{done}: {one.error}", soft_wrap=True)
    if one.payload is not None and one.size is not None:
        more = f" ... {one.size} bytes" if one.size > len(one.payload) else ""
        console.print(f"    {one.payload.hex(' ')}{more}", soft_wrap=True)
        console.print(f"    {one.payload!r}", soft_wrap=True)


def _partitions(one: ErrorClass) -> str:
    named = [f"{number} ({part.first} to {part.last})" for number, part in sorted(one.partitions.items())]
    more = f" and {len(named) - _PARTITIONS} more" if len(named) > _PARTITIONS else ""
    return f"{', '.join(named[:_PARTITIONS])}{more}"


def _moment(one: Example) -> str:
    return f"{shown_time(one.timestamp) or 'no timestamp'} (partition {one.partition} offset {one.offset})"


def _table(*names: str) -> Table:
    table = Table(header_style="bold underline", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in {"records", "replayed", "decode now"} else "left")
    return table
