"""Pure: one record of Kafka to its row of the data or the quarantine table, as the job writes it.

Repair and verify use it; the job does the same in SQL around the same decoders (flink/tables.py).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN, headers_map, key_reader
from lineage_pipeline.core.payload_decoder import PayloadDecoder, error_text
from lineage_pipeline.core.record_schema import RecordSchema

Headers = tuple[tuple[str, bytes | None], ...]


class KafkaRecord(NamedTuple):
    """One record as the job's source sees it: Kafka timestamp in ms, -1 without one; payload None for a tombstone.

    `headers`: in the order of the record; None when they were not read.
    """

    offset: int
    timestamp: int
    leader_epoch: int | None
    payload: bytes | None
    key: bytes | None = None
    headers: Headers | None = None


class TableRow(NamedTuple):
    """A row: its table, its values in the order of the table's columns, and about how many bytes they came from."""

    table: Literal["data", "quarantine"]
    values: tuple[Any, ...]
    size: int


class RowMaker:
    """Makes rows of the records of one topic. A record that cannot be decoded is a row of the quarantine.

    `fetch` gives the schemas of a registry, see payload_decoder.py; raises SettingsError where one is needed.
    """

    def __init__(self, schema: RecordSchema, fetch: FetchSchema | None = None) -> None:
        self._schema = schema
        self._decoder = PayloadDecoder(schema, fetch)
        self._read_key = key_reader(schema.key, fetch) if schema.key is not None else None
        self._no_key = [None] * (len(schema.decoded_columns) - len(schema.columns))

    def row(self, partition: int, record: KafkaRecord) -> TableRow:
        """The record's row. Raises ValueError when headers are asked for and were not read."""
        values, error = self._decoder.decode(record.payload)
        key_values, key_error = self._key_values(record.key)
        error = error if error is not None else key_error
        place = (partition, record.offset, record.timestamp)
        asked, size = self._asked(record)
        size += len(record.payload or b"")
        if error is not None:
            return TableRow("quarantine", (*place, error, record.payload, *asked.values()), size)
        key = (asked.pop(KEY_COLUMN),) if KEY_COLUMN in asked else ()
        return TableRow("data", (*values, *place, *key, *key_values, *asked.values()), size)

    def _key_values(self, key: bytes | None) -> tuple[list[Any], str | None]:
        if key is None or self._read_key is None:
            return self._no_key, None
        try:
            return self._read_key(key), None
        except Exception as caught:  # noqa: BLE001 - every failure of a record is its row in the quarantine
            return self._no_key, error_text(caught)

    def _asked(self, record: KafkaRecord) -> tuple[dict[str, Any], int]:
        """What is asked for of key and headers, by column, and its bytes."""
        found: dict[str, Any] = {}
        size = 0
        if self._schema.key is not None:
            found[KEY_COLUMN] = record.key
            size += len(record.key or b"")
        if self._schema.headers:
            if record.headers is None:
                raise ValueError("the records were read without their headers")
            found[HEADERS_COLUMN] = headers_map(record.headers)
            size += sum(len(name) + len(value or b"") for name, value in record.headers)
        return found, size
