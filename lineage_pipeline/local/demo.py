"""The demo's steps on the embedded stack: produce, move, prove; then lose records as no count can see, and find them.

Every figure shown is read back from Kafka, Parquet files and the audit; the only thing known beforehand is what was
planted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lineage_pipeline.audit_topic import audit_request, audit_twice, index_path
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import JobError
from lineage_pipeline.lake_sql import LakeSql, named_query
from lineage_pipeline.local.careless_reset import MODULE as CARELESS_RESET
from lineage_pipeline.local.producer import ProduceResult, ProducerPlan, produce
from lineage_pipeline.local.stack import EmbeddedStack
from lineage_pipeline.locate import Location, locate_offset

POISON_FRACTION = 0.001
VICTIM = 9  # the partition whose records get lost
LOST = 300
_STALL_SECONDS = 180.0  # without any progress the demo gives up, loudly
_POLL_SECONDS = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tally:
    """Rows of the three tables; `indexed` counts offsets by the index's record_count, `distinct` by the tables."""

    data: int
    quarantined: int
    indexed: int
    distinct: int

    def proves(self, produced: int) -> bool:
        """Whether produced = data + quarantine = index, and nothing is there twice."""
        return self.data + self.quarantined == self.indexed == self.distinct == produced


def tally(stack: EmbeddedStack) -> Tally:
    """Count the tables as they are now."""
    lake = _lake(stack)
    try:
        return Tally(
            data=lake.value("SELECT count(*) FROM data"),
            quarantined=lake.value("SELECT count(*) FROM quarantine"),
            indexed=lake.value("SELECT sum(record_count)::BIGINT FROM offset_index"),
            distinct=lake.value(
                "SELECT count(*) FROM (SELECT kafka_partition, kafka_offset FROM data"
                " UNION SELECT kafka_partition, kafka_offset FROM quarantine)"
            ),
        )
    finally:
        lake.close()


def index_total(stack: EmbeddedStack) -> int:
    """How many records the index accounts for."""
    lake = _lake(stack)
    try:
        return lake.value("SELECT sum(record_count)::BIGINT FROM offset_index")
    finally:
        lake.close()


def produce_records(stack: EmbeddedStack, count: int, console: Console) -> ProduceResult:
    """Write `count` records, one in a thousand undecodable, as fast as the broker takes them."""
    plan = ProducerPlan(
        stack.broker.bootstrap_servers, stack.topic, count=count, poison_fraction=POISON_FRACTION, seed=1909
    )
    with _bar(console) as bar:
        task = bar.add_task("producing", total=count)
        return produce(plan, progress=lambda done: bar.update(task, completed=done))


def wait_for_index(stack: EmbeddedStack, total: int, console: Console) -> None:
    """Wait until the index accounts for `total` records.

    Raises JobError when the job has ended, or has made no progress for three minutes.
    """
    with _bar(console) as bar:
        task = bar.add_task("moving to the lake", total=total)
        seen, since = -1, time.monotonic()
        while seen < total:
            process = stack.job.process
            if process is None or process.poll() is not None:
                raise JobError(f"the Flink job ended: {stack.job.last_words()}")
            now = index_total(stack)
            if now != seen:
                seen, since = now, time.monotonic()
                bar.update(task, completed=min(seen, total))
            elif time.monotonic() - since > _STALL_SECONDS:
                raise JobError(f"the job made no progress for {_STALL_SECONDS:.0f} s at {seen} of {total} records")
            time.sleep(_POLL_SECONDS)


def audit_stack(stack: EmbeddedStack, books: Sequence[str] = ("index", "broker")) -> AuditReport:
    """Audit these books; a hole that the broker shows for the first time is looked at again after the settle time."""
    settings = stack.settings
    request = audit_request(settings, settings.topic(), books)
    return audit_twice(request, lambda: datetime.now(timezone.utc), time.sleep)


def locate(stack: EmbeddedStack, partition: int, offset: int) -> Location:
    """Where the index has the offset."""
    settings = stack.settings
    topic = settings.topic()
    rules = audit_request(settings, topic, ("index",)).rules
    return locate_offset(index_path(settings, topic), partition, offset, rules, datetime.now(timezone.utc))


def counted_gaps(stack: EmbeddedStack) -> int:
    """What the count query says is missing, over all partitions."""
    lake = _lake(stack)
    try:
        return lake.value(f"SELECT sum(gaps)::BIGINT FROM ({named_query('count-gaps')})")
    finally:
        lake.close()


def plant_loss(stack: EmbeddedStack, total: int, batch: int, console: Console, say: Say) -> tuple[int, int, int]:
    """Reset partition 9's position 300 ahead, later 300 back, each over a restart without state.

    `total` records are in the lake before; each of two batches adds `batch`. Returns the first offset that is lost, the
    first that is doubled, and the new total of records in the index.
    """
    stack.job.stop()
    lost_from = _end_of(stack, VICTIM)
    say(f"the job is stopped; partition {VICTIM} is in the lake up to offset {lost_from - 1}")
    produce_records(stack, batch, console)
    say(f"somebody resets partition {VICTIM} by hand, {LOST} offsets too far ahead, and starts the job without state")
    stack.start_job("--shift", f"{VICTIM}:{LOST}", entry=(CARELESS_RESET,))
    wait_for_index(stack, total + batch - LOST, console)
    stack.job.stop()
    doubled_from = _end_of(stack, VICTIM) - LOST
    produce_records(stack, batch, console)
    say(f"somebody notices and resets it back by {LOST}, at the wrong moment")
    stack.start_job("--shift", f"{VICTIM}:-{LOST}", entry=(CARELESS_RESET,))
    total += 2 * batch
    wait_for_index(stack, total, console)
    return lost_from, doubled_from, total


def _end_of(stack: EmbeddedStack, partition: int) -> int:
    lake = _lake(stack)
    try:
        return lake.value(f"SELECT max(max_offset) + 1 FROM offset_index WHERE kafka_partition = {int(partition)}")
    finally:
        lake.close()


def _lake(stack: EmbeddedStack) -> LakeSql:
    settings = stack.settings
    return LakeSql(settings, settings.topic())


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
