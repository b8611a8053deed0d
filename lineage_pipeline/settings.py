"""Settings as typed values: from `lineage.yaml` and an environment that the entry point passes in; environment first.

Nothing here reads `os.environ` or the clock. Precedence, highest first: environment, the file named by `--config` or
LINEAGE_CONFIG, `lineage.yaml` in the current directory, `.lineage/lineage.yaml` (of the embedded stack, unless the
environment names a cluster, a topic or a place), defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.lake_settings import TEN_YEARS, LakeFiles
from lineage_pipeline.record_settings import RecordSettings
from lineage_pipeline.registry_settings import RegistrySettings
from lineage_pipeline.secret_reference import is_secret, resolved_properties
from lineage_pipeline.settings_file import config_path, read_yaml
from lineage_pipeline.settings_problem import first_problem, nearest

DEFAULT_LAKE = "s3://flink-data"
_NOT_IN_FILES = {"aws", "selected", "references", "registry_secrets"}  # they come from the environment alone
_ABSENT: Final = object()
_MAX_PARTITION, _MAX_OFFSET = 2**31 - 1, 2**63 - 2  # what Kafka can have

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
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


def _legal_topic(name: str) -> str:
    if not _TOPIC.fullmatch(name) or name in {".", ".."}:
        raise ValueError(f"{name!r} is not a Kafka topic name: 1 to 249 of letters, digits, dot, underscore and dash")
    return name


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError(f"{text!r} is blank: give a value, or leave the setting out")
    return text


def _owner(name: str) -> str:
    if not re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s.]{2,}", name):
        raise ValueError(f"{name!r} is no owner: write an e-mail address, or team:NAME")
    return name


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):  # pydantic takes `yes` for 1
        raise ValueError(f"{str(value).lower()} is no number")  # noqa: TRY004 - what pydantic takes for a refusal
    return value


TopicName = Annotated[str, AfterValidator(_legal_topic)]
Text = Annotated[str, AfterValidator(_not_blank)]
Number = BeforeValidator(_no_truth_value)
Seconds = Annotated[int, Number, Field(ge=1, le=TEN_YEARS)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(_Model):
    """Where one topic's tables are: `s3://bucket/prefix`, `file:///dir` or a plain directory."""

    output: Text
    offset_index: Text
    quarantine: Text
    audit: Text
    checkpoints: Text

    @field_validator("*")
    @classmethod
    def _from_home(cls, path: str) -> str:
        """`~` is the home folder, as in a shell: for the job and for all that read what it wrote."""
        try:
            return str(Path(path).expanduser()) if path.startswith("~") else path
        except RuntimeError:
            raise ValueError(f"{path!r} names a user whose home folder is not known: write the path out") from None


class Retention(_Model):
    """Rules by which objects leave the lake on purpose."""

    data_days: Annotated[int, Number, Field(ge=1, le=36_500)] | None = None


class AuditPlan(_Model):
    """What the scheduled audit reads, and how many seconds apart."""

    books: tuple[Literal["index", "broker", "lake"], ...] = ("index", "broker")
    every: Annotated[int, Number, Field(ge=10, le=TEN_YEARS)] = 300

    @field_validator("books")
    @classmethod
    def _by_the_index(cls, books: tuple[str, ...]) -> tuple[str, ...]:
        if "index" not in books:
            raise ValueError(f"[{', '.join(books)}] lacks the index, by which every audit goes: add it")
        return books


class KafkaSettings(_Model):
    """How to reach the cluster. `properties` are librdkafka's names; secrets are resolved and masked."""

    bootstrap_servers: Text = "localhost:9092"
    properties: dict[str, SecretStr] = {}
    references: frozenset[str] = frozenset()  # names of the properties that were given by reference


class TopicSettings(RecordSettings):
    """One topic: what it holds, where it goes, how it is audited. Times in seconds."""

    name: TopicName
    paths: Paths
    group: Text = "flink-lineage"
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    # What the data table has of key and headers beside the value: columns kafka_key and kafka_headers. Without a
    # format the key is not read. The schema is an Avro schema (.avsc) of any type.
    key_format: Literal["raw", "string", "avro", "avro-confluent"] | None = None
    key_schema: Path | None = None
    headers: bool = False
    settle: Seconds | None = None
    max_delay: Seconds = 900
    # Which part of the records may go to quarantine before the audit says so: 0.01 is one in a hundred.
    quarantine_limit: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.01
    retention: Retention = Retention()
    baseline: Literal["earliest", "seeded"] | dict[int, int] = "earliest"
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = ()
    audit: AuditPlan = AuditPlan()
    lake_files: LakeFiles = LakeFiles()

    @field_validator("baseline", mode="before")
    @classmethod
    def _offsets_by_partition(cls, baseline: object) -> object:
        if baseline in ("earliest", "seeded"):
            return baseline
        pairs = baseline.items() if isinstance(baseline, dict) else [(None, None)]
        if not all(
            type(one) is int and type(offset) is int and 0 <= one <= _MAX_PARTITION and 0 <= offset <= _MAX_OFFSET
            for one, offset in pairs
        ):
            raise ValueError("write `earliest`, `seeded` or an offset for each partition, such as {0: 120000, 1: 0}")
        return baseline

    @property
    def needs_registry(self) -> bool:
        """Whether its records or their keys name schemas of a registry."""
        return "avro-confluent" in (self.format, self.key_format)


class Settings(_Model):
    """Everything an entry point needs, resolved. `checkpoint_interval` in seconds, `rate_per_sec` in records/s."""

    kafka: KafkaSettings = KafkaSettings()
    schema_registry: RegistrySettings | None = None
    topics: tuple[TopicSettings, ...]
    selected: str | None = None  # by KAFKA_TOPIC: the topic of commands that take one
    rate_per_sec: Annotated[float, Number, Field(gt=0, allow_inf_nan=False)] = 10.0
    checkpoint_interval: Annotated[float, Number, Field(ge=0.1, le=TEN_YEARS, allow_inf_nan=False)] = 60.0
    flink_rest_url: str | None = None
    aws: dict[str, SecretStr] = {}
    registry_secrets: tuple[SecretStr, ...] = ()  # those of schema_registry that this machine has
    alerts: dict[str, Any] = {}

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
        raise SettingsError(f"{_variable_of(where, environ) or source}: {text}") from None
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
