"""From a record's key to table columns; and what of a record is asked for on top of its value. Pure.

| format | a key is | columns |
|---|---|---|
| raw | any bytes | kafka_key: the bytes as they are |
| string | text in UTF-8 | kafka_key, and kafka_key_text |
| avro, avro-confluent | one Avro record | kafka_key, and kafka_key_<field> for each field |
| | any other Avro type | kafka_key, and kafka_key_value |

kafka_key is there in every format, so no decoding can lose what the key was. A record without a key has NULL in all of
them. A key that cannot be decoded sends its record to the quarantine, as a bad value does: `key-<class>: <detail>`.

Headers are one column, kafka_headers. A map has each name once, a record may repeat one: the last value counts, as in
Flink's `headers`. A header may be NULL; a record without headers has an empty map.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from lineage_pipeline.core import avro_binary
from lineage_pipeline.core.avro_confluent import FetchSchema, confluent_reader
from lineage_pipeline.core.avro_schema import PRIMITIVES, AvroType, parse_type
from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.payload_decoder import PayloadReader, needs_registry
from lineage_pipeline.core.record_schema import (
    Column,
    RecordSchema,
    check_defaults,
    check_distinct,
    record_columns,
)
from lineage_pipeline.core.record_values import Undecodable
from lineage_pipeline.errors import SchemaError

KeyFormat = Literal["raw", "string", "avro", "avro-confluent"]
KEY_FORMATS: Final = ("raw", "string", "avro", "avro-confluent")
KEY_COLUMN: Final = "kafka_key"
HEADERS_COLUMN: Final = "kafka_headers"
KEY_ERROR: Final = "key-"  # before the class of an error, when it is the key's
_PREFIX: Final = f"{KEY_COLUMN}_"
_TEXT: Final = "text"
_VALUE: Final = "value"
# A type that is no record is read as the only field of one: in Avro's binary encoding they are the same bytes.
_WRAPPER: Final = "__lineage_key"


@dataclass(frozen=True)
class KeySchema:
    """What a topic's keys are. `columns`: the decoded ones, beside kafka_key. Build it with `key_schema`."""

    format: KeyFormat
    text: str = ""  # canonical JSON of the Avro schema; empty for raw and string
    columns: tuple[Column, ...] = ()

    @property
    def is_one_value(self) -> bool:
        """Whether a key is no record of several fields: its one column has a name of ours."""
        return self.format == "string" or (self.text != "" and _record(self.text).name == _WRAPPER)


def key_schema(key_format: str, schema: str = "") -> KeySchema:
    """Build the schema of a topic's keys.

    Args:
        key_format: raw, string, avro or avro-confluent.
        schema: an Avro schema of any type, as JSON text; nothing for raw and string.

    Raises:
        SchemaError: the format is unknown, or the schema is not valid.
    """
    known: dict[str, KeyFormat] = {"raw": "raw", "string": "string", "avro": "avro", "avro-confluent": "avro-confluent"}
    if key_format not in known:
        raise SchemaError(f"key format {key_format!r} is unknown: choose one of {', '.join(KEY_FORMATS)}")
    if known[key_format] in ("raw", "string"):
        if schema:
            raise SchemaError(f"key format {key_format} takes no schema: remove it, or choose avro")
        text = AvroType("record", fields=((_TEXT, AvroType("string")),))
        return KeySchema(known[key_format], "", _named(record_columns(text)) if key_format == "string" else ())
    record = _record(schema)
    if not record.fields:
        raise SchemaError(f"record {record.name!r} has no fields: choose key format raw to keep the bytes alone")
    check_distinct([name for name, _ in record.fields])
    if key_format == "avro-confluent":
        check_defaults(record)
    return KeySchema(known[key_format], _canonical(schema), _named(record_columns(record)))


def with_key(schema: RecordSchema, key: KeySchema | None, *, headers: bool) -> RecordSchema:
    """The schema of the values, with what is asked for of key and headers."""
    if key is not None:
        floats = sum(column.nan_slot is not None for column in schema.columns)
        moved = [
            column if column.nan_slot is None else replace(column, nan_slot=column.nan_slot + floats)
            for column in key.columns
        ]
        key = replace(key, columns=tuple(moved))
    return replace(schema, key=key, headers=headers)


def is_on_request(column: str) -> bool:
    """Whether a table has the column only when it is asked for: key, headers, and unknown fields."""
    return column in (KEY_COLUMN, HEADERS_COLUMN, UNKNOWN_COLUMN) or column.startswith(_PREFIX)


def key_reader(key: KeySchema, fetch: FetchSchema | None = None) -> PayloadReader:
    """The reader of whole keys: one value per column of `key`. It raises Undecodable with the classes of keys.

    `fetch` gives the schemas that keys of avro-confluent were written with. Raises SettingsError without it.
    """
    read = _plain_reader(key, fetch)

    def read_key(data: bytes) -> list[Any]:
        try:
            return read(data)
        except Undecodable as error:
            detail = error.detail.replace("the payload", "the key", 1)  # the readers of values say it
            raise Undecodable(f"{KEY_ERROR}{error.error_class}", detail) from None

    return read_key


def headers_map(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes | None]:
    """A record's headers as a map in the order of names; the last value of a name counts."""
    return dict(sorted(dict(headers).items()))


def _plain_reader(key: KeySchema, fetch: FetchSchema | None) -> PayloadReader:
    if key.format == "raw":
        return lambda _data: []
    if key.format == "string":
        return _read_text
    record = _record(key.text)
    if key.format == "avro":
        return avro_binary.record_reader(record)
    return confluent_reader(record, needs_registry(fetch), _wrapped if record.name == _WRAPPER else None)


def _read_text(data: bytes) -> list[Any]:
    try:
        return [data.decode()]
    except UnicodeDecodeError as error:
        raise Undecodable("invalid-utf8", f"{error.reason} at byte {error.start}") from None


def _record(schema: str) -> AvroType:
    parsed = parse_type(schema)
    return parsed if parsed.kind == "record" else _wrapped(parsed)


def _wrapped(avro_type: AvroType) -> AvroType:
    return AvroType("record", name=_WRAPPER, fields=((_VALUE, avro_type),))


def _canonical(schema: str) -> str:
    return json.dumps(schema if schema in PRIMITIVES else json.loads(schema), sort_keys=True, separators=(",", ":"))


def _named(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(
        replace(column, name=f"{_PREFIX}{column.name}", transport_name=f"k{at}") for at, column in enumerate(columns)
    )
