"""Settings as typed values: from `lineage.yaml` and an environment that the entry point passes in; environment first.

Nothing here reads `os.environ` or the clock. Precedence, highest first: environment, the file named by `--config` or
LINEAGE_CONFIG, `lineage.yaml` in the current directory, `.lineage/lineage.yaml` (of the embedded stack, unless the
environment names a cluster, a topic or a place), defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
)

from lineage_pipeline.alert_settings import AlertSettings
from lineage_pipeline.errors import SettingsError
from lineage_pipeline.lake_settings import TEN_YEARS
from lineage_pipeline.registry_settings import RegistrySettings
from lineage_pipeline.secret_reference import is_secret, resolved_properties
from lineage_pipeline.settings_file import config_path, read_yaml
from lineage_pipeline.settings_problem import first_problem, nearest
from lineage_pipeline.topic_settings import Number, SettingsModel, Text, TopicSettings

DEFAULT_LAKE = "s3://flink-data"
_NOT_IN_FILES = {"aws", "selected", "references", "registry_secrets"}  # they come from the environment alone
_ABSENT: Final = object()

# environment variable -> (where it goes, key); the topic's own values apply to the selected topic
_ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
    "SCHEMA_REGISTRY_URL": ("schema_registry", "url"),
    "RATE_PER_SEC": ("", "rate_per_sec"),
    "CHECKPOINT_INTERVAL": ("", "checkpoint_interval"),
    "FLINK_REST_URL": ("", "flink_rest_url"),
    "OUTPUT_PATH": ("paths", "output"),
    "OFFSET_INDEX_PATH": ("paths", "offset_index"),
    "QUARANTINE_PATH": ("paths", "quarantine"),
    "AUDIT_PATH": ("paths", "audit"),
    "CHECKPOINT_PATH": ("paths", "checkpoints"),
}


class KafkaSettings(SettingsModel):
    """How to reach the cluster. `properties` are librdkafka's names; secrets are resolved and masked."""

    bootstrap_servers: Text = "localhost:9092"
    properties: dict[str, SecretStr] = Field(default_factory=dict)
    references: frozenset[str] = frozenset()  # names of the properties that were given by reference


class Settings(SettingsModel):
    """Everything an entry point needs, resolved. `checkpoint_interval` in seconds, `rate_per_sec` in records/s."""

    kafka: KafkaSettings = KafkaSettings()
    schema_registry: RegistrySettings | None = None
    topics: tuple[TopicSettings, ...]
    selected: str | None = None  # by KAFKA_TOPIC: the topic of commands that take one
    rate_per_sec: Annotated[float, Number, Field(gt=0, allow_inf_nan=False)] = 10.0
    checkpoint_interval: Annotated[float, Number, Field(ge=0.1, le=TEN_YEARS, allow_inf_nan=False)] = 60.0
    flink_rest_url: str | None = None
    aws: dict[str, SecretStr] = Field(default_factory=dict)
    registry_secrets: tuple[SecretStr, ...] = ()  # those of schema_registry that this machine has
    alerts: AlertSettings = AlertSettings()

    def topic(self, name: str | None = None) -> TopicSettings:
        """The topic of that name, the selected one, or the only one.

        Raises SettingsError when it is not there, or when one of several must be named.
        """
        name = self.selected if name is None else name
        if name is None:
            if len(self.topics) == 1:
                return self.topics[0]
            known = ", ".join(topic.name for topic in self.topics)
            raise SettingsError(f"several topics are configured ({known}): choose one with --topic or KAFKA_TOPIC")
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise SettingsError(f"topic {name!r} is not configured{nearest(name, [topic.name for topic in self.topics])}")

    def registry_for(self, topic: TopicSettings) -> RegistrySettings:
        """The schema registry. Raises SettingsError when there is none, naming the topic that needs it."""
        if self.schema_registry is None:
            raise SettingsError(
                f"topic {topic.name} has format avro-confluent, but there is no schema registry in the settings: set"
                " `schema_registry: {url: ...}` in lineage.yaml or SCHEMA_REGISTRY_URL"
            )
        return self.schema_registry

    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown: to be cut out of what other software says."""
        named = {**self.kafka.properties, **self.aws}
        found = [value for name, value in named.items() if name in self.kafka.references or is_secret(name)]
        return tuple(value.get_secret_value() for value in (*found, *self.registry_secrets))

    def settle_seconds(self, topic: TopicSettings) -> float:
        """How old an observation must be before it counts; three checkpoint intervals unless set."""
        return float(topic.settle) if topic.settle is not None else 3 * self.checkpoint_interval


def load_settings(environ: Mapping[str, str], config: Path | None = None, cwd: Path = Path()) -> Settings:
    """Settings from `environ` and the settings file, if there is one.

    Raises SettingsError for a file that is not there, is no YAML mapping, holds an unknown key (the message names the
    nearest known one), a secret written out, or a value that does not fit.
    """
    # an environment that names a cluster, a topic or a place means another pipeline than the embedded one
    elsewhere = [name for name, (section, _) in _ENVIRONMENT.items() if section and environ.get(name)]
    path = config_path(environ, config, cwd, embedded=not elsewhere and not environ.get("KAFKA_TOPIC"))
    raw = read_yaml(path) if path else {}
    base = path.parent if path else cwd
    for key in _NOT_IN_FILES & set(raw):
        known = [name for name in Settings.model_fields if name not in _NOT_IN_FILES]
        raise SettingsError(f"{path}: unknown key `{key}`{nearest(key, known)}")
    lake = raw.pop("lake", DEFAULT_LAKE)
    if not isinstance(lake, str) or not lake.strip():
        raise SettingsError(f"{path}: `lake` must be s3://bucket, file:///dir or a plain directory, not {lake!r}")
    selected = environ.get("KAFKA_TOPIC") or None
    topics = raw.pop("topics", _ABSENT)
    if topics is _ABSENT:
        topics = [{"name": selected or "lineage-input"}]
    elif not isinstance(topics, list) or not topics or not all(isinstance(topic, dict) for topic in topics):
        raise SettingsError(
            f"{path}: `topics` must be a list of mappings with at least a `name`; without any topic leave it out"
        )
    elif selected is not None and selected not in [topic.get("name") for topic in topics]:
        raise SettingsError(
            f"KAFKA_TOPIC={selected} is not among the topics of {path}: add it there or unset KAFKA_TOPIC"
        )
    names = [topic.get("name") for topic in topics]
    if any(names.count(name) > 1 for name in names):
        raise SettingsError(f"{path}: a topic is described twice among {', '.join(map(str, names))}: keep one of them")
    values = {**raw, "kafka": _kafka(raw.get("kafka"), environ)}
    path_overrides = _take_environment(values, environ)
    if path_overrides and len(topics) > 1 and selected is None:
        raise SettingsError("OUTPUT_PATH and its kin name one topic's paths: choose the topic with KAFKA_TOPIC")
    values["topics"] = [
        _topic(topic, lake, path_overrides if topic.get("name") == selected or len(topics) == 1 else {}, base)
        for topic in topics
    ]
    values["selected"] = selected
    values["aws"] = {name: value for name, value in environ.items() if name.startswith("AWS_") and value}
    return _validated(values, str(path or "environment"), environ)


def _take_environment(values: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put the environment's values into `values`; returns the paths, which are one topic's."""
    paths: dict[str, str] = {}
    registry: dict[str, str] = {}
    targets = {"paths": paths, "kafka": values["kafka"], "schema_registry": registry, "": values}
    for variable, (section, key) in _ENVIRONMENT.items():
        if environ.get(variable):
            targets[section][key] = environ[variable]
    given = values.get("schema_registry") or {}
    if registry and isinstance(given, dict):
        values["schema_registry"] = {**given, **registry}
    return paths


def _validated(values: dict[str, Any], source: str, environ: Mapping[str, str]) -> Settings:
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        where, text = first_problem(error, Settings, hidden=_NOT_IN_FILES, beside=["lake"])
        variable = _variable_of(where, environ)
        said = text.replace(f"`{where}`", variable, 1) if variable else f"{source}: {text}"
        raise SettingsError(said) from None
    if settings.schema_registry is None:
        return settings
    return settings.model_copy(update={"registry_secrets": settings.schema_registry.secrets(environ)})


def _variable_of(where: str, environ: Mapping[str, str]) -> str | None:
    """The environment variable that the setting at `where` came from."""
    if where == "topics.0.name" and environ.get("KAFKA_TOPIC"):
        return "KAFKA_TOPIC"
    for variable, (section, key) in _ENVIRONMENT.items():
        if environ.get(variable) and where == (f"{section}.{key}" if section else key):
            return variable
    return None


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without all that `load_settings` reads of it, for a process whose settings are in a file alone.

    Variables that a file refers to (`{env: NAME}`) stay.
    """
    ours = {*_ENVIRONMENT, "KAFKA_TOPIC", "LINEAGE_CONFIG"}
    return {name: value for name, value in environ.items() if name not in ours and not name.startswith("AWS_")}


def _topic(raw: dict[str, Any], lake: str, overrides: dict[str, str], base: Path) -> dict[str, Any]:
    defaults = {
        "output": "output",
        "offset_index": "offset-index",
        "quarantine": "quarantine",
        "audit": "audit",
        "checkpoints": "checkpoints",
    }
    given = {} if raw.get("paths") is None else raw["paths"]
    if not isinstance(given, dict):
        raise SettingsError(
            f"topic {raw.get('name')!r}: `paths` must be a mapping, such as {{offset_index: s3://other/place}}"
        )
    paths = {**{key: f"{lake.rstrip('/')}/{folder}" for key, folder in defaults.items()}, **given, **overrides}
    files = {key: (base / str(raw[key])).resolve() for key in ("schema", "key_schema") if raw.get(key)}
    return {**raw, **files, "paths": paths}


def _kafka(raw: Any, environ: Mapping[str, str]) -> dict[str, Any]:
    raw = {} if raw is None else raw
    if not isinstance(raw, dict) or "references" in raw:
        raise SettingsError("`kafka` must be a mapping such as {bootstrap_servers: broker:9092}")
    properties = {} if raw.get("properties") is None else raw["properties"]
    resolved = resolved_properties(properties, environ)
    references = frozenset(key for key, value in properties.items() if isinstance(value, dict))
    return {**raw, "properties": resolved, "references": references}
