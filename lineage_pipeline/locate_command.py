"""`lineage locate`."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from typing import Any

import click

from lineage_pipeline.audit_topic import AuditRequest, audit_request
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, MAX_OFFSET, OffsetRange
from lineage_pipeline.lake_request import has_data
from lineage_pipeline.locate import Location, Locator
from lineage_pipeline.locate_range import Span, first_record_from, locate_range, not_found_from
from lineage_pipeline.render_progress import looking_at_files
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings

_TOLD = 40


@click.command("locate")
@click.argument("partition", type=click.IntRange(0, MAX_PARTITION))
@click.argument("offset", type=click.IntRange(0, MAX_OFFSET), required=False)
@click.argument("end", type=click.IntRange(0, MAX_END), required=False)
@click.option(
    "--timestamp", help="Instead of OFFSET: the first record from this moment on, such as 2026-11-22T22:00:00Z."
)
@click.option("--record", is_flag=True, help="Read the record itself.")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def locate_command(**options: Any) -> None:
    """Where an offset is, or all from OFFSET up to, and without, END: index row, data or quarantine file, row.

    Exit code 0 found, 1 not found, 3 cannot tell. It needs no broker.

    Example: lineage locate 9 1909 --record
    """
    settings = load_settings(os.environ)
    topic = settings.topic(options["topic"])
    request = click.get_current_context().with_resource(looking_at_files(_request(settings, topic)))
    locator = Locator(request, datetime.now(timezone.utc))
    partition, offset, end = options["partition"], options["offset"], options["end"]
    if (offset is None) == (options["timestamp"] is None):
        raise click.UsageError("give either OFFSET or --timestamp, such as: lineage locate 9 1909")
    if end is not None:
        if end <= offset or options["record"]:
            raise click.UsageError(
                f"END {end} must be above OFFSET {offset}, and --record reads one record, not a range"
            )
        _tell_span(locate_range(locator, partition, OffsetRange(offset, end)), as_json=options["as_json"])
        return
    unread: tuple[str, ...] = ()
    if offset is None:
        offset, unread = _offset_from(locator, partition, options["timestamp"], as_json=options["as_json"])
    location = locator.locate(partition, offset, record=options["record"])
    if options["as_json"]:
        click.echo(json.dumps(location.to_json()))
    else:
        _print_location(location, topic.paths.offset_index)
    _finish(location.exit_code, (*unread, *location.problems))


def _request(settings: Settings, topic: TopicSettings) -> AuditRequest:
    """By index and lake; by the index alone where nobody chose a place for data files."""
    return audit_request(settings, topic, ["index", "lake"] if has_data(topic) else ["index"])


def _offset_from(locator: Locator, partition: int, text: str, *, as_json: bool) -> tuple[int, tuple[str, ...]]:
    moment = moment_millis("--timestamp", text)
    offset, problems = first_record_from(locator, partition, moment)
    if offset is None:
        why = not_found_from(partition, moment)
        nothing = Location(partition, 0, False, None, why, problems=problems)
        click.echo(json.dumps(nothing.to_json()) if as_json else why)
        _finish(nothing.exit_code, problems)
        raise AssertionError  # _finish ends the command
    if problems:
        problems = (*problems, "an earlier record may be in a file that could not be read")
    return offset, problems


def moment_millis(option: str, text: str) -> int:
    """The moment an option names, in ms since 1970. Raises click.UsageError for no time, or one without a zone."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise click.UsageError(f"{option} {text!r} is no ISO 8601 time, such as 2026-11-22T22:00:00Z") from None
    if moment.tzinfo is None:
        raise click.UsageError(f"{option} {text!r} names no time zone: end it with Z for UTC")
    return int(moment.timestamp() * 1000)


def _finish(exit_code: int, problems: tuple[str, ...]) -> None:
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    click.get_current_context().exit(exit_code)


def _print_location(location: Location, root: str) -> None:
    where = f"offset {location.offset} of partition {location.partition}"
    if not location.found:
        word = {1: "not found", 3: "cannot tell"}[location.exit_code]
        kind = f" ({location.offset_class})" if location.offset_class else ""
        click.echo(f"{where}: {word}{kind}: {location.why}")
        return
    click.echo(f"{where}: found, {location.why}")
    for one in location.rows:
        click.echo(f"  {root.rstrip('/')}/{one.key}")
        for name, value in one.row.to_json().items():
            click.echo(f"    {name:<18} {value}")
    for place in location.places:
        said = place.to_json()
        click.echo(f"  {said['table']} file {said['file']}")
        for name in ("row_group", "row", "kafka_timestamp"):
            click.echo(f"    {name:<18} {said[name]}")
        for name, value in (place.record or {}).items():
            click.echo(f"    | {name:<16} {json.dumps(value, ensure_ascii=False)}")


def _tell_span(span: Span, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(span.to_json()))
        _finish(span.exit_code, span.problems)
    found = len(span.range) - span.lacking.total
    click.echo(
        f"offsets {span.range.start} to {span.range.end - 1} of partition {span.partition}: {found} of"
        f" {len(span.range)} found"
    )
    for one in span.stretches[:_TOLD]:
        kind = f"{one.offset_class or 'not audited'}{f' ({one.cause})' if one.cause else ''}"
        click.echo(f"  {one.range.start} to {one.range.end - 1}: {kind}: {one.why}")
    for held in span.holdings[:_TOLD]:
        click.echo(f"  {held.range.start} to {held.range.end - 1}: {held.table} file {held.file}")
    more = max(0, len(span.stretches) - _TOLD) + max(0, len(span.holdings) - _TOLD)
    if more:
        click.echo(f"  ... and {more} further lines: --json has them all")
    _finish(span.exit_code, span.problems)
