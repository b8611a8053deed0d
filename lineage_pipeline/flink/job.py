"""Run the job: start it as decided, wait, stop it with a savepoint when asked, and say why when it fails.

`lineage job run` and `flink run -pym lineage_pipeline.flink.main` both come here: without a cluster the job runs in a
mini cluster inside this process's JVM, with one it is submitted to it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage_pipeline.books.broker_book import BrokerBook
from lineage_pipeline.books.checkpoints import has_checkpoint, note_stopped, writer_root
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.job_start import Start, StartRequest
from lineage_pipeline.errors import JobError, LineageError
from lineage_pipeline.flink.environment import (
    JobConfig,
    build_environment,
    flink_options,
    hide_secrets,
    island_ttl_ms,
    prepare_jvm,
)
from lineage_pipeline.flink.failures import failure_sentence
from lineage_pipeline.flink.job_config import JobOptions, flink_uri, job_config
from lineage_pipeline.flink.plan import compile_plan, plan_for, plan_hash
from lineage_pipeline.flink.start import TopicStores, prepare_start
from lineage_pipeline.settings import Settings, TopicSettings

if TYPE_CHECKING:
    from pyflink.common.job_client import JobClient
    from pyflink.table import TableEnvironment

POLL_SECONDS = 0.2
Report = Callable[[str], None]


@dataclass(frozen=True)
class JobRun:
    """The job to run: where, for which topic, how."""

    settings: Settings
    topic: TopicSettings
    options: JobOptions
    broker: BrokerBook
    request: StartRequest


def run_job(run: JobRun, stop: threading.Event, report: Report) -> str | None:
    """Run the job until `stop` is set or it ends.

    Returns the path of the savepoint it was stopped with, or None when it was only submitted (`detached`). Raises
    StartRefusedError before anything is read when a person has to decide, and JobError when the job fails.
    """
    prepare_jvm(run.options.java_home, run.options.log_dir)
    hide_secrets(run.settings.secrets())
    savepoint, passing = _run_once(run, stop, report)
    if passing and not stop.is_set():
        # The reset policy that jumped over the deleted records must not stay: later losses have to be loud again. And
        # not from this run's state: where nothing was left to read, it still has the deleted position. All files are
        # committed now, so the index's end is exact.
        report("behind the deleted records; starting again with the strict reset policy")
        behind = StartRequest(run.request.baseline, skip_expired=True, from_index_end=True)
        savepoint, _ = _run_once(replace(run, request=behind), stop, report)
    return savepoint


def compiled_plan(settings: Settings, topic: TopicSettings, options: JobOptions) -> str:
    """The plan as `lineage job plan` shows it: compiled afresh, nothing stored or started."""
    prepare_jvm(options.java_home, options.log_dir)
    hide_secrets(settings.secrets())
    config = job_config(settings, topic, options)
    return compile_plan(build_environment(config, flink_options(config, "file:///not-started", None)), config.schema)


def _run_once(run: JobRun, stop: threading.Event, report: Report) -> tuple[str | None, bool]:
    """One execution; the savepoint, and whether this run was only to pass deleted records."""
    config = job_config(run.settings, run.topic, run.options)
    name = plan_hash(config.schema, island_ttl_ms(config), version("apache-flink"))
    start, deployment = prepare_start(run.settings, run.topic, run.broker, run.request, name)
    _tell(start, deployment, report)
    passing = start.restore_from is not None and bool(start.skipped)
    if passing:
        config = job_config(run.settings, run.topic, run.options, reset="earliest")
    root = flink_uri(run.topic.paths.checkpoints)
    restore_from = f"{root}/{start.restore_from}" if start.restore_from else None
    own = f"{root}/{writer_root(run.topic.name, deployment.writer)}"
    stores = TopicStores.of(run.settings, run.topic)
    with _mapped(run):
        environment = build_environment(config, flink_options(config, own, restore_from))
        plan = _stored_plan(stores, run.topic.name, name) or _store_plan(stores, environment, config, name)
        client = _execute(environment, plan_for(plan, deployment.writer, run.topic.name))
    report(f"job {client.get_job_id()} of deployment {deployment.writer} is running")
    if run.options.detached:
        return None, False
    until = (lambda: has_checkpoint(stores.checkpoints, run.topic.name, deployment.writer)) if passing else None
    savepoint = _watch(client, run, _StopWhen(stop, until, f"{own}/savepoints"))
    if savepoint is not None:
        note_stopped(stores.checkpoints, run.topic.name, deployment.writer, savepoint)
        report(f"stopped with savepoint {savepoint}")
    return savepoint, passing


@contextmanager
def _mapped(run: JobRun) -> Iterator[None]:
    """Whatever Flink raises while the job is built and submitted becomes a JobError without secrets."""
    try:
        yield
    except LineageError:
        raise
    except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
        raise JobError(failure_sentence(run.topic.name, str(error), run.settings.secrets())) from None


@dataclass(frozen=True)
class _StopWhen:
    """When to stop the job, by a person or by a condition, and where its savepoint goes."""

    asked: threading.Event
    until: Callable[[], bool] | None
    savepoints: str


def _watch(client: JobClient, run: JobRun, when: _StopWhen) -> str | None:
    """Wait for the end of the job, or until it is to be stopped with a savepoint, whose path is returned."""
    result = client.get_job_execution_result()
    secrets = run.settings.secrets()
    while not _ended(result, run.topic.name):
        if when.asked.wait(POLL_SECONDS) or (when.until is not None and when.until()):
            return _stop(client, result, when.savepoints, run)
    raise JobError(_reason(result, run.topic.name, secrets))


def _ended(result: Any, topic: str) -> bool:
    """Whether the job has ended. Raises JobError when there is no JVM any more that could tell."""
    try:
        return bool(result.done())
    except Exception:  # noqa: BLE001 - py4j raises what Java raised, and several errors of its own when Java is gone
        raise JobError(
            f"Flink's JVM of the job for {topic} has died without a word (killed, or out of memory): start the job"
            " again, it resumes from its last checkpoint"
        ) from None


def _stop(client: JobClient, result: Any, folder: str, run: JobRun) -> str:
    """Stop with a savepoint and wait until the job is FINISHED: only then are its files committed."""
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415 - pyflink is imported when a job runs

    try:
        # pyflink 2.3 still calls a method that Flink 2 has removed, hence the Java client.
        kinds = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType
        savepoint = str(client._j_job_client.stopWithSavepoint(False, folder, kinds.DEFAULT).get())  # noqa: SLF001
        result.result()
    except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
        why = failure_sentence(run.topic.name, str(error), run.settings.secrets())
        raise JobError(
            f"stopping with a savepoint failed, the next start resumes from the last checkpoint: {why}"
        ) from None
    return savepoint


def _reason(result: Any, topic: str, secrets: tuple[str, ...]) -> str:
    try:
        result.result()
    except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
        return failure_sentence(topic, str(error), secrets)
    return f"the job for {topic} ended by itself, which a streaming job never does: read its log and start it again"


def _execute(environment: TableEnvironment, plan: str) -> JobClient:
    with tempfile.TemporaryDirectory(prefix="lineage-plan-") as folder:
        path = Path(folder) / "plan.json"
        path.write_text(plan, encoding="utf-8")
        client = environment.execute_sql(f"EXECUTE PLAN '{path}'").get_job_client()
    if client is None:
        raise JobError(
            "Flink accepted the plan but gave no job to watch: is execution.target set to something unusual?"
        )
    return client


def _stored_plan(stores: TopicStores, topic: str, name: str) -> str | None:
    if not stores.checkpoints.exists():
        return None
    key = f"{topic}/plans/{name}.json"
    if key not in {info.key for info in stores.checkpoints.list(f"{topic}/plans")}:
        return None
    return stores.checkpoints.get(key).decode()


def _store_plan(stores: TopicStores, environment: TableEnvironment, config: JobConfig, name: str) -> str:
    plan = compile_plan(environment, config.schema)
    stores.checkpoints.put(f"{config.topic}/plans/{name}.json", plan.encode())
    return plan


def _tell(start: Start, deployment: Deployment, report: Report) -> None:
    for partition, gap in sorted(start.skipped.items()):
        report(f"partition {partition}: offsets {gap} were deleted before they were read; they stay missing (expired)")
    if start.restore_from is not None:
        report(f"restoring {start.restore_from}")
    elif start.offsets is not None:
        report(f"{deployment.reason} start of {len(start.offsets)} partitions from the group's offsets")
