"""`lineage audit` and `lineage locate`."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime, timezone

import click
from rich.console import Console

from lineage_pipeline.audit_topic import audit_request, audit_topic, audit_twice, index_path, store_report
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.offsets import MAX_OFFSET
from lineage_pipeline.locate import Location, locate_offset
from lineage_pipeline.render_audit import render_audit
from lineage_pipeline.settings import load_settings

_WIDTH_WITHOUT_TERMINAL = 160  # a pipe has no width; narrower would break the table


@click.command("audit")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--books", default="index,broker", show_default=True, help="What to read: index, or index,broker.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--full", is_flag=True, help="Read every index file anew (this version always does).")
@click.option("--wait", is_flag=True, help="Look again after the settle time when a hole is seen for the first time.")
@click.option("--store", is_flag=True, help="Keep the report as latest.json under AUDIT_PATH.")
def audit_command(topic: str | None, books: str, as_json: bool, full: bool, wait: bool, store: bool) -> None:
    """Audit a topic: exit code 0 complete, 1 loss, 3 undetermined.

    Example: lineage audit --books index --json
    """
    del full  # every audit is a full one until there is a fold
    settings = load_settings(os.environ)
    chosen = settings.topic(topic)
    request = audit_request(settings, chosen, [book.strip() for book in books.split(",") if book.strip()])
    report = audit_twice(request, _now, _wait) if wait else audit_topic(request, _now)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        render_audit(report, _console())
    if store:
        store_report(open_store(chosen.paths.audit, settings.aws), report)
    click.get_current_context().exit(report.exit_code)


@click.command("locate")
@click.argument("partition", type=click.IntRange(0, 2**31 - 1))
@click.argument("offset", type=click.IntRange(0, MAX_OFFSET))
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def locate_command(partition: int, offset: int, topic: str | None, as_json: bool) -> None:
    """Where an offset is: exit code 0 found, 1 not found, 3 cannot tell. It needs no broker.

    Example: lineage locate 9 1909
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(topic)
    rules = AuditRules(settings.settle_seconds(chosen), chosen.max_delay, chosen.baseline, chosen.isolation)
    location = locate_offset(index_path(settings, chosen), partition, offset, rules, _now())
    if as_json:
        click.echo(json.dumps(location.to_json()))
    else:
        _print_location(location, chosen.paths.offset_index)
    for problem in location.problems:
        click.echo(f"problem: {problem}", err=True)
    click.get_current_context().exit(location.exit_code)


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


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _wait(seconds: float) -> None:
    if sys.stderr.isatty():
        click.echo(f"a hole was seen for the first time: looking again in {seconds:.0f} s", err=True)
    time.sleep(seconds)


def _console() -> Console:
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, width=_WIDTH_WITHOUT_TERMINAL)
