"""Long work shown on stderr while it goes on, when somebody sits at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

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
