"""`lineage audit`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lineage_pipeline.audit_topic import AuditRequest, audit_request, audit_topic, audit_twice, suspects
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_OFFSET
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import UsageError
from lineage_pipeline.remembering import LATEST, ToldBaseline
from lineage_pipeline.render_audit import render_audit
from lineage_pipeline.render_progress import looking_at_files, waiting
from lineage_pipeline.report_page import drawn_page
from lineage_pipeline.settings import Settings, load_settings

_WIDTH_WITHOUT_TERMINAL = 160  # a pipe has no width; narrower would break the table

_FORGETFUL = (
    "nothing is remembered from one audit to the next, so each sees what is suspected for the first time, and none ever"
    " calls it a loss: set AUDIT_PATH, or add --wait"
)


@click.command("audit")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option(
    "--books",
    default="index,broker",
    show_default=True,
    help="What to read, of index, broker and lake; always the index.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--html", metavar="FILE", help="Write the report as a page too; every remembered audit stores one.")
@click.option("--full", is_flag=True, help="List every day and read every index file anew.")
@click.option("--wait", is_flag=True, help="Look again after the settle time when a hole is seen for the first time.")
@click.option("--store/--no-store", default=True, help="Keep report and memory under AUDIT_PATH, if one was chosen.")
@click.option("--baseline", help="Begin the memory anew: `declared`, or offsets by partition such as 0=100,1=0.")
def audit_command(**options: Any) -> None:
    """Audit a topic: exit code 0 complete, 1 loss, 3 undetermined.

    What it saw is kept under AUDIT_PATH for the next audit; where that fails, the verdict is at best undetermined.

    Example: lineage audit --books index --json
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(options["topic"])
    books = [book.strip() for book in options["books"].split(",") if book.strip()]
    request = _planned(audit_request(settings, chosen, books), options)
    page = _page_place(options["html"], settings) if options["html"] else None
    with looking_at_files(request) as shown:
        report = audit_twice(shown, _now, waiting()) if options["wait"] else audit_topic(shown, _now)
    if options["as_json"]:
        click.echo(json.dumps(report.to_json()))
    else:
        render_audit(report, _console())
    if request.plan is None and not options["wait"] and suspects(report):
        click.echo(_FORGETFUL, err=True)
    if page is not None:
        _write_page(report, request, *page)
    click.get_current_context().exit(report.exit_code)


def _planned(request: AuditRequest, options: Mapping[str, Any]) -> AuditRequest:
    told = told_baseline(options["baseline"]) if options["baseline"] else None
    if request.plan is None:
        if told is not None:
            raise UsageError("--baseline needs a place to be remembered: set AUDIT_PATH")
        return request
    return replace(request, plan=replace(request.plan, full=options["full"], store=options["store"], told=told))


def _page_place(file: str, settings: Settings) -> tuple[ObjectStore, str]:
    """The store and the key of `--html`. Raises UsageError when there is no such directory, before anything is read."""
    folder, _, name = file.rpartition("/")
    store = open_store(folder or ("/" if file.startswith("/") else "."), settings.aws)
    if not name or ("://" not in folder and (not Path(folder or ".").is_dir() or Path(file).is_dir())):
        raise UsageError(f"--html {file!r} names no file in a directory that exists: create it first")
    return store, name


def _write_page(report: AuditReport, request: AuditRequest, store: ObjectStore, name: str) -> None:
    kept = request.plan.state.place(LATEST) if request.plan and request.plan.store else None
    page, failure = drawn_page(report, kept)
    store.put(name, page)
    if failure is not None:
        click.echo(f"problem: the page does not show this report: {failure}", err=True)


def told_baseline(text: str) -> ToldBaseline:
    """`declared`, or `partition=offset` pairs with commas. Raises UsageError for anything else."""
    if text == "declared":
        return ToldBaseline({})
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(number.isdecimal() and offset.isdecimal() for number, _, offset in pairs):
        raise UsageError(f"--baseline {text!r} is neither `declared` nor offsets by partition such as 0=100,1=0")
    found = {int(number): int(offset) for number, _, offset in pairs}
    if len(found) < len(pairs) or max(found) > MAX_PARTITION or max(found.values()) > MAX_OFFSET:
        raise UsageError(f"--baseline {text!r} names a partition twice, or a number that Kafka cannot have")
    return ToldBaseline(found)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _console() -> Console:
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, width=_WIDTH_WITHOUT_TERMINAL)
