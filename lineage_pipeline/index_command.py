"""`lineage index rebuild`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone

import click

from lineage_pipeline.audit_topic import audit_request
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.rebuild_index import RebuildPlan, plan_rebuild, write_rebuild
from lineage_pipeline.render_progress import looking_at_files
from lineage_pipeline.settings import load_settings

_TOLD = 20  # index files or ranges that are listed one by one


@click.group("index")
def index_command() -> None:
    """The offset index.

    Example: lineage index rebuild --help
    """


@index_command.command("rebuild")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--execute", "execute_it", is_flag=True, help="Write the index files; without it nothing is written.")
@click.option("--tail", is_flag=True, help="Also behind the last row: no job will ever commit rows for it again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def rebuild_command(topic: str | None, *, execute_it: bool, tail: bool, as_json: bool) -> None:
    """Write index rows for what the lake's files hold and the index does not: print the plan, or --execute it.

    For an index that lost files, and for lakes that others wrote (docs/adopt.md). Needs no broker. Exit code 3 when a
    file could not be looked at.

    Example: lineage index rebuild --execute
    """
    settings = load_settings(os.environ)
    request = audit_request(settings, settings.topic(topic), ["index", "lake"])
    with looking_at_files(request) as shown:
        plan = plan_rebuild(shown, _now, tail=tail)
    if execute_it:
        write_rebuild(request, plan)
    if as_json:
        click.echo(json.dumps(plan.to_json(executed=execute_it)))
    else:
        _print(plan, executed=execute_it)
    for problem in plan.problems:
        click.echo(f"problem: {problem}", err=True)
    click.get_current_context().exit(plan.exit_code)


def _print(plan: RebuildPlan, *, executed: bool) -> None:
    files = plan.rebuild.files
    verb = "written" if executed else "to write"
    rows, records = sum(len(one.rows) for one in files), sum(one.records for one in files)
    click.echo(
        f"{plan.topic}: {plan.files} files in the lake; {verb}: {len(files)} index files, {rows} rows for"
        f" {records} records, to {plan.root}"
    )
    for one in files[:_TOLD]:
        click.echo(f"  {plan.key(one)}: {len(one.rows)} rows, {one.records} records")
    if files[_TOLD:]:
        click.echo(f"  ... and {len(files) - _TOLD} further files")
    _print_left(plan.rebuild.young, "are too young: their own index rows may be under way, run this again later")
    _print_left(
        plan.rebuild.behind,
        "are behind the partition's last index row: a job may still commit rows for them; --tail if none ever will",
    )
    if files and not executed:
        click.echo("nothing was written: --execute writes the files")


def _print_left(left: Mapping[int, RangeSet], why: str) -> None:
    for partition in sorted(left)[:_TOLD]:
        ranges = left[partition]
        click.echo(f"  left: {ranges.total} offsets of partition {partition}, the first {next(iter(ranges))}, {why}")


def _now() -> datetime:
    return datetime.now(timezone.utc)
