"""How a topic's records are declared in `lineage.yaml`: format, schema and what belongs to them. Pure values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_PROTOBUF = ("protobuf", "protobuf-confluent")


class RecordSettings(BaseModel):
    """What the records of one topic are. `lineage_pipeline.books.schema_file.read_schema` makes their schema of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["avro", "avro-confluent", "json", "protobuf", "protobuf-confluent", "raw"] = "avro"
    # A path. avro: an Avro schema (.avsc), the table's whatever schemas records were written with. json: the same, or a
    # JSON Schema. protobuf: a descriptor set. None means the demo's two-field record for avro and json.
    record_schema: Path | None = Field(default=None, alias="schema")
    # Of a json topic: names and SQL types, instead of a schema or to correct single types of a JSON Schema.
    columns: dict[str, str] | None = None
    # Of a protobuf topic: the message's full name.
    message: str | None = None
    # Of a json or protobuf topic: what becomes of fields that the schema does not name.
    unknown_fields: Literal["ignore", "keep", "refuse"] = "ignore"

    @field_validator("columns", mode="before")
    @classmethod
    def _types_written_out(cls, columns: object) -> object:
        """Raise ValueError for a list that YAML has read as something else."""
        if columns is None:
            return columns
        if not isinstance(columns, dict) or not columns:
            raise ValueError("give names and types, such as {id: bigint, name: string}")
        for name, kind in columns.items():
            if not isinstance(name, str) or not isinstance(kind, str):
                raise ValueError(  # noqa: TRY004 - what pydantic takes for a refusal
                    f"{name!r} has the type {kind!r}: give a name and a type, in quotes where YAML would read something"
                    ' else ("on", and within braces "decimal(12, 2)")'
                )
        return columns

    @model_validator(mode="after")
    def _fit_together(self) -> RecordSettings:
        """Raise ValueError for a key that the format does not take, or one that it lacks."""
        if self.columns is not None and self.format != "json":
            raise ValueError(f"`columns` describe json, not {self.format}: remove them, or set `format: json`")
        if self.record_schema is not None and self.format == "raw":
            raise ValueError("`schema` says what records hold, which format raw keeps as bytes: remove one of the two")
        if self.message is not None and self.format not in _PROTOBUF:
            raise ValueError(f"`message` is of format protobuf, not {self.format}: remove it, or correct the format")
        if self.unknown_fields != "ignore" and self.format not in ("json", *_PROTOBUF):
            raise ValueError(
                f"`unknown_fields` is of the formats json and protobuf, not {self.format}: remove it (avro records"
                " are read whole by the schema they were written with)"
            )
        if self.format in _PROTOBUF and (self.record_schema is None or self.message is None):
            raise ValueError(
                f"format {self.format} needs `schema`, a descriptor set (protoc --include_imports"
                " --descriptor_set_out=FILE), and `message`, the full name of the message in it"
            )
        return self
