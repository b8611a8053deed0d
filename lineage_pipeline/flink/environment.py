"""The table environment of the job: Flink's configuration, the decode function, and the JVM it all runs in."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZipFile

import lineage_pipeline
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.errors import SettingsError
from lineage_pipeline.flink.file_systems import load_s3
from lineage_pipeline.flink.tables import DECODE_FUNCTION, JobTables, create_tables, create_views
from lineage_pipeline.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from pyflink.table import TableEnvironment

_HADOOP_CONF = Path("/etc/hadoop/conf")
MAX_PARALLELISM = 128  # fixed for the life of the state: the job rescales up to it
# A partition idle for longer than this only starts a new run. The islands expire at half of it, see offset_index.sql.
DEFAULT_STATE_TTL_SECONDS = 86_400.0


@dataclass(frozen=True)
class JobConfig:
    """Everything the job is built from. Times in seconds; `tables` may hold secrets and is not shown."""

    topic: str
    schema: RecordSchema
    tables: JobTables = field(repr=False)
    checkpoint_interval: float
    registry: RegistrySettings | None = None  # of the format avro-confluent, of values or keys
    parallelism: int = 1
    state_ttl: float = DEFAULT_STATE_TTL_SECONDS
    jars: tuple[Path, ...] = ()  # empty on a cluster whose lib/ holds them
    rest_port: int | None = None  # of the local mini cluster's REST and UI
    cluster_url: str | None = None  # of a running session cluster to submit to
    name: str = ""  # under which Flink shows the job
    s3_jars: tuple[Path, ...] = ()  # of the S3 plugin for this process; empty where nothing is on S3
    s3_options: Mapping[str, str] = field(default_factory=dict, repr=False)  # for this process; they hold secrets


def flink_options(config: JobConfig, checkpoints: str, restore_from: str | None) -> dict[str, str]:
    """Flink's configuration for one start. `checkpoints`: URI of the deployment's own directory."""
    options = {
        "execution.runtime-mode": "STREAMING",
        "parallelism.default": str(config.parallelism),
        "pipeline.max-parallelism": str(MAX_PARALLELISM),
        "pipeline.name": config.name or config.topic,
        "execution.checkpointing.interval": f"{round(config.checkpoint_interval * 1000)} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": f"{round(_checkpoint_timeout(config))} s",
        "execution.checkpointing.unaligned.enabled": "false",  # the index's flush point must equal the data's cut
        "execution.checkpointing.dir": f"{checkpoints}/checkpoints",
        "execution.checkpointing.savepoint-dir": f"{checkpoints}/savepoints",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        # Bounded: a job that cannot run must fail where a person sees it, not restart for ever.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": "5",
        # Operators pass rows on uncopied: none of this plan keeps one, and it saves a quarter of the time (measured).
        "pipeline.object-reuse": "true",
        "table.local-time-zone": "UTC",
        "table.exec.mini-batch.enabled": "true",
        # Bundles are flushed by the checkpoint barrier, never by this clock.
        "table.exec.mini-batch.allow-latency": f"{round(max(3600.0, 100 * config.checkpoint_interval))} s",
        "table.exec.mini-batch.size": "1000000",
        "table.exec.state.ttl": f"{round(config.state_ttl * 1000)} ms",
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",  # decode once, not once per sink
        "table.plan.compile.catalog-objects": "SCHEMA",  # no option, hence no secret, in the plan
        "python.fn-execution.bundle.size": "100000",
        "python.fn-execution.arrow.batch.size": "10000",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }
    if jars := _brought_along(config):
        options["pipeline.jars"] = ";".join(jar.resolve().as_uri() for jar in jars)
    if config.rest_port is not None:
        options |= {"rest.port": str(config.rest_port), "rest.bind-address": "127.0.0.1", "rest.address": "127.0.0.1"}
    if config.cluster_url is not None:
        options |= _cluster_options(config.cluster_url)
    if restore_from is not None:
        options["execution.state-recovery.path"] = restore_from
    return options


def _brought_along(config: JobConfig) -> list[Path]:
    """The jars that Flink has to carry to the tasks; those of a mini cluster are on its class path already."""
    if config.cluster_url is not None:
        return [*config.jars, *_python_jars()]
    return [jar for jar in config.jars if not _fits_class_path(jar)]


def _fits_class_path(jar: Path) -> bool:
    return os.pathsep not in str(jar.resolve())


def _checkpoint_timeout(config: JobConfig) -> float:
    """Flink's own ten minutes, and the time a record may wait for the schema registry: waiting must fail nothing."""
    return 600 + (config.registry.max_wait if config.registry is not None else 0)


def _cluster_options(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"FLINK_REST_URL {url!r} is no address of a cluster: write http://host:8081")
    return {
        "execution.target": "remote",
        "rest.address": parts.hostname,
        "rest.port": str(parts.port or (443 if parts.scheme == "https" else 8081)),
        "security.ssl.rest.enabled": str(parts.scheme == "https").lower(),
        # The workers unpickle the decode function, so they need this package, of this very version.
        "python.files": str(_own_package()),
    }


@cache
def _own_package() -> Path:
    """This package as a zip that can be imported from; it is there until the process ends."""
    folder = TemporaryDirectory(prefix="lineage-package-")
    atexit.register(folder.cleanup)
    package = Path(lineage_pipeline.__file__).parent
    path = Path(folder.name) / f"{package.name}.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(package.parent))
    return path


def _python_jars() -> list[Path]:
    """The operators that run Python: a cluster has them in opt/, not in lib/."""
    import pyflink  # noqa: PLC0415 - imported when a job is built

    return sorted((Path(pyflink.__file__).parent / "opt").glob("flink-python-*.jar"))


def prepare_jvm(java_home: Path | None, log_dir: Path | None, jars: Sequence[Path] = ()) -> None:
    """Set what pyflink reads from the process environment when it starts its JVM. Before the first pyflink import.

    `jars` of a mini cluster go to its class path. As `pipeline.jars` they would be copied for each job, up to 230 MB
    below /tmp, and loaded by a loader of their own: a start costs a fifth more processor time then (measured).
    """
    if java_home is not None:
        os.environ["JAVA_HOME"] = str(java_home)
    if log_dir is not None:
        log_dir.mkdir(parents=True, exist_ok=True)
        os.environ["FLINK_LOG_DIR"] = str(log_dir.resolve())
    # The one variable of pyflink's launcher that adds jars.
    ours = [str(jar.resolve()) for jar in jars if _fits_class_path(jar)]
    theirs = [one for one in os.environ.get("HADOOP_CLASSPATH", "").split(os.pathsep) if one and one not in ours]
    if ours:
        if "HADOOP_CLASSPATH" not in os.environ and _HADOOP_CONF.is_dir():
            os.environ.setdefault("HADOOP_CONF_DIR", str(_HADOOP_CONF))  # as the launcher does where neither is set
        os.environ["HADOOP_CLASSPATH"] = os.pathsep.join([*ours, *theirs])
    os.environ.setdefault("LOG4J_PROPERTIES", str(Path(__file__).with_name("log4j.properties")))


def build_environment(config: JobConfig, options: Mapping[str, str]) -> TableEnvironment:
    """A table environment with the job's tables, views and decode function. Starts the JVM; no job runs yet."""
    from pyflink.common import Configuration  # noqa: PLC0415 - starts slowly, and only here it is needed
    from pyflink.table import EnvironmentSettings, TableEnvironment  # noqa: PLC0415

    if config.cluster_url is not None:
        # Left to itself, PyFlink would have the cluster's records decoded in this process.
        os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - PyFlink's name
    if config.s3_jars:
        load_s3(config.s3_jars, config.s3_options)
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    environment: TableEnvironment = TableEnvironment.create(settings)
    if config.schema.is_decoded:
        environment.create_temporary_system_function(DECODE_FUNCTION, _decode_function(config))
    for statement in [
        *create_tables(config.tables, config.schema),
        *create_views(config.schema, island_ttl_ms(config)),
    ]:
        environment.execute_sql(statement)
    return environment


def island_ttl_ms(config: JobConfig) -> int:
    """How long an idle island is remembered: half of the general state's time, see offset_index.sql."""
    return round(config.state_ttl * 1000) // 2


def _decode_function(config: JobConfig) -> Any:
    """The vectorised UDF; the worker rebuilds the decoder. It holds references to the registry's secrets only."""
    from pyflink.table.udf import udf  # noqa: PLC0415 - imports pyflink, as does the next

    from lineage_pipeline.flink.decode_function import BatchDecode  # noqa: PLC0415

    schema = config.schema
    decode = BatchDecode(schema.format, schema.text, config.registry, schema.key)
    return udf(decode, result_type=schema.transport_type, func_type="pandas")
