"""`lineage quarantine` and `lineage quarantine replay`."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lineage_pipeline.audit_topic import audit_request
from lineage_pipeline.books.claim_log import ended
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.object_store import ObjectStore, present
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.core.quarantine_classes import Selection
from lineage_pipeline.errors import UsageError
from lineage_pipeline.lake_request import has_quarantine
from lineage_pipeline.lake_settings import LakeFiles
from lineage_pipeline.locate_command import moment_millis
from lineage_pipeline.quarantine import QuarantineRequest, list_quarantine
from lineage_pipeline.quarantine_plan import ReplayRequest, prepare
from lineage_pipeline.render_quarantine import render_listing, render_plan, render_replayed, render_replays, replay_json
from lineage_pipeline.replay_quarantine import Done, execute
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings
from lineage_pipeline.written_schemas import written_schemas

_WIDTH_WITHOUT_TERMINAL = 160


def _selecting(command: Any) -> Any:
    """The options that say which rows are meant."""
    for option in (
        click.option("--topic", help="Which topic, when several are configured."),
        click.option("--class", "error_class", help="Only rows of this error class, such as truncated."),
        click.option("--partition", type=click.IntRange(0, MAX_PARTITION), help="Only rows of this partition."),
        click.option(
            "--offsets",
            type=click.IntRange(0, MAX_END),
            nargs=2,
            metavar="START END",
            help="Only these; END is excluded.",
        ),
        click.option("--since", help="Only files written from this moment on, such as 2026-11-22T22:00:00Z."),
    ):
        command = option(command)
    return command


@click.group("quarantine", invoke_without_command=True)
@_selecting
@click.option(
    "--examples",
    type=click.IntRange(0, 1_000),
    default=3,
    show_default=True,
    help="Show up to so many of each class, with different errors.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def quarantine_command(context: click.Context, /, **options: Any) -> None:
    """What could not be decoded, by error class: how many, where, since when, with examples. Needs no broker.

    Exit code 0; 3 when a file could not be read.

    Example: lineage quarantine --since 2026-11-22T00:00:00Z
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT for name in options):
            raise click.UsageError(f"give the options behind `{context.invoked_subcommand}`")
        return
    settings = load_settings(os.environ)
    topic = settings.topic(options["topic"])
    request = _request(settings, topic, options)
    with _progress("reading quarantine files") as advance:
        found = list_quarantine(
            QuarantineRequest(topic.name, *request, _selection(options), options["examples"], lambda *_: advance(1)),
            _now(),
        )
    if options["as_json"]:
        click.echo(json.dumps(found.to_json()))
    else:
        render_listing(found, _stdout())
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    context.exit(found.exit_code)


@quarantine_command.command("replay")
@_selecting
@click.option("--execute", "execute_it", is_flag=True, help="Write the rows; without it nothing is written.")
@click.option("--by", help="Who replays; the name of the user who runs the command otherwise.")
@click.option("--history", is_flag=True, help="Who replayed what so far; nothing else is done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def replay_command(**options: Any) -> None:
    """Decode quarantined records again with the schema of now: print the plan, or with --execute write data rows.

    Each row is written once, whatever is run how often. The quarantine stays as it is. Needs no broker.

    Exit code 0; 3 when something may not be written, or claimed rows could not be.

    Example: lineage quarantine replay --class unresolvable --execute --by "Ada, INC-42"
    """
    settings = load_settings(os.environ)
    topic = settings.topic(options["topic"])
    index, book = _request(settings, topic, options)
    stdout = Console(stderr=True, highlight=False, markup=False) if options["as_json"] else _stdout()
    if options["history"]:
        if options["as_json"]:
            raise click.UsageError("--history is for people: leave --json out")
        log = ReplayLog(index, topic.name)
        claims, notes = log.claims(), log.notes()
        open_ones = [one for one in claims if not ended(one, notes)]
        there = present(book.tables["data"], [key for one in open_ones for key in one.object_keys()])
        render_replays(claims, notes, there, stdout)
        if not claims:
            click.echo(log.emptiness, err=True)
        return
    request = ReplayRequest(
        topic=topic.name,
        index=index,
        book=book,
        schema=topic_schema(topic),
        by=options["by"] or _user(),
        fetch=written_schemas(settings, topic, os.environ),
        selection=_selection(options),
    )
    with _progress("decoding") as advance:
        plan = prepare(request, _now, advance)
    render_plan(plan, stdout)
    done: list[Done] = []
    wanted = options["execute_it"] and not plan.obstacles
    if wanted:
        with _progress("writing", plan.fresh + plan.unfinished) as advance:
            done += execute(request, plan, _now, advance)
        render_replayed(done, topic.name, stdout)
    elif plan.fresh + plan.unfinished and not plan.obstacles:
        stdout.print("nothing was written: --execute writes the rows")
    if options["as_json"]:
        click.echo(json.dumps(replay_json(plan, done, executed=wanted)))
    click.get_current_context().exit(3 if plan.obstacles or any(not one.whole for one in done) else 0)


def _request(settings: Settings, topic: TopicSettings, options: dict[str, Any]) -> tuple[ObjectStore, LakeBook]:
    """The root of the index, and the lake book. Raises UsageError where there is no quarantine."""
    if not has_quarantine(topic):
        raise UsageError(f"no place for quarantine files of {topic.name} is set: set QUARANTINE_PATH")
    if options.get("execute_it") is not None and topic.lake_files.layout() != LakeFiles().layout():
        raise UsageError(
            f"`lake_files` of {topic.name} describes a lake that another writer laid out, and a replay writes files as"
            " the job does: decode the payloads again with that writer"
        )
    audit = audit_request(settings, topic, ["index", "lake"])
    assert audit.lake is not None  # it is among the books
    return audit.index.store, audit.lake


def _selection(options: dict[str, Any]) -> Selection:
    since, offsets = options["since"], options["offsets"]
    if offsets is not None and offsets[1] <= offsets[0]:
        raise UsageError(f"--offsets {offsets[0]} {offsets[1]}: END is the offset after the last one, above START")
    return Selection(
        error_class=options["error_class"],
        partition=options["partition"],
        offsets=OffsetRange(*offsets) if offsets is not None else None,
        since=moment_millis("--since", since) / 1000 if since is not None else None,
    )


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _stdout() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise UsageError("the user has no name here: give one with --by") from None
