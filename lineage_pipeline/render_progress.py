"""Long work and long waits shown on stderr while they go on, when somebody sits at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lineage_pipeline.audit_topic import AuditRequest


@contextmanager
def looking_at_files(request: AuditRequest) -> Iterator[AuditRequest]:
    """The request with a bar for the lake's files that are looked at; it is seen from the first file on."""
    console = Console(stderr=True, highlight=False, markup=False)
    if request.lake is None or not console.is_terminal:
        yield request
        return
    columns = (TextColumn("looking at files"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("files", total=None)

    def tell(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    try:
        yield replace(request, lake=replace(request.lake, progress=tell))
    finally:
        bar.stop()


def waiting(reason: str = "a hole was seen for the first time") -> Callable[[float], None]:
    """Lets so many seconds pass before a second look, and says why."""

    def wait(seconds: float) -> None:
        if sys.stderr.isatty():
            click.echo(f"{reason}: looking again in {seconds:.0f} s", err=True)
        time.sleep(seconds)

    return wait
