"""Pure: one payload to its row of values, or to the reason why it is none. The job and the repair share it.

What bounds a hostile payload stands in avro_binary.py and record_values.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lineage_pipeline.core import avro_binary, json_record
from lineage_pipeline.core.avro_confluent import FetchSchema, confluent_reader
from lineage_pipeline.core.avro_schema import parse_record
from lineage_pipeline.core.json_declaration import parse_declaration
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.core.record_values import Undecodable
from lineage_pipeline.errors import SettingsError

MAX_ERROR_LENGTH: Final = 500
PayloadReader = Callable[[bytes], list[Any]]


class PayloadDecoder:
    """Decodes payload by payload. A payload that cannot be decoded is an error text, never an exception."""

    def __init__(self, schema: RecordSchema, fetch: FetchSchema | None = None) -> None:
        self._read = payload_reader(schema.format, schema.text, fetch)
        self._nothing = [None] * len(schema.columns)

    def decode(self, payload: bytes | None) -> tuple[list[Any], str | None]:
        """Values as `schema.columns` and None; or None everywhere and an error `<class>: <detail>`.

        A None payload is a tombstone: all None, no error.
        """
        if payload is None:
            return self._nothing, None
        try:
            return self._read(payload), None
        except Exception as caught:  # noqa: BLE001 - every failure of a record is its row in the quarantine
            return self._nothing, error_text(caught)


def payload_reader(record_format: str, schema_text: str, fetch: FetchSchema | None = None) -> PayloadReader:
    """The reader of whole payloads of that format; it raises Undecodable, or anything else for a defect of its own.

    `fetch` gives the schemas that records of avro-confluent were written with. Raises SettingsError without it.
    """
    if record_format == "raw":
        return lambda payload: [payload]
    if record_format == "json":
        return json_record.record_reader(parse_declaration(schema_text)[0])
    if record_format in ("protobuf", "protobuf-confluent"):
        # Not everybody has the package.
        from lineage_pipeline.core.protobuf_record import message_reader  # noqa: PLC0415

        return message_reader(schema_text, framed=record_format == "protobuf-confluent")
    record, _ = parse_record(schema_text)
    if record_format == "avro":
        return avro_binary.record_reader(record)
    return confluent_reader(record, needs_registry(fetch))


def needs_registry(fetch: FetchSchema | None) -> FetchSchema:
    """`fetch` itself. Raises SettingsError when there is none."""
    if fetch is None:
        raise SettingsError(
            "format avro-confluent needs the address of a schema registry: set `schema_registry: {url: ...}` in"
            " lineage.yaml or SCHEMA_REGISTRY_URL"
        )
    return fetch


def error_text(caught: Exception) -> str:
    """The error of a record: `<class>: <detail>`, short, always valid UTF-8."""
    if isinstance(caught, Undecodable):
        text = f"{caught.error_class}: {caught.detail}"
    elif isinstance(caught, MemoryError):
        text = "out-of-memory: the record does not fit"
    elif isinstance(caught, RecursionError):
        text = "too-deep: nested too deeply"
    else:
        text = f"internal: {type(caught).__name__}"
    return text.encode(errors="backslashreplace").decode()[:MAX_ERROR_LENGTH]
