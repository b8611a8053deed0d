"""From settings to the job's configuration: paths as Flink sees them, schema, source options, file systems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.flink.environment import DEFAULT_STATE_TTL_SECONDS, JobConfig
from lineage_pipeline.flink.file_systems import s3_options
from lineage_pipeline.flink.kafka_options import key_options, source_options
from lineage_pipeline.flink.tables import JobTables
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings


@dataclass(frozen=True)
class JobOptions:
    """What the command line adds to the settings for one run of the job. Times in seconds."""

    parallelism: int = 1
    rest_port: int | None = None
    state_ttl: float = DEFAULT_STATE_TTL_SECONDS
    jars: tuple[Path, ...] = ()
    s3_jars: tuple[Path, ...] = ()  # of the S3 plugin; needed where a path of the topic is on S3
    java_home: Path | None = None
    log_dir: Path | None = None
    cluster_url: str | None = None  # REST address of a running cluster; a mini cluster in this process otherwise
    detached: bool = False  # submit and return; the cluster keeps the job


def job_config(
    settings: Settings, topic: TopicSettings, options: JobOptions, reset: Literal["none", "earliest"] = "none"
) -> JobConfig:
    """The job's configuration. Raises SettingsError or SchemaError for what cannot become a job."""
    properties = {key: value.get_secret_value() for key, value in settings.kafka.properties.items()}
    schema = topic_schema(topic)
    source = source_options(
        topic.name, topic.group, settings.kafka.bootstrap_servers, properties, topic.isolation, reset
    )
    tables = JobTables(
        source_options={**source, **key_options(schema)},
        output=flink_uri(topic.paths.output),
        quarantine=flink_uri(topic.paths.quarantine),
        offset_index=flink_uri(topic.paths.offset_index),
    )
    return JobConfig(
        topic=topic.name,
        schema=schema,
        tables=tables,
        checkpoint_interval=settings.checkpoint_interval,
        registry=settings.registry_for(topic) if topic.needs_registry else None,
        parallelism=options.parallelism,
        state_ttl=options.state_ttl,
        jars=options.jars,
        rest_port=options.rest_port,
        cluster_url=options.cluster_url,
        s3_jars=options.s3_jars,
        s3_options=s3_options(settings) if options.s3_jars else {},
    )


def flink_uri(path: str) -> str:
    """The path as Flink's file systems take it: a URI; a plain directory is made absolute."""
    return path.rstrip("/") if "://" in path else f"file://{Path(path).expanduser().resolve().as_posix()}"
