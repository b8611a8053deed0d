"""`lineage repair`."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lineage_pipeline.audit_topic import audit_request, audit_topic, audit_twice
from lineage_pipeline.books.claim_log import ended
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.books.repair_log import RepairLog
from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import LineageError, UsageError
from lineage_pipeline.lake_request import has_data, has_quarantine
from lineage_pipeline.lake_settings import LakeFiles
from lineage_pipeline.render_audit import render_audit
from lineage_pipeline.render_progress import looking_at_files, waiting
from lineage_pipeline.render_repair import render_history, render_outcome, render_plan
from lineage_pipeline.repair import Prepared, RepairRequest, execute, prepare
from lineage_pipeline.replay import Cluster, Lake
from lineage_pipeline.replay import Progress as Tell
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings
from lineage_pipeline.written_schemas import written_schemas

_WIDTH_WITHOUT_TERMINAL = 160


@click.command("repair")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--execute", "execute_it", is_flag=True, help="Carry the plan out; without it nothing is written.")
@click.option("--books", default="index,broker,lake", show_default=True, help="What to read: index,broker at least.")
@click.option("--wait", is_flag=True, help="Look again after the settle time when a hole is seen for the first time.")
@click.option("--by", help="Who repairs; the name of the user who runs the command otherwise.")
@click.option("--job-is-gone", is_flag=True, help="The state of the stopped job will never be restored.")
@click.option("--history", is_flag=True, help="Who repaired what so far; nothing else is done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def repair_command(**options: Any) -> None:
    """Put lost records back from Kafka: print the plan, or with --execute carry it out and audit again.

    The exit code is that of the last audit: 0 complete, 1 loss, 3 undetermined. Nothing in the lake is ever deleted.

    Example: lineage repair --execute --by "Ada, INC-42"
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(options["topic"])
    request = repair_request(settings, chosen, options["books"], options["by"] or _user())
    request = replace(request, job_is_gone=options["job_is_gone"])
    stderr, stdout = Console(stderr=True, highlight=False, markup=False), _stdout()

    if options["history"]:
        if options["as_json"]:
            raise click.UsageError("--history is for people: leave --json out")
        log = RepairLog(request.lake.offset_index, chosen.name)
        claims, notes = log.claims(), log.notes()
        left = {one.number: len(log.unfinished(one)) for one in claims if not ended(one, notes)}
        render_history(claims, notes, left, stdout)
        if not claims:
            click.echo(log.emptiness, err=True)
        return

    def look() -> AuditReport:
        with looking_at_files(request.audit) as shown:
            return audit_twice(shown, _now, waiting()) if options["wait"] else audit_topic(shown, _now)

    prepared = prepare(request, look)
    plain = stderr if options["as_json"] else stdout
    render_plan(prepared, request.lake, plain)
    report, error = prepared.report, None
    if options["execute_it"]:
        report, error = _carry_out(request, prepared, stderr, plain)
    elif prepared.plan.records:
        plain.print("nothing was written: --execute carries the plan out")
    if options["as_json"]:
        click.echo(json.dumps({"plan": prepared.plan.to_json(), "audit": report.to_json()}))
    elif options["execute_it"]:
        render_audit(report, stdout)
    if error is not None:
        raise error
    click.get_current_context().exit(report.exit_code)


def repair_request(settings: Settings, topic: TopicSettings, books: str, by: str) -> RepairRequest:
    """The request that the settings describe. Raises UsageError for what cannot be repaired, SchemaError."""
    from lineage_pipeline.books.range_reader import KafkaRangeReader  # noqa: PLC0415 - --help needs no client

    if topic.lake_files.layout() != LakeFiles().layout():
        raise UsageError(
            f"`lake_files` of {topic.name} describes a lake that another writer laid out, and a repair writes files"
            " as the job does: put the records back with that writer"
        )
    if not has_data(topic) or not has_quarantine(topic):
        raise UsageError("where to write is not said: set OUTPUT_PATH and QUARANTINE_PATH as the job has them")
    audit = audit_request(settings, topic, [book.strip() for book in books.split(",") if book.strip()])
    broker = audit.broker
    if broker is None:
        raise UsageError(f"--books {books}: a repair reads the records from the broker, so it has to be among them")
    return RepairRequest(
        audit=audit,
        lake=Lake(
            open_store(topic.paths.output, settings.aws),
            open_store(topic.paths.quarantine, settings.aws),
            audit.index.store,
            topic_schema(topic),
            written_schemas(settings, topic, os.environ),
        ),
        cluster=Cluster(
            broker,
            KafkaRangeReader(settings.kafka.bootstrap_servers, settings.kafka.properties, headers=topic.headers),
        ),
        checkpoints=open_store(topic.paths.checkpoints, settings.aws),
        interval=settings.checkpoint_interval,
        by=by,
    )


def _carry_out(
    request: RepairRequest, prepared: Prepared, stderr: Console, plain: Console
) -> tuple[AuditReport, LineageError | None]:
    """The audit after the repair, and what ended the repair early: the audit is worth seeing then too."""
    error = None
    if not prepared.plan.records and not prepared.plan.obstacles:
        return prepared.report, None
    try:
        with _progress(stderr, prepared.plan.records) as tell:
            render_outcome(execute(request, prepared, _now, tell), plain)
    except LineageError as caught:
        error = caught
    return audit_topic(request.audit, _now), error


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Tell]:
    columns = (TextColumn("repairing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("repairing", total=total)
        yield lambda count: bar.advance(task, count)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _stdout() -> Console:
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(highlight=False, markup=False, width=width)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise UsageError("the user has no name here: give one with --by") from None
