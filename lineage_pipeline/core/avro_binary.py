"""Avro's binary encoding read strictly, with bounds on everything a payload can ask for. Pure: standard library only.

Why not fastavro's reader: it is made for trusted files. Tried with 1.13.1: a negative enum or union index picks from
the end of the list, a varint longer than ten bytes gives another number, an int of 40 bits and a boolean of 2 pass
(each a wrong value, silently), five bytes make an array of as many nulls as they like, and 5,000 nested records kill
the process with a segmentation fault, which would restart the job for ever. Reading all fields of a batch
straight into columns is also faster here than building fastavro's dictionary per record. The tests use fastavro's
writer and reader as the judge.

What is bounded: a length is compared with the bytes left before anything is taken; nested values are counted
(FREE_VALUES plus VALUES_PER_BYTE for each byte of the payload) and go MAX_DEPTH deep at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lineage_pipeline.core.avro_nested import json_reader
from lineage_pipeline.core.avro_scalars import Reader, read_null, scalar_reader, union_reader
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import Undecodable

_NESTED: Final = frozenset({"record", "array", "map", "union"})


def record_reader(record: AvroType) -> Callable[[bytes], list[Any]]:
    """Make the reader of whole payloads: one value per top-level field, in the schema's order.

    It raises Undecodable for a payload that is not exactly one record of this type. Values: int, float, bool, bytes,
    str, None; int also for dates and times (in the schema's unit); Decimal for decimals of up to 38 digits and text
    beyond; JSON text for nested values.
    """
    names = [name for name, _ in record.fields]
    readers = [_column_reader(avro_type) for _, avro_type in record.fields]

    def read(payload: bytes) -> list[Any]:
        row: list[Any] = []
        position = 0
        try:
            for reader in readers:
                value, position = reader(payload, position)
                row.append(value)
        except IndexError:
            raise Undecodable("truncated", f"the payload ends in field {names[len(row)]!r}") from None
        except UnicodeDecodeError as error:
            raise Undecodable("invalid-utf8", f"field {names[len(row)]!r}: {error.reason}") from None
        except Undecodable as error:
            raise Undecodable(error.error_class, f"field {names[len(row)]!r}: {error.detail}") from None
        if position != len(payload):
            raise Undecodable("trailing-bytes", f"{len(payload) - position} bytes follow the record")
        return row

    return read


def _column_reader(avro_type: AvroType) -> Reader:
    inner, nullable = avro_type.unwrapped()
    if inner.kind in _NESTED:
        return json_reader(avro_type)
    reader = scalar_reader(inner)
    if avro_type.kind != "union" or not nullable:
        return reader if avro_type.kind != "union" else union_reader([reader])
    return union_reader([read_null if branch.kind == "null" else reader for branch in avro_type.branches])
