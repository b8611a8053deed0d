"""Payloads and keys to columns: the body of the decode UDF. Importable without PyFlink.

A batch never fails: what cannot be decoded becomes a row of NULLs with its reason, and the job sends the payload to the
quarantine. What bounds a hostile payload stands in core/avro_binary.py and core/record_values.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.key_schema import KeySchema, key_reader, with_key
from lineage_pipeline.core.payload_decoder import error_text, payload_reader
from lineage_pipeline.core.record_schema import ERROR_FIELD, NANS_FIELD, record_schema
from lineage_pipeline.core.record_values import Undecodable

# Arrow addresses a text column of one batch with 32 bits. A batch whose nested values would come near gets no more of
# them: its later records are `too-large`. Characters, of up to four bytes.
MAX_BATCH_TEXT: Final = 256 * 1024 * 1024


class Decoder:
    """Decodes the values, and with `key` the keys, of one topic. Make it once per worker.

    `fetch` gives the schemas that records of avro-confluent were written with; what it raises is their error. Raises
    SchemaError, when it is made, for what `record_schema` refuses.
    """

    def __init__(
        self,
        record_format: str,
        schema_text: str = "",
        fetch: FetchSchema | None = None,
        key: KeySchema | None = None,
    ) -> None:
        self.schema = with_key(record_schema(record_format, schema_text), key, headers=False)
        self._read = payload_reader(record_format, schema_text, fetch)
        self._read_key = key_reader(key, fetch) if key is not None and key.columns else None
        columns = self.schema.decoded_columns
        self._width, self._value_width = len(columns), len(self.schema.columns)
        self._floats = [at for at, column in enumerate(columns) if column.nan_slot is not None]
        self._texts = [at for at, column in enumerate(columns) if column.kind == "json"]

    def decode(self, payloads: Iterable[bytes | None], keys: Iterable[bytes | None] | None = None) -> pd.DataFrame:
        """Decode a batch: one row per payload, columns as `schema.transport_fields`. Never raises for a payload or key.

        A row either has values and error None, or None everywhere and an error `<class>: <detail>` of at most
        500 characters (classes: core/record_values.py). A None payload is a tombstone: no error, and None in all
        columns of the value. `keys`: one per payload, when keys are decoded.
        """
        rows: list[list[Any]] = []
        errors: list[str | None] = []
        nothing = [None] * self._width
        read: Callable[[Any], list[Any]] = self._read if self._read_key is None else self._read_both
        records: Iterable[Any] = payloads if keys is None else zip(payloads, keys, strict=True)
        texts, text_left = self._texts, MAX_BATCH_TEXT
        for payload in records:
            row, error = nothing, None
            if payload is not None:
                try:
                    row = read(payload)
                    if texts:
                        text_left = self._take_text(row, text_left)
                except Exception as caught:  # noqa: BLE001 - every failure of a record is its row in the quarantine
                    row, error = nothing, error_text(caught)
            rows.append(row)
            errors.append(error)
        return self._frame(rows, errors)

    def _read_both(self, record: tuple[bytes | None, bytes | None]) -> list[Any]:
        payload, key = record
        values = [None] * self._value_width if payload is None else self._read(payload)
        if key is None or self._read_key is None:
            return [*values, *[None] * (self._width - self._value_width)]
        return [*values, *self._read_key(key)]

    def _take_text(self, row: list[Any], left: int) -> int:
        left_after = left - sum(len(row[at]) for at in self._texts if row[at] is not None)
        if left_after < 0:
            raise Undecodable("too-large", f"its batch has more than {MAX_BATCH_TEXT} characters of nested values")
        return left_after

    def _frame(self, rows: list[list[Any]], errors: list[str | None]) -> pd.DataFrame:
        values = zip(*rows, strict=True) if rows else [()] * self._width
        frame = {
            column.transport_name: _series(list(one), column.transport_type)
            for column, one in zip(self.schema.decoded_columns, values, strict=True)
        }
        if self._floats:
            frame[NANS_FIELD] = pd.Series([self._nans(row) for row in rows], dtype=object)
        frame[ERROR_FIELD] = pd.Series(errors, dtype=object)
        return pd.DataFrame(frame)

    def _nans(self, row: list[Any]) -> str | None:
        # NaN is the one value that differs from itself.
        if all(row[at] == row[at] for at in self._floats):
            return None
        return "".join("---" if row[at] == row[at] else "NaN" for at in self._floats)


def _series(values: list[Any], transport_type: str) -> pd.Series:
    # int64 costs PyFlink nothing to carry; None needs object, the one form that carries NULL exactly.
    if transport_type == "BIGINT" and None not in values:
        return pd.Series(np.array(values, dtype=np.int64))
    return pd.Series(values, dtype=object)
