"""`lineage up`: the live system, embedded, until Ctrl-C; a later `lineage up` resumes where it stopped."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import final

import click
from rich.console import Console

from lineage_pipeline.errors import JobError, LineageError, ProcessError
from lineage_pipeline.local.dagster_process import require_dagster
from lineage_pipeline.local.producer import ProducerPlan, produce
from lineage_pipeline.local.stack import STATE_DIRECTORY, EmbeddedStack
from lineage_pipeline.settings import load_settings

_POLL_SECONDS = 0.5


@click.command("up")
@click.option("--parallelism", type=click.IntRange(1, 128), default=1, show_default=True, help="Of the Flink job.")
@click.option("--s3", is_flag=True, help="Keep the lake on an embedded S3 server instead of in directories.")
@click.option("--cluster", is_flag=True, help="Run the job on a Flink cluster; what dies of it is started again.")
@click.option("--no-dagster", is_flag=True, help="Start no Dagster: audit by hand, or with a Dagster of your own.")
def up_command(parallelism: int, s3: bool, cluster: bool, no_dagster: bool) -> None:
    """Run broker, producer at RATE_PER_SEC, Flink job and Dagster until Ctrl-C; state is kept under .lineage/up.

    CHECKPOINT_INTERVAL is 3 seconds unless set, so that records soon appear in the lake.

    Example: RATE_PER_SEC=100 lineage up
    """
    if not no_dagster:
        require_dagster(", or leave it out with --no-dagster")
    console = Console(stderr=True, highlight=False)
    rate = load_settings({"RATE_PER_SEC": os.environ.get("RATE_PER_SEC", "")}).rate_per_sec
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    stack = EmbeddedStack(
        Path(STATE_DIRECTORY) / "up",
        os.environ,
        lambda line: console.print(line, soft_wrap=True),
        s3=s3,
        cluster_slots=parallelism if cluster else 0,
    )
    with stack:
        stack.start_job("--parallelism", str(parallelism))
        if not no_dagster:
            stack.start_dagster()
        console.print(
            f"{rate:g} records a second into {stack.topic}; Ctrl-C stops and keeps everything", soft_wrap=True
        )
        with _Producing(stack, rate) as producing:
            _watch(stack, producing, stop)
        console.print("stopping the job with a savepoint")


@final
class _Producing:
    """The producer in a thread; its failure is kept for the watcher."""

    def __init__(self, stack: EmbeddedStack, rate: float) -> None:
        self.failure: LineageError | None = None
        self._stop = threading.Event()
        self._plan = ProducerPlan(stack.broker.bootstrap_servers, stack.topic, rate_per_sec=rate)
        self._thread = threading.Thread(target=self._run, name="producer")

    def _run(self) -> None:
        try:
            produce(self._plan, stop=self._stop)
        except LineageError as error:
            self.failure = error

    def __enter__(self) -> _Producing:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()


def _watch(stack: EmbeddedStack, producing: _Producing, stop: threading.Event) -> None:
    """Return when asked to stop. Raises what ended the producer, the job or the broker instead."""
    while not stop.wait(_POLL_SECONDS):
        if producing.failure is not None:
            raise producing.failure
        if stack.cluster is not None:
            stack.revive_cluster()
        elif stack.job.process is None or stack.job.process.poll() is not None:
            raise JobError(f"the Flink job ended: {stack.job.last_words()}")
        broker = stack.broker.process
        if broker is None or broker.poll() is not None:
            raise ProcessError(f"the Kafka broker ended: see {stack.broker.log_path}")
        if stack.s3 is not None and (stack.s3.process is None or stack.s3.process.poll() is not None):
            raise ProcessError(f"the S3 server ended: see {stack.s3.log_path}")
