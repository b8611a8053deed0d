"""`lineage accept` and `lineage complete-through`."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import click

from lineage_pipeline.accept import Acceptance, accept_gap, stored_watermark
from lineage_pipeline.audit_topic import state_plan
from lineage_pipeline.books.audit_state import COMPLETE_THROUGH, AuditState
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.errors import UsageError
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings


@click.command("accept")
@click.argument("partition", type=click.IntRange(0, MAX_PARTITION))
@click.argument("start", type=click.IntRange(0, MAX_END))
@click.argument("end", type=click.IntRange(0, MAX_END))
@click.option("--reason", required=True, help="Why the records need not be there.")
@click.option("--author", help="Who says so; the name of the user who runs the command otherwise.")
@click.option("--topic", help="Which topic, when several are configured.")
def accept_command(**options: Any) -> None:
    """Take on a known gap: the offsets from START up to, and without, END, as in the JSON report.

    They no longer count as a loss and are shown for ever. It holds for this topic's incarnation only.

    Example: lineage accept 9 1900 1960 --reason "test records, INC-42"
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(options["topic"])
    if options["end"] < options["start"]:
        raise UsageError(
            f"END {options['end']} is below START {options['start']}: END is the offset after the last one"
        )
    accepted = Acceptance(
        partition=options["partition"],
        range=OffsetRange(options["start"], options["end"]),
        reason=options["reason"],
        author=options["author"] or _user(),
    )
    rules = AuditRules(settings.settle_seconds(chosen), chosen.max_delay)
    click.echo(accept_gap(_state(settings, chosen), accepted, rules, datetime.now(timezone.utc)))


@click.command("complete-through")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--json", "as_json", is_flag=True, help="The stored JSON object.")
def complete_through_command(topic: str | None, *, as_json: bool) -> None:
    """Up to where everything is proven, as the newest stored audit says: exit code 0 known, 3 not known.

    One line for the topic's time, then one for each partition: number, first offset that is not proven, time. A dash
    stands for what is not known.

    Example: lineage complete-through --json
    """
    settings = load_settings(os.environ)
    found = stored_watermark(_state(settings, settings.topic(topic)), COMPLETE_THROUGH)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print(found)
    known = found["partitions"] and all(one["offset"] is not None for one in found["partitions"])
    click.get_current_context().exit(0 if known else 3)


def _print(found: Mapping[str, Any]) -> None:
    click.echo(f"{found['topic']} {_shown(found['time'])}")
    for one in found["partitions"]:
        click.echo(f"{one['partition']} {_shown(one['offset'])} {_shown(one['time'])}")


def _shown(value: str | int | None) -> str:
    return "-" if value is None else str(value)


def _state(settings: Settings, topic: TopicSettings) -> AuditState:
    plan = state_plan(settings, topic)
    if plan is None:
        raise UsageError("nothing is remembered without a place for it: set AUDIT_PATH")
    return plan.state


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise UsageError("the user has no name here: give one with --author") from None
