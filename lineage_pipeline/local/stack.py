"""The embedded stack: broker, topic, Flink job, Dagster, and S3 if asked for, over one state directory.

A later start resumes what the directory holds.

`.lineage/lineage.yaml` always describes the stack that ran last, so that `lineage sql`, `audit` and the rest find it
without any setting.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, final

import yaml
from rich.console import Console

from lineage_pipeline.errors import SetupError
from lineage_pipeline.flink.file_systems import s3_options
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.flink_cluster import FlinkCluster
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import Java, check_python, find_java
from lineage_pipeline.local.job_process import RUN_JOB, JobProcess
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from lineage_pipeline.local.state_lock import StateLock
from lineage_pipeline.local.topics import create_topic, partition_count
from lineage_pipeline.settings import Settings, load_settings
from lineage_pipeline.settings_file import EMBEDDED_CONFIG

STATE_DIRECTORY = EMBEDDED_CONFIG.parent
TOPIC = "lineage-input"
PARTITIONS = 10
CHECKPOINT_INTERVAL = 3.0  # seconds: short, so that one sees something happen


@final
class EmbeddedStack:
    """Broker, job and Dagster below `directory`. A context manager: on exit the job stops with a savepoint.

    `environ` is a process environment; of its settings CHECKPOINT_INTERVAL alone counts. `report` is told in one
    sentence what happens. The topic is made with ten partitions when it is not there.
    `fresh` removes first what an earlier run left in `directory`. With `s3` the lake is on an embedded S3 server
    instead of in a directory, with `cluster_slots` the job on a Flink cluster with so many slots instead of in the
    process of its command.
    """

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        report: Callable[[str], None],
        *,
        fresh: bool = False,
        s3: bool = False,
        cluster_slots: int = 0,
    ) -> None:
        self.directory = directory.absolute()
        self.topic = TOPIC
        self._environ = environ
        self.checkpoint_interval = _checkpoint_interval(environ)
        self._report = report
        self._fresh = fresh
        self._on_s3 = s3
        self._cluster_slots = cluster_slots
        self._cluster: FlinkCluster | None = None
        self._arguments: tuple[str, ...] = ()
        self._lock = StateLock(self.directory)
        self._broker: KafkaBroker | None = None
        self._s3: S3Server | None = None
        self._job: JobProcess | None = None
        self._dagster: DagsterProcess | None = None

    @property
    def config(self) -> Path:
        """The stack's own lineage.yaml."""
        return self.directory / "lineage.yaml"

    @property
    def broker(self) -> KafkaBroker:
        """The running broker."""
        assert self._broker is not None, "the stack is not started"
        return self._broker

    @property
    def job(self) -> JobProcess:
        """The job's process, started or not."""
        assert self._job is not None, "the stack is not started"
        return self._job

    @property
    def cluster(self) -> FlinkCluster | None:
        """The Flink cluster, where the job runs on one."""
        return self._cluster

    @property
    def s3(self) -> S3Server | None:
        """The S3 server, where the lake is on one."""
        return self._s3

    @property
    def dagster(self) -> DagsterProcess:
        """Dagster's process, started or not."""
        assert self._dagster is not None, "the stack is not started"
        return self._dagster

    @property
    def settings(self) -> Settings:
        """Settings of this stack, free of the user's environment."""
        return load_settings(self._aws, self.config)

    def __enter__(self) -> EmbeddedStack:
        """Start the broker and make the topic; the job is started by `start_job`."""
        check_python()
        self._lock.acquire()
        try:
            if self._fresh:
                self._remove_leftovers()
            java = find_java(self._environ)
            console = Console(stderr=True)
            cache = cache_folder(self._environ)
            jars = fetch_jars("kafka", cache=cache, progress=console)
            fetch_jars("flink", cache=cache, progress=console)  # now, so that the job's start need not wait for it
            self._broker = KafkaBroker(self.directory / "broker", java, jars)
            self._broker.start(hold=(self._lock.fileno(),), notice=self._report)
            self._report(f"Kafka broker at {self._broker.bootstrap_servers}")
            # an existing topic is taken as it is: partitions may have been added
            if partition_count(self._broker.bootstrap_servers, self.topic) is None:
                create_topic(self._broker.bootstrap_servers, self.topic, PARTITIONS)
            if self._on_s3:
                self._start_s3(java)
            self._write_config()
            log, (flink, web) = self.directory / "log", free_ports(2)
            if self._cluster_slots:
                self._start_cluster(java)
            url = self._cluster.url if self._cluster else None
            self._job = JobProcess(self.config, log, flink, self._environ, self._aws, url)
            self._dagster = DagsterProcess(self.config, self.directory / "dagster", log, web, self._environ, self._aws)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._job is not None and kind is None:
                self._job.stop()
        finally:
            self._close()

    def start_job(self, *arguments: str, entry: Sequence[str] = RUN_JOB) -> None:
        """Start the job with further arguments of `lineage job run`. Raises JobError when it does not come up."""
        self._report("starting the Flink job")
        self._arguments = arguments
        self.job.start(arguments, hold=(self._lock.fileno(),), entry=entry)
        self._report(f"Flink UI at {self.job.ui_url}")

    def revive_cluster(self) -> None:
        """Start again what has died of the Flink cluster, and the job when its command has ended with it.

        Raises JobError when the job does not come up again, and ProcessError when the cluster does not.
        """
        assert self._cluster is not None
        for role in self._cluster.revive():
            self._report(f"the {role} had died and is started again")
        if self.job.process is not None and self.job.process.poll() is not None:
            self._report(f"the job's command ended: {self.job.last_words()}")
            self._cluster.start()
            self.start_job(*self._arguments)

    def start_dagster(self) -> None:
        """Start Dagster over the stack's topic. Raises ProcessError when it does not come up."""
        self.dagster.start(hold=(self._lock.fileno(),))
        self._report(
            f"Dagster UI at {self.dagster.url}; all topics at a glance: {self.dagster.url}/assets/audit/summary"
        )

    @property
    def _aws(self) -> dict[str, str]:
        return self._s3.environ if self._s3 is not None else {}

    def _start_s3(self, java: Java) -> None:
        cache, console = cache_folder(self._environ), Console(stderr=True)
        jars = fetch_jars("s3proxy", cache=cache, progress=console)
        fetch_jars("flink-s3", cache=cache, progress=console)
        self._s3 = S3Server(self.directory / "s3", java, jars)
        self._s3.start(hold=(self._lock.fileno(),), notice=self._report)
        self._report(f"S3 server at {self._s3.endpoint}; other terminals: . {self._s3.environ_path}")

    def _start_cluster(self, java: Java) -> None:
        jars, options = [], {}
        if self._on_s3:
            jars = fetch_jars("flink-s3", cache=cache_folder(self._environ))
            options = s3_options(self.settings)
        self._cluster = FlinkCluster(self.directory / "cluster", java, self._cluster_slots, jars, options)
        self._cluster.start(hold=(self._lock.fileno(),))
        self._report(f"Flink cluster at {self._cluster.url}")

    def _remove_leftovers(self) -> None:
        """Empty the directory, but for the lock that we hold."""
        try:
            for path in self.directory.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
        except OSError as error:
            raise SetupError(f"{self.directory} cannot be emptied ({error.strerror}): remove it by hand") from None

    def _close(self) -> None:
        if self._dagster is not None:
            self._dagster.stop()
        if self._job is not None:
            self._job.kill()
        if self._cluster is not None:
            self._cluster.stop()
        if self._broker is not None:
            self._broker.stop()
        if self._s3 is not None:
            self._s3.stop()
        self._lock.release()

    def _write_config(self) -> None:
        content: dict[str, Any] = {
            "kafka": {"bootstrap_servers": self.broker.bootstrap_servers},
            "lake": f"s3://{BUCKET}" if self._on_s3 else str(self.directory / "lake"),
            "checkpoint_interval": self.checkpoint_interval,
            "topics": [{"name": self.topic, "format": "avro"}],
        }
        text = "# Written at each start of the embedded stack; changes here are lost.\n" + yaml.safe_dump(content)
        for path in (self.config, self.directory.parent / "lineage.yaml"):
            if path == self.config or self.directory.parent.name == STATE_DIRECTORY.name:
                path.write_text(text, encoding="utf-8")


def _checkpoint_interval(environ: Mapping[str, str]) -> float:
    """Seconds. Raises SettingsError for a CHECKPOINT_INTERVAL that is none."""
    told = environ.get("CHECKPOINT_INTERVAL", "")
    return load_settings({"CHECKPOINT_INTERVAL": told}).checkpoint_interval if told else CHECKPOINT_INTERVAL
