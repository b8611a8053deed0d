"""`lineage produce`: the Avro producer alone."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lineage_pipeline.local.producer import ProduceResult, ProducerPlan, produce
from lineage_pipeline.settings import load_settings

_EXAMPLE = """\b
Example: 10,000 records, one in a hundred undecodable, in transactions of which each fifth is aborted
  lineage produce --count 10000 --rate max --poison 0.01 --transaction-size 50 --abort-every 5
"""


def _rate(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """A number above 0; infinity for `max`."""
    if value is None or value == "max":
        return None if value is None else math.inf
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor `max`")
    return rate


@click.command("produce", epilog=_EXAMPLE)
@click.option("--topic", help="Topic to write to; made if it is not there.  [default: the configured one]")
@click.option("--count", type=click.IntRange(min=0), help="Stop after so many records.  [default: at Ctrl-C]")
@click.option(
    "--rate", callback=_rate, metavar="NUMBER|max", help="Records per second, or `max`.  [default: RATE_PER_SEC]"
)
@click.option("--poison", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Undecodable fraction.")
@click.option("--transaction-size", type=click.IntRange(min=1), help="Records per transaction.  [default: none]")
@click.option("--abort-every", type=click.IntRange(min=1), help="Abort every such transaction.  [default: none]")
@click.option("--partitions", type=click.IntRange(min=1), default=10, show_default=True, help="Of a topic to be made.")
@click.option("--seed", type=int, help="Makes uuids and poison repeatable.  [default: another one each run]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file instead of lineage.yaml.")
def produce_command(  # noqa: PLR0913  click passes every option as a parameter
    *,
    topic: str | None,
    count: int | None,
    rate: float | None,
    poison: float,
    transaction_size: int | None,
    abort_every: int | None,
    partitions: int,
    seed: int | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Write records {uuid, timestamp} in Avro to Kafka, until the count is reached or Ctrl-C.

    Prints what the broker has acknowledged; a record that was not delivered is an error, never a smaller number.
    """
    settings = load_settings(os.environ, config)
    plan = ProducerPlan(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        topic=topic or settings.topic().name,
        partitions=partitions,
        count=count,
        rate_per_sec=_finite(settings.rate_per_sec if rate is None else rate),
        poison_fraction=poison,
        transaction_size=transaction_size,
        abort_every=abort_every,
        seed=seed,
        properties={key: value.get_secret_value() for key, value in settings.kafka.properties.items()},
    )
    with _stop_on_signals() as stop, _progress_bar(plan) as progress:
        result = produce(plan, stop=stop, progress=progress)
    click.echo(json.dumps(result_as_json(result)) if as_json else _sentence(result))


def _finite(rate: float) -> float | None:
    return None if rate == math.inf else rate


def result_as_json(result: ProduceResult) -> dict[str, object]:
    """The result as `--json` prints it."""
    return {
        "topic": result.topic,
        "delivered": result.total,
        "partitions": {str(partition): count for partition, count in result.delivered.items()},
        "poisoned": result.poisoned,
        "aborted": result.aborted,
        "transactions": result.transactions,
        "seed": result.seed,
        "seconds": round(result.seconds, 3),
    }


def _sentence(result: ProduceResult) -> str:
    aborted = f", and {result.aborted} aborted" if result.aborted else ""
    return (
        f"{result.total} records delivered to {result.topic} in {result.seconds:.1f} s, "
        f"{result.poisoned} of them undecodable{aborted} (seed {result.seed})"
    )


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the run cleanly: what was handed over is delivered and counted."""
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress_bar(plan: ProducerPlan) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"producing to {plan.topic}", total=plan.count)
        yield lambda count: bar.update(task, completed=count)
