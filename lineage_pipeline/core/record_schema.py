"""From a record schema to table columns, and how each value travels there. Pure: standard library only.

A value goes: payload -> `Decoder` (flink/decode.py) -> one field of the ROW that a vectorised Python UDF returns
("transport") -> a SQL expression ("projection") -> the column of the Parquet table.

| Avro type | transport | column | |
|---|---|---|---|
| boolean, int, long | BOOLEAN, INT, BIGINT | the same | |
| float, double | FLOAT, DOUBLE | the same | NaN: see below; all NaNs become one |
| bytes, fixed | BYTES | BYTES | |
| string, enum, uuid | STRING | STRING | uuid on string is not checked: the text is kept as it is |
| null | STRING | STRING | always NULL |
| date | DATE | DATE | years 1 to 9999, as for all dates and timestamps |
| time-millis | TIME(3) | TIME(3) | |
| timestamp-millis | BIGINT | TIMESTAMP_LTZ(3) | a ROW cannot hold TIMESTAMP_LTZ: TO_TIMESTAMP_LTZ(x, 3) |
| local-timestamp-millis | TIMESTAMP(3) | TIMESTAMP(3) | |
| time, timestamp and local-timestamp in micros or nanos | BIGINT | BIGINT | the integer as it is |
| decimal, up to 38 digits | DECIMAL(p, s) | DECIMAL(p, s) | |
| decimal, more digits | STRING | STRING | exact text |
| record, array, map, union of several types | STRING | STRING | JSON text, see record_values.py |

JSON Schemas, lists of columns and protobuf descriptors are translated to these types first: see json_schema.py,
column_list.py and protobuf_declaration.py.

Micro- and nanoseconds stay integers because timestamps of all tables are int64 milliseconds: Flink's Parquet writer
cuts a TIMESTAMP(6) to them without a word.

Tried on PyFlink 2.3.0 (tests/flink/test_decode_e2e.py repeats it): every transport type above survives at its extremes,
NULL included, when the UDF returns plain object columns with None; pandas' nullable and Arrow-backed columns
fail ("Cannot specify a mask"). PyFlink builds its null mask with `Series.isnull()`, so a NaN would arrive as
NULL. That is why a schema with floats has one more transport field, `nans`: NULL for nearly every record, else
three characters per float column, `NaN` or `---`.

All columns are nullable: a tombstone (null payload) is a row of NULLs. Transport fields are named f0, f1, ..., so
that no field name of a record can collide with them or break anything on the way.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from lineage_pipeline.core.avro_defaults import column_default
from lineage_pipeline.core.avro_schema import AvroType, parse_record
from lineage_pipeline.core.declared_field import DeclaredField, avro_field, unknown_field
from lineage_pipeline.core.json_declaration import parse_declaration
from lineage_pipeline.errors import SchemaError

if TYPE_CHECKING:
    from lineage_pipeline.core.key_schema import KeySchema

Format = Literal["avro", "avro-confluent", "json", "protobuf", "protobuf-confluent", "raw"]
FORMATS: Final[tuple[Format, ...]] = ("avro", "avro-confluent", "json", "protobuf", "protobuf-confluent", "raw")
RAW_COLUMN: Final = "value"
RESERVED_PREFIX: Final = "kafka_"
PARTITION_COLUMNS: Final = frozenset({"dt", "hour"})  # kafka_topic is covered by the prefix
NANS_FIELD: Final = "nans"
ERROR_FIELD: Final = "error"
NAN_SLOT: Final = 3
_SQL_DECIMAL_DIGITS: Final = 38

# kind -> transport type, column type
_TYPES: Final = {
    "null": ("STRING", "STRING"),
    "boolean": ("BOOLEAN", "BOOLEAN"),
    "int": ("INT", "INT"),
    "long": ("BIGINT", "BIGINT"),
    "float": ("FLOAT", "FLOAT"),
    "double": ("DOUBLE", "DOUBLE"),
    "bytes": ("BYTES", "BYTES"),
    "string": ("STRING", "STRING"),
    "json": ("STRING", "STRING"),
    "date": ("DATE", "DATE"),
    "time-millis": ("TIME(3)", "TIME(3)"),
    "timestamp-millis": ("BIGINT", "TIMESTAMP_LTZ(3)"),
    "local-timestamp-millis": ("TIMESTAMP(3)", "TIMESTAMP(3)"),
}


@dataclass(frozen=True)
class Column:
    """One column of the data table."""

    name: str
    kind: str  # key of the table above: null, boolean, ..., json, decimal
    source_type: str  # the declared type in words, for people
    nullable: bool  # whether the source may say NULL; the column itself is always nullable
    transport_name: str  # its field in the UDF's ROW
    transport_type: str  # SQL
    sql_type: str
    nan_slot: int | None = None  # place in the `nans` text; None: not a float

    @property
    def identifier(self) -> str:
        """The quoted name."""
        return quoted(self.name)

    def projection(self, row: str) -> str:
        """SQL expression of type `sql_type` that takes this column out of the ROW `row` (an SQL expression)."""
        value = f"{row}.{quoted(self.transport_name)}"
        if self.kind == "timestamp-millis":
            return f"TO_TIMESTAMP_LTZ({value}, 3)"
        if self.nan_slot is None:
            return value
        start = self.nan_slot * NAN_SLOT + 1
        # Not CAST('NaN' AS DOUBLE): a constant NaN cannot be folded by the planner. This text is no constant.
        nan = f"NULLIF(SUBSTRING({row}.{quoted(NANS_FIELD)}, {start}, {NAN_SLOT}), '---')"
        return f"COALESCE({value}, CAST({nan} AS {self.sql_type}))"


@dataclass(frozen=True)
class RecordSchema:
    """What a topic's records are, and which columns they become. Build it with `record_schema`.

    `columns`: of the value. `key` and `headers` are asked for on top of it, see key_schema.py.
    """

    format: Format
    text: str  # the declaration, canonical; empty for raw. (format, text) rebuilds the value's part anywhere
    columns: tuple[Column, ...]
    key: KeySchema | None = None
    headers: bool = False

    @property
    def decoded_columns(self) -> tuple[Column, ...]:
        """What the decoder gives: the value's columns, then the key's."""
        return (*self.columns, *(self.key.columns if self.key is not None else ()))

    @property
    def is_decoded(self) -> bool:
        """Whether records go through the decoder at all: bytes that stay bytes do not."""
        return self.format != "raw" or self.decoded_columns != self.columns

    @property
    def has_floats(self) -> bool:
        """Whether the ROW has the field `nans`."""
        return any(column.nan_slot is not None for column in self.decoded_columns)

    @property
    def transport_fields(self) -> tuple[tuple[str, str], ...]:
        """Name and SQL type of every field of the ROW that the decode UDF returns, in order."""
        fields = [(column.transport_name, column.transport_type) for column in self.decoded_columns]
        if self.has_floats:
            fields.append((NANS_FIELD, "STRING"))
        return (*fields, (ERROR_FIELD, "STRING"))

    @property
    def transport_type(self) -> str:
        """The UDF's result type: ROW<`f0` STRING, ..., `error` STRING>."""
        return "ROW<" + ", ".join(f"{quoted(name)} {sql}" for name, sql in self.transport_fields) + ">"

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Column definitions for CREATE TABLE, in order."""
        return tuple(f"{column.identifier} {column.sql_type}" for column in self.columns)

    def projections(self, row: str) -> tuple[str, ...]:
        """Select items, in the order of `table_columns`: expression AS name."""
        return tuple(f"{column.projection(row)} AS {column.identifier}" for column in self.columns)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def record_schema(record_format: str, schema: str | Mapping[str, Any] = "") -> RecordSchema:
    """Build the schema of a topic's values.

    Args:
        record_format: one of FORMATS.
        schema: an Avro record schema, as JSON text or parsed; for json also a JSON Schema or what declaration_text of
            json_declaration.py gives; for protobuf what descriptor_text of protobuf_declaration.py gives; nothing for
            raw. For avro-confluent it is the table's; those that records were written with are in the registry.

    Raises:
        SchemaError: the format is unknown, the schema is no valid record, or a field's name cannot be a column.
    """
    if record_format not in FORMATS:
        raise SchemaError(f"record format {record_format!r} is unknown: choose one of {', '.join(FORMATS)}")
    known = FORMATS[FORMATS.index(record_format)]
    if known == "raw":
        if schema:
            raise SchemaError("format raw takes no schema: remove it, or choose avro or json")
        return RecordSchema("raw", "", field_columns((avro_field(RAW_COLUMN, AvroType("bytes")),)))
    fields, text, keep = _declared(known, schema)
    if not fields:
        raise SchemaError("the schema has no fields, a table needs one: add one, or choose raw")
    _check_names([one.name for one in fields])
    return RecordSchema(known, text, field_columns((*fields, unknown_field()) if keep else fields))


def record_columns(record: AvroType) -> tuple[Column, ...]:
    """The columns of an Avro record's fields, in order. Their names are not checked."""
    return field_columns(tuple(avro_field(name, one) for name, one in record.fields))


def field_columns(fields: tuple[DeclaredField, ...]) -> tuple[Column, ...]:
    """The columns of declared fields, in order. Their names are not checked."""
    columns: list[Column] = []
    for position, one in enumerate(fields):
        slot = sum(column.nan_slot is not None for column in columns)
        columns.append(_column(one, position, slot))
    return tuple(columns)


def _declared(known: Format, schema: str | Mapping[str, Any]) -> tuple[tuple[DeclaredField, ...], str, bool]:
    """The fields, the declaration's canonical text, and whether unknown fields are kept."""
    if known == "json":
        declaration, text = parse_declaration(schema)
        return declaration.fields, text, declaration.unknown_fields == "keep"
    if known in ("protobuf", "protobuf-confluent"):
        try:  # not everybody has the package
            from lineage_pipeline.core.protobuf_declaration import parse_descriptors  # noqa: PLC0415
        except ImportError:
            raise SchemaError(
                "format protobuf needs the package protobuf: pip install 'flink-lineage[protobuf]'"
            ) from None

        message = parse_descriptors(schema)
        return message.fields, message.text, message.unknown_fields == "keep"
    record, text = parse_record(schema)
    if known == "avro-confluent":
        check_defaults(record)
    return tuple(avro_field(name, one) for name, one in record.fields), text, False


def _column(field: DeclaredField, position: int, next_slot: int) -> Column:
    inner, _ = field.type.unwrapped()
    kind, transport, sql = _types(inner)
    return Column(
        name=field.name,
        kind=kind,
        source_type=field.words,
        nullable=field.nullable or not field.required,
        transport_name=f"f{position}",
        transport_type=transport,
        sql_type=sql,
        nan_slot=next_slot if kind in ("float", "double") else None,
    )


def _types(avro_type: AvroType) -> tuple[str, str, str]:
    """Kind, transport type and column type."""
    if avro_type.logical == "decimal":
        exact = avro_type.precision <= _SQL_DECIMAL_DIGITS
        sql = f"DECIMAL({avro_type.precision}, {avro_type.scale})" if exact else "STRING"
        return "decimal", sql, sql
    kind = {"fixed": "bytes", "enum": "string", "record": "json", "array": "json", "map": "json", "union": "json"}.get(
        avro_type.kind, avro_type.kind
    )
    if avro_type.logical == "uuid":
        kind = "string"
    elif avro_type.logical in _TYPES:
        kind = avro_type.logical
    return kind, *_TYPES[kind]


def check_defaults(record: AvroType) -> None:
    """Raise SchemaError for a default that is none: when a record lacks the field, it is too late to say so."""
    for name, avro_type in record.fields:
        if name in record.defaults:
            try:
                column_default(avro_type, record.defaults[name])
            except ValueError as error:
                raise SchemaError(f"the default of field {name!r} cannot be used: {error}; correct it") from None


def _check_names(names: list[str]) -> None:
    for name in names:
        folded = name.casefold()
        if folded.startswith(RESERVED_PREFIX):
            raise SchemaError(
                f"field {name!r} begins with {RESERVED_PREFIX!r}, which is kept for Kafka's own columns: "
                "rename the field in the schema (its place counts, not its name)"
            )
        if folded in PARTITION_COLUMNS:
            raise SchemaError(
                f"field {name!r} has the name of a partition directory of the table: "
                "rename the field in the schema (its place counts, not its name)"
            )
    check_distinct(names)


def check_distinct(names: list[str]) -> None:
    """Raise SchemaError for names of fields that cannot be columns of one table."""
    seen: dict[str, str] = {}
    for name in names:
        folded = name.casefold()
        if folded in seen:
            raise SchemaError(
                f"fields {seen[folded]!r} and {name!r} differ in case only, which most readers of Parquet "
                "cannot tell apart: rename one"
            )
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
            raise SchemaError(f"field {name!r} has a control character in its name: rename it")
        seen[folded] = name
