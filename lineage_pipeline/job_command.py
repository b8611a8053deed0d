"""`lineage job run` and `lineage job plan`."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.job_start import StartRequest
from lineage_pipeline.errors import LineageError
from lineage_pipeline.flink.environment import DEFAULT_STATE_TTL_SECONDS
from lineage_pipeline.flink.file_systems import uses_s3
from lineage_pipeline.flink.job import JobRun, compiled_plan, run_job
from lineage_pipeline.flink.job_config import JobOptions
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import check_python, find_java
from lineage_pipeline.local.state_lock import StateLock
from lineage_pipeline.render_columns import render_columns
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.topic_settings import TopicSettings

_INTERRUPTED = 130  # what the command says when a second signal ends it
_COULD_NOT_RUN = 4
_LEAVE_SECONDS = 10.0


@click.group("job")
def job_command() -> None:
    """The PyFlink job that moves one topic into the lake and writes its offset index.

    Example: lineage job run --topic lineage-input
    """


@job_command.command("run")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--parallelism", type=click.IntRange(1, 128), default=1, show_default=True)
@click.option("--rest-port", type=click.IntRange(1, 65535), help="Serve Flink's UI and REST on 127.0.0.1 at this port.")
@click.option(
    "--state-ttl",
    type=click.FloatRange(min=1),
    default=DEFAULT_STATE_TTL_SECONDS,
    show_default=True,
    help="Seconds after which the index forgets an idle partition; it then starts a new run.",
)
@click.option("--log-dir", type=click.Path(path_type=Path), help="Where Flink logs; pyflink's own folder otherwise.")
@click.option("--skip-expired", is_flag=True, help="Go on behind records that Kafka deleted before they were read.")
@click.option("--from-index-end", is_flag=True, help="Start without state behind the index, though the state is lost.")
def run_command(
    topic: str | None,
    skip_expired: bool,
    from_index_end: bool,
    **options: object,
) -> None:
    """Run the job until Ctrl-C or SIGTERM, which stop it with a savepoint; the next run resumes exactly there.

    Example: lineage job run --topic lineage-input --parallelism 2
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(topic)
    run_until_stopped(
        JobRun(
            settings,
            chosen,
            job_options(settings, chosen, **options),
            KafkaBook(settings.kafka.bootstrap_servers, settings.kafka.properties),
            StartRequest(chosen.baseline, skip_expired=skip_expired, from_index_end=from_index_end),
        )
    )


@job_command.command("plan")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--columns", "columns_alone", is_flag=True, help="The columns on stdout, and nothing is compiled.")
@click.option("--json", "as_json", is_flag=True, help="The plan on stdout, on a terminal too.")
def plan_command(topic: str | None, *, columns_alone: bool, as_json: bool) -> None:
    """Show which column of the table comes from where, and compile the job's plan; nothing is started or stored.

    On a terminal the columns are printed. Into a pipe or a file goes the plan as JSON, and the columns to stderr.

    Example: lineage job plan --columns
    """
    settings = load_settings(os.environ)
    chosen = settings.topic(topic)
    schema = topic_schema(chosen)
    if columns_alone:
        if as_json:
            raise click.UsageError("--columns compiles no plan: leave --json out")
        render_columns(chosen.name, schema, sys.stdout)
        return
    wanted = as_json or not sys.stdout.isatty()
    render_columns(chosen.name, schema, sys.stderr if wanted else sys.stdout)
    plan = compiled_plan(settings, chosen, job_options(settings, chosen))
    if wanted:
        click.echo(plan)
    else:
        click.echo("the plan was compiled; --json prints it")


def run_until_stopped(run: JobRun) -> None:
    """Run the job in the foreground until SIGINT or SIGTERM; its sentences go to stderr.

    Afterwards the process ends within seconds.
    """
    leave = SureExit()
    try:
        with _only_writer(run.topic):
            run_job(run, _stop_on_signals(), lambda line: click.echo(line, err=True))
        leave.code = 0
    except click.exceptions.Abort:
        raise
    except Exception as error:
        leave.code = error.exit_code if isinstance(error, LineageError) else _COULD_NOT_RUN
        raise
    finally:
        leave.within(_LEAVE_SECONDS)


class SureExit:
    """Ends this process with `code`, whatever threads wait for a JVM that is gone: else a dead job looks alive.

    Make it before anything else registers what it does at the exit: then this comes last. It leaves the rest of the
    interpreter's end out, in which gRPC can wait for ever, and where no thread of Python's runs any more.
    """

    def __init__(self) -> None:
        self.code = _INTERRUPTED
        atexit.register(self._leave)

    def within(self, seconds: float) -> None:
        """Leave after so many seconds, if the process has not ended by then: its threads may wait for ever too."""
        last_resort = threading.Timer(seconds, self._leave)
        last_resort.daemon = True
        last_resort.start()

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(self.code)


def job_options(settings: Settings, topic: TopicSettings, **options: object) -> JobOptions:
    """The options of one run, with this machine's Java and the job's jars. Raises SetupError without them."""
    check_python()
    java = find_java(os.environ)
    cache = cache_folder(os.environ)
    jars = {
        "jars": tuple(fetch_jars("flink", cache=cache)),
        "s3_jars": tuple(fetch_jars("flink-s3", cache=cache)) if uses_s3(topic) else (),
    }
    return JobOptions(**jars, java_home=java.home, cluster_url=settings.flink_rest_url, **options)  # type: ignore[arg-type]  # click gives the declared types


def _only_writer(topic: TopicSettings) -> AbstractContextManager[object]:
    """Two jobs writing one topic would double it; a lock says so at once where the checkpoints are on this machine."""
    path = topic.paths.checkpoints
    parts = urlsplit(path)
    if parts.scheme not in {"", "file"}:
        return nullcontext()
    return StateLock(Path(parts.path if parts.scheme == "file" else path) / topic.name)


def _stop_on_signals() -> threading.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise click.exceptions.Abort
        click.echo("stopping with a savepoint; once more to leave at once", err=True)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop
