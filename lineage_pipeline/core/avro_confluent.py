"""Avro in the wire format of schema registries: a zero byte, a schema id of four bytes, then the record. Pure.

The id names the schema the record was written with; `fetch` gives it. Per id the reader in the table's columns is made
once. What is wrong with a schema for good is remembered with it; what `fetch` raises is not: it may answer next time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from lineage_pipeline.core.avro_binary import RowReader
from lineage_pipeline.core.avro_promotion import Unresolvable
from lineage_pipeline.core.avro_resolution import resolved_reader
from lineage_pipeline.core.avro_schema import AvroType, parse_type
from lineage_pipeline.core.record_values import Undecodable
from lineage_pipeline.errors import SchemaError

HEADER_SIZE: Final = 5
_MAX_ID: Final = 2**31 - 1  # registries count in signed 32 bits


@dataclass(frozen=True)
class WrittenSchema:
    """A schema as the registry keeps it; each of `references` may use the named types of the ones before it."""

    text: str
    references: tuple[str, ...] = ()
    kind: str = "AVRO"  # or JSON, PROTOBUF


# The schema of an id. It raises Undecodable: unknown-schema, or registry-unavailable.
FetchSchema = Callable[[int], WrittenSchema]


def confluent_reader(
    table: AvroType, fetch: FetchSchema, wrap: Callable[[AvroType], AvroType] | None = None
) -> Callable[[bytes], list[Any]]:
    """The reader of whole payloads, in the values of the record `table`; see avro_binary.record_reader.

    `wrap` makes a record of the written schema, where `table` is one made of another type: see key_schema.py.
    """
    readers: dict[bytes, RowReader] = {}

    def read(payload: bytes) -> list[Any]:
        header = payload[:5]  # HEADER_SIZE: a name would cost a look-up for every record
        reader = readers.get(header)
        if reader is None:
            schema_id = parse_header(header)
            # Only ids that the registry knows are kept, so hostile ids cannot fill the memory.
            reader = readers[header] = _reader_of(schema_id, fetch(schema_id), table, wrap)
        return reader(payload, 5)

    return read


def parse_header(header: bytes) -> int:
    """The schema id of a payload's first five bytes. Raises Undecodable when they are no such header."""
    if header and header[0] != 0:
        raise Undecodable("bad-magic-byte", f"the payload begins with byte {header[0]} instead of 0 and a schema id")
    if len(header) < HEADER_SIZE:
        raise Undecodable("truncated", f"{len(header)} bytes where a zero byte and a schema id should be")
    schema_id = int.from_bytes(header[1:], "big")
    if schema_id > _MAX_ID:
        raise Undecodable("unknown-schema", f"schema id {schema_id} is beyond what a registry gives")
    return schema_id


def _reader_of(
    schema_id: int, schema: WrittenSchema, table: AvroType, wrap: Callable[[AvroType], AvroType] | None
) -> RowReader:
    try:
        written = parse_written(schema)
        return resolved_reader(wrap(written) if wrap is not None else written, table)
    except SchemaError as error:
        return _refusing("bad-schema", f"schema {schema_id}: {error}")
    except Unresolvable as error:
        return _refusing("unresolvable", f"{error} (schema {schema_id})")


def parse_written(schema: WrittenSchema) -> AvroType:
    """The type of a registered schema. Raises SchemaError when it is not Avro, or not sound."""
    if schema.kind != "AVRO":
        raise SchemaError(f"it is of type {schema.kind}, not Avro: correct the topic's format")
    return parse_type(schema.text, schema.references)


def _refusing(error_class: str, detail: str) -> RowReader:
    def refuse(_payload: bytes, _position: int = 0, /) -> NoReturn:
        raise Undecodable(error_class, detail)

    return refuse
