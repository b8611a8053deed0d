"""`lineage checkpoint`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

import click
from rich.console import Console
from rich.table import Table

from lineage_pipeline.audit_topic import AuditRequest, audit_request
from lineage_pipeline.books.source_positions import read_positions
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.restore_effect import RestoreEffect, shown_position
from lineage_pipeline.restoring import Restoring, TopicEffect, restoring
from lineage_pipeline.settings import Settings, load_settings

_TOLD = 40  # ranges that are listed one by one
_WIDTH_WITHOUT_TERMINAL = 160


@click.command("checkpoint")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def checkpoint_command(path: str, *, as_json: bool) -> None:
    """The source positions in a Flink checkpoint or savepoint, and what restoring it would repeat or skip.

    PATH is its directory (chk-7, savepoint-...) or the _metadata in it, on disk or s3://. It needs no Flink or Kafka.

    Exit code 0: restoring repeats and skips nothing, 1 it does, 3 cannot tell.

    Example: lineage checkpoint s3://lake/checkpoints/orders/20261122T220000Z-1a2b3c4d/checkpoints/0f3a/chk-7
    """
    settings = load_settings(os.environ)
    read = read_positions(path, settings.aws)
    topics = dict.fromkeys(one.topic for one in read.positions)
    found = restoring(read, {one: _request(settings, one) for one in topics}, datetime.now(timezone.utc))
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        _print(found)
    for topic in found.topics:
        for problem in topic.problems:
            click.echo(f"problem: {topic.topic}: {problem}", err=True)
    click.get_current_context().exit(found.exit_code)


def _request(settings: Settings, name: str) -> AuditRequest | str:
    topic = next((one for one in settings.topics if one.name == name), None)
    if topic is None:
        return "it is not configured, so nothing says where its index is: set KAFKA_TOPIC, or add it to lineage.yaml"
    return audit_request(settings, topic, ["index"])


def _print(found: Restoring) -> None:
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    by = f", of writer {found.writer}" if found.writer else ""
    console.print(f"checkpoint {found.read.checkpoint_id} at {found.read.uri}{by}", soft_wrap=True)
    for topic in found.topics:
        console.print(f"{topic.topic}: {_sentence(topic)}", soft_wrap=True)
        table = Table("partition", "position", "index end", "repeats", "skips", box=None, pad_edge=False)
        for one in topic.partitions:
            row = (one.position, one.index_end, one.repeats.total, sum(len(part.range) for part in one.skips))
            table.add_row(str(one.partition), shown_position(row[0]), *(str(value) for value in row[1:]))
        console.print(table)
        lines = [line for one in topic.partitions for line in _lines(one)]
        for line in lines[:_TOLD]:
            console.print(line, soft_wrap=True)
        if lines[_TOLD:]:
            console.print(f"... and {len(lines) - _TOLD} further lines: --json has them all")


def _sentence(topic: TopicEffect) -> str:
    repeated = sum(one.repeats.total for one in topic.partitions)
    skipped = sum(len(part.range) for one in topic.partitions for part in one.skips if part.proven)
    if repeated or skipped:
        return f"restoring it writes {repeated} records once more and skips {skipped}"
    if topic.exit_code:
        return "what restoring it would repeat or skip cannot be told for all of it"
    return "restoring it repeats nothing and skips nothing"


def _lines(one: RestoreEffect) -> Iterator[str]:
    where = f"partition {one.partition}"
    if one.doubt:
        yield f"{where}: cannot tell: {one.doubt}"
    for ranges in _shown(one.repeats):
        yield f"{where}: offsets {ranges} are in the index, and would be written once more"
    for part in one.skips:
        kind = f"{part.offset_class}{f' ({part.cause})' if part.cause else ''}"
        yield f"{where}: offsets {part.range.start} to {part.range.end - 1} would not be read: {kind}: {part.evidence}"


def _shown(ranges: Iterable[OffsetRange]) -> Iterator[str]:
    return (f"{one.start} to {one.end - 1}" for one in ranges)
