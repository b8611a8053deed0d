"""What `lineage.yaml` says of one topic, as typed values: what it holds, where it goes, how it is audited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from lineage_pipeline.lake_settings import TEN_YEARS, LakeFiles
from lineage_pipeline.record_settings import RecordSettings

_MAX_PARTITION, _MAX_OFFSET = 2**31 - 1, 2**63 - 2  # what Kafka can have
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


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


class SettingsModel(BaseModel):
    """A mapping of the settings: a key that is not known is refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(SettingsModel):
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


class Retention(SettingsModel):
    """Rules by which objects leave the lake on purpose."""

    data_days: Annotated[int, Number, Field(ge=1, le=36_500)] | None = None


class AuditPlan(SettingsModel):
    """What the scheduled audit reads, and how many seconds apart."""

    books: tuple[Literal["index", "broker", "lake"], ...] = ("index", "broker")
    every: Annotated[int, Number, Field(ge=10, le=TEN_YEARS)] = 300

    @field_validator("books")
    @classmethod
    def _by_the_index(cls, books: tuple[str, ...]) -> tuple[str, ...]:
        if "index" not in books:
            raise ValueError(f"[{', '.join(books)}] lacks the index, by which every audit goes: add it")
        return books


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
