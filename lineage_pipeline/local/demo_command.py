"""`lineage demo`: the whole story on the embedded stack, told on stderr; the result goes to stdout."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from rich.console import Console

from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import JobError
from lineage_pipeline.local import demo
from lineage_pipeline.local.dagster_process import require_dagster
from lineage_pipeline.local.stack import STATE_DIRECTORY, EmbeddedStack
from lineage_pipeline.render_audit import render_audit
from lineage_pipeline.settings import without_settings

RECORDS = 200_000
_SMALLEST = 20_000  # so that each batch of the planted loss reaches beyond the lost range of partition 9
_BATCH = 10_000
_WIDTH = 160  # where nobody looks: a pipe has no width


@click.command("demo")
@click.option(
    "--exit", "leave", is_flag=True, help="End after the story: 0 only if the planted loss was found exactly."
)
@click.option("--records", type=click.IntRange(min=_SMALLEST), default=RECORDS, show_default=True)
@click.option("--s3", is_flag=True, help="Keep the lake on an embedded S3 server instead of in directories.")
def demo_command(leave: bool, records: int, s3: bool) -> None:
    """Move records with a real Kafka and a real Flink, prove it, lose some on purpose and find exactly those.

    Example: lineage demo --exit --records 50000
    """
    require_dagster()
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True, highlight=False)
    out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH)
    stack = EmbeddedStack(
        Path(STATE_DIRECTORY) / "demo",
        without_settings(os.environ),  # the story's times are its own
        lambda line: console.print(f"  {line}", soft_wrap=True),
        fresh=True,
        s3=s3,
    )
    with stack:
        found = _story(stack, records, console, out)
        if not leave:
            _stay(stack, console)
    click.get_current_context().exit(0 if found else 1)


def _story(stack: EmbeddedStack, records: int, console: Console, out: Console) -> bool:
    def step(text: str) -> None:
        console.print(f"\n[bold]{text}[/bold]", soft_wrap=True)

    def say(text: str) -> None:
        console.print(f"  {text}", soft_wrap=True)

    step(f"1. {records:,} records into Kafka, one in a thousand undecodable")
    produced = demo.produce_records(stack, records, console)
    step("2. The PyFlink job moves them to Parquet, and writes the offset index in the same checkpoints")
    stack.start_job()
    demo.wait_for_index(stack, records, console)
    tally = demo.tally(stack)
    out.print(
        f"produced {produced.total:,} = data {tally.data:,} + quarantine {tally.quarantined:,}"
        f" = index {tally.indexed:,} ({tally.distinct:,} distinct offsets)"
    )
    if not tally.proves(produced.total) or tally.quarantined != produced.poisoned:
        raise JobError(f"the tables do not add up: produced {produced.total} with {produced.poisoned} bad, {tally}")
    step("3. The audit: index against broker, as sets of offset ranges")
    clean = demo.audit_stack(stack)
    render_audit(clean, out)
    if clean.verdict != "complete":
        raise JobError(f"the audit of a clean pipeline says {clean.verdict}: this is a defect, please report it")
    step("4. Where is offset 1909 of partition 9?")
    _locate(stack, out)
    step("5. A loss that no count can see: two careless offset resets")
    with ThreadPoolExecutor(1, thread_name_prefix="dagster") as beside:
        dagster = beside.submit(stack.start_dagster)  # it takes as long to start as the loss to plant
        lost, doubled, _ = demo.plant_loss(stack, records, _BATCH, console, say)
        dagster.result()
    step("6. What the count says, and what the audit says")
    gaps = demo.counted_gaps(stack)
    out.print(f"count query (max - min + 1 - sum of counts): {gaps} gaps")
    report = demo.audit_stack(stack)
    render_audit(report, out)
    shown = stack.dagster.audit(stack.topic)
    out.print(
        f"Dagster, check completeness of audit/{stack.topic}: {'passed' if shown.passed else 'FAILED'}: {shown.text}"
    )
    found = _exactly(report, lost, doubled) and gaps == 0 and not shown.passed
    out.print(
        f"planted: partition {demo.VICTIM} lost [{lost}, {lost + demo.LOST}),"
        f" doubled [{doubled}, {doubled + demo.LOST});"
        f" found {'exactly that' if found else 'something else'}"
    )
    return found


def _locate(stack: EmbeddedStack, out: Console) -> None:
    location = demo.locate(stack, demo.VICTIM, 1909)
    out.print(f"partition {demo.VICTIM}, offset 1909: {location.why}")


def _exactly(report: AuditReport, lost: int, doubled: int) -> bool:
    """Whether the report says loss, with just the planted ranges, and nothing else anywhere."""
    found = {
        (partition.partition, one.range.start, one.range.end, one.range_class)
        for partition in report.partitions
        for one in partition.ranges
    }
    planted = {
        (demo.VICTIM, lost, lost + demo.LOST, "missing"),
        (demo.VICTIM, doubled, doubled + demo.LOST, "duplicated"),
    }
    return report.verdict == "loss" and found == planted


def _stay(stack: EmbeddedStack, console: Console) -> None:
    console.print(f"\nDagster  {stack.dagster.check_url(stack.topic)}", soft_wrap=True)
    console.print(f"Flink UI {stack.job.ui_url}\nKafka    {stack.broker.bootstrap_servers}")
    console.print("Ctrl-C ends everything.")
    console.print("Try, in another terminal: lineage audit; lineage locate 9 1909; lineage sql 'FROM offset_index'")
    try:
        while stack.job.process is not None and stack.job.process.poll() is None:
            time.sleep(1)
    except KeyboardInterrupt:
        return
    raise JobError(f"the Flink job ended: {stack.job.last_words()}")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
