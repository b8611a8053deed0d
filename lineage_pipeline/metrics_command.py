"""`lineage metrics`."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path

import click
from prometheus_client import generate_latest, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from lineage_pipeline.errors import PortTakenError, SetupError, UsageError
from lineage_pipeline.metrics import ReportCollector, registry
from lineage_pipeline.settings import load_settings

_NOT_ALL_KNOWN = 3
_HIGHEST_PORT = 65535


@click.command("metrics")
@click.option("--listen", metavar="ADDRESS", help="Serve /metrics at [HOST:]PORT until Ctrl-C; HOST is 127.0.0.1.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a file for node_exporter's textfile collector, whole or not at all.",
)
def metrics_command(listen: str | None, output: Path | None) -> None:
    """What the newest audits of all topics found, as metrics (OpenMetrics on stdout): read from the stored reports.

    Exit code 0, or 3 when a topic's report is absent, unreadable or too old, which the metrics say too.

    Example: lineage metrics --listen 9469
    """
    if listen and output:
        raise click.UsageError("--listen and --output exclude each other")
    collector = ReportCollector(load_settings(os.environ), lambda: datetime.now(timezone.utc))
    if listen:
        _serve(collector, listen)
        return
    if output:
        _replace(output, generate_latest(registry(collector)))
    else:
        click.echo(generate_openmetrics(registry(collector)), nl=False)  # type: ignore[no-untyped-call]  # the library says nothing
    for problem in collector.problems:
        click.echo(f"problem: {problem}", err=True)
    click.get_current_context().exit(_NOT_ALL_KNOWN if collector.problems else 0)


def address(text: str) -> tuple[str, int]:
    """Host and port of `PORT`, `HOST:PORT` or `[v6]:PORT`. Raises UsageError for anything else."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= _HIGHEST_PORT:
        raise UsageError(f"--listen {text!r} is no address: write PORT or HOST:PORT, such as 127.0.0.1:9469")
    return host.strip("[]") or "127.0.0.1", int(port)


def _serve(collector: ReportCollector, listen: str) -> None:
    host, port = address(listen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        server, thread = start_http_server(port, host, registry(collector))
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {listen} ({error.strerror}): end what listens there, or choose another address"
        ) from None
    click.echo(f"metrics at http://{host}:{port}/metrics", err=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file and rename: the collector must never see half of it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)  # the collector is another user
        Path(name).replace(path)
    except OSError as error:
        raise SetupError(f"{path} cannot be written ({error.strerror}): check the directory and its rights") from None
