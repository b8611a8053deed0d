"""`lineage verify`."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from lineage_pipeline.audit_topic import audit_request
from lineage_pipeline.books.deployments import writer_isolation
from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.core.value_comparison import Window
from lineage_pipeline.core.verification import Verification
from lineage_pipeline.errors import UsageError
from lineage_pipeline.lake_settings import LakeFiles
from lineage_pipeline.render_progress import waiting
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings
from lineage_pipeline.verify import keep, verify_range, verify_sample
from lineage_pipeline.verify_scene import Progress as Tell
from lineage_pipeline.verify_scene import VerifyRequest
from lineage_pipeline.written_schemas import written_schemas

SAMPLE = 1_000
MAX_LINES = 20
_WIDTH_WITHOUT_TERMINAL = 160


@click.command("verify")
@click.argument("partition", type=click.IntRange(0, MAX_PARTITION), required=False)
@click.argument("start", type=click.IntRange(0, MAX_END), required=False)
@click.argument("end", type=click.IntRange(0, MAX_END), required=False)
@click.option("--sample", type=click.IntRange(1, 10_000_000), help=f"About so many random records; {SAMPLE} otherwise.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of the sample: the same seed draws the same places.")
@click.option("--wait", is_flag=True, help="Look again after the settle time when no object has an indexed record.")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify_command(**options: Any) -> None:
    """Read records from Kafka again and compare them with the lake by value; without a range a random sample.

    END is the offset after the last one. Exit code: 0 all are right, 1 something is wrong, 3 something could not be
    compared.

    Example: lineage verify 9 1900 1960
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(options["topic"])
    window = _window(options)
    with _progress() as tell:
        request = replace(
            verify_request(settings, chosen, tell),
            wait=waiting("no object has some indexed records") if options["wait"] else None,
        )
        if window is not None:
            found = verify_range(request, window, _now)
        else:
            seed = options["seed"] if options["seed"] is not None else secrets.randbits(31)
            found = verify_sample(request, options["sample"] or SAMPLE, seed, _now)
        found = keep(request, found)
    if options["as_json"]:
        click.echo(json.dumps(found.to_json()))
    else:
        _print(found)
    click.get_current_context().exit(found.exit_code)


def verify_request(settings: Settings, topic: TopicSettings, progress: Tell) -> VerifyRequest:
    """The request that the settings describe. Raises UsageError, SchemaError or StoreError."""
    from lineage_pipeline.books.range_reader import KafkaRangeReader  # noqa: PLC0415 - --help needs no client

    if topic.lake_files.layout() != LakeFiles().layout():
        raise UsageError(
            f"`lake_files` of {topic.name} describes a lake that another writer laid out, and only the columns of this"
            " project's job can be compared: `lineage audit --books index,broker,lake` tells what is there"
        )
    audit = audit_request(settings, topic, ("index", "broker", "lake"))
    assert audit.broker is not None  # they are among the books
    assert audit.lake is not None
    return VerifyRequest(
        index=audit.index,
        lake=audit.lake,
        broker=audit.broker,
        reader=KafkaRangeReader(settings.kafka.bootstrap_servers, settings.kafka.properties, headers=topic.headers),
        schema=topic_schema(topic),
        isolation=writer_isolation(audit.index.store, topic.name, audit.rules.isolation),
        state=audit.plan.state if audit.plan is not None else None,
        rules=audit.rules,
        progress=progress,
        fetch=written_schemas(settings, topic, os.environ),
    )


def _window(options: dict[str, Any]) -> Window | None:
    given = [options[name] for name in ("partition", "start", "end")]
    if all(one is None for one in given):
        return None
    if any(one is None for one in given):
        raise UsageError("a range is PARTITION START END, such as: lineage verify 9 1900 1960")
    if options["sample"] is not None or options["seed"] is not None:
        raise UsageError("a range is compared whole: leave --sample and --seed out")
    partition, start, end = given
    if end <= start:
        raise UsageError(f"END {end} is not above START {start}: END is the offset after the last one")
    return Window(partition, OffsetRange(start, end))


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _print(found: Verification) -> None:
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    words = {"complete": ("RIGHT", "green"), "loss": ("WRONG", "red"), "undetermined": ("UNDETERMINED", "yellow")}
    word, style = words[found.verdict]
    sample = f", sample of seed {found.seed}" if found.seed is not None else ""
    head = Text(f"{found.topic}: ").append(word, f"bold {style}")
    head.append(f": {found.records} records in {found.objects} objects have the values that Kafka has{sample}")
    console.print(head, soft_wrap=True)
    for one in found.differences[:MAX_LINES]:
        console.print(f"wrong ({one.kind}): partition {one.partition} offset {one.offset}: {one.text}", soft_wrap=True)
    _print_more(len(found.differences), console)
    for broken in found.broken:
        console.print(f"broken: {broken.table} file {broken.key}: {broken.why}", soft_wrap=True)
    for unknown in found.unknown[:MAX_LINES]:
        where = f"partition {unknown.partition} offsets {unknown.range.start} to {unknown.range.end - 1}"
        console.print(f"not compared: {where}: {unknown.why}", soft_wrap=True)
    _print_more(len(found.unknown), console)
    repeated = sum(one.repeated for one in found.compared)
    if repeated:
        console.print(f"{repeated} of them are there more than once, with the same values")
    partial = sum(one.partial for one in found.compared)
    if partial:
        console.print(f"{partial} of them are in objects without a column of key or headers: compared without it")
    other_reason = sum(one.other_reason for one in found.compared)
    if other_reason:
        console.print(f"{other_reason} of them are in quarantine rightly; the schema of now gives another reason")
    for problem in found.problems:
        console.print(f"problem: {problem}", soft_wrap=True)


def _print_more(count: int, console: Console) -> None:
    if count > MAX_LINES:
        console.print(f"... and {count - MAX_LINES} more: --json lists them")


@contextmanager
def _progress() -> Iterator[Tell]:
    console = Console(stderr=True)
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("comparing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
