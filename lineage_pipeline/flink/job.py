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
from typing import TYPE_CHECKING, Protocol

from lineage_pipeline.books.broker_book import BrokerBook
from lineage_pipeline.books.checkpoints import has_checkpoint, note_stopped, writer_root
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.job_start import Start, StartRequest
from lineage_pipeline.errors import JobError, LineageError, StartRefusedError
from lineage_pipeline.flink.cluster import Cluster, ClusterJob, job_name
from lineage_pipeline.flink.environment import (
    JobConfig,
    build_environment,
    flink_options,
    island_ttl_ms,
    prepare_jvm,
)
from lineage_pipeline.flink.failures import failure_sentence
from lineage_pipeline.flink.job_config import JobOptions, flink_uri, job_config
from lineage_pipeline.flink.mini_cluster import MiniClusterJob
from lineage_pipeline.flink.plan import compile_plan, plan_for, plan_hash
from lineage_pipeline.flink.registry_check import check_registry
from lineage_pipeline.flink.start import TopicStores, prepare_start
from lineage_pipeline.flink.worker_environment import hide_secrets
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

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
    _prepare_jvm(run.options)
    hide_secrets(run.settings.secrets())
    savepoint, passing = _adopted(run, stop, report) or _run_once(run, stop, report)
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
    _prepare_jvm(options)
    hide_secrets(settings.secrets())
    config = job_config(settings, topic, options)
    return compile_plan(build_environment(config, flink_options(config, "file:///not-started", None)), config.schema)


def _prepare_jvm(options: JobOptions) -> None:
    prepare_jvm(options.java_home, options.log_dir, options.jars if options.cluster_url is None else ())


def _run_once(run: JobRun, stop: threading.Event, report: Report) -> tuple[str | None, bool]:
    """One execution; the savepoint, and whether this run was only to pass deleted records."""
    config = job_config(run.settings, run.topic, run.options)
    if config.registry is not None:
        check_registry(config.registry, report, on_workers_only=config.cluster_url is not None)
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
    named = replace(config, name=job_name(run.topic.name, deployment.writer, passing=passing))
    with _mapped(run):
        environment = build_environment(config, flink_options(named, own, restore_from))
        plan = _stored_plan(stores, run.topic.name, name) or _store_plan(stores, environment, config, name)
        client = _execute(environment, plan_for(plan, deployment.writer, run.topic.name))
    report(f"job {client.get_job_id()} of deployment {deployment.writer} is running")
    if run.options.detached:
        return None, False
    secrets = run.settings.secrets()
    job: RunningJob = MiniClusterJob(client, run.topic.name, secrets)
    if run.options.cluster_url is not None:
        job = ClusterJob(Cluster(run.options.cluster_url), str(client.get_job_id()), run.topic.name, secrets)
    return _watched(run, job, deployment.writer, stop, report, passing=passing), passing


def _adopted(run: JobRun, stop: threading.Event, report: Report) -> tuple[str | None, bool] | None:
    """What came of the topic's job that an earlier command left on the cluster; None when there is none."""
    if run.options.cluster_url is None:
        return None
    cluster = Cluster(run.options.cluster_url)
    found = cluster.find(run.topic.name)
    if found is None:
        return None
    if run.request.skip_expired or run.request.from_index_end:
        raise StartRefusedError(
            f"job {found.job_id} of {run.topic.name} still runs at {cluster.url}: start without --skip-expired and"
            " --from-index-end to watch it, and stop it first"
        )
    report(f"job {found.job_id} of deployment {found.writer} runs at {cluster.url} already: watching it")
    if run.options.detached:
        return None, False
    job = ClusterJob(cluster, found.job_id, run.topic.name, run.settings.secrets())
    return _watched(run, job, found.writer, stop, report, passing=found.passing), found.passing


class RunningJob(Protocol):
    """A job that runs somewhere."""

    def check(self) -> None:
        """Return while it runs; raise JobError with the reason once it does not."""

    def stop(self, folder: str) -> str:
        """Stop it with a savepoint below `folder`, wait for its files, and return the savepoint's path."""


def _watched(run: JobRun, job: RunningJob, writer: str, stop: threading.Event, report: Report, *, passing: bool) -> str:
    """Wait until the job is to be stopped, and stop it. Returns the savepoint; raises JobError when the job ends.

    A `passing` job stops by itself once it has a checkpoint.
    """
    checkpoints = TopicStores.of(run.settings, run.topic).checkpoints
    topic = run.topic.name
    job.check()
    while not (stop.wait(POLL_SECONDS) or (passing and has_checkpoint(checkpoints, topic, writer))):
        job.check()
    savepoint = job.stop(f"{flink_uri(run.topic.paths.checkpoints)}/{writer_root(topic, writer)}/savepoints")
    note_stopped(checkpoints, topic, writer, savepoint)
    report(f"stopped with savepoint {savepoint}")
    return savepoint


@contextmanager
def _mapped(run: JobRun) -> Iterator[None]:
    """Whatever Flink raises while the job is built and submitted becomes a JobError without secrets."""
    try:
        yield
    except LineageError:
        raise
    except Exception as error:  # noqa: BLE001 - py4j raises what Java raised
        raise JobError(failure_sentence(run.topic.name, str(error), run.settings.secrets())) from None


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
