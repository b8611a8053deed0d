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

from typing import Any, Final, Protocol

from lineage_pipeline.core.avro_nested import json_reader
from lineage_pipeline.core.avro_scalars import Reader, read_null, scalar_reader, union_reader
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import Undecodable

NESTED: Final = frozenset({"record", "array", "map", "union"})


class RowReader(Protocol):
    """From a payload, and where the record begins in it, to the values of one row."""

    def __call__(self, payload: bytes, position: int = 0, /) -> list[Any]:
        """Raise Undecodable for what is not exactly one record."""
        ...


def record_reader(record: AvroType) -> RowReader:
    """Make the reader of records that reach to their payload's end: one value per top-level field, in schema order.

    It raises Undecodable for a payload that is not exactly one record of this type. Values: int, float, bool, bytes,
    str, None; int also for dates and times (in the schema's unit); Decimal for decimals of up to 38 digits and text
    beyond; JSON text for nested values.
    """
    return row_reader([(name, column_reader(avro_type)) for name, avro_type in record.fields])


def row_reader(fields: list[tuple[str, Reader]]) -> RowReader:
    """Make the reader of the fields' values one after the other; an error names its field."""
    names = [name for name, _ in fields]
    readers = [reader for _, reader in fields]

    def read(payload: bytes, position: int = 0, /) -> list[Any]:
        row: list[Any] = []
        try:
            for reader in readers:
                value, position = reader(payload, position)
                row.append(value)
        except (IndexError, UnicodeDecodeError, Undecodable) as error:
            raise field_error(names[len(row)], error) from None
        if position != len(payload):
            raise trailing(payload, position)
        return row

    return read


def field_error(name: str, error: IndexError | UnicodeDecodeError | Undecodable) -> Undecodable:
    """What a scalar's or nested value's reader raised, with the field's name."""
    if isinstance(error, Undecodable):
        return error if error.placed else Undecodable(error.error_class, f"field {name!r}: {error.detail}")
    if isinstance(error, UnicodeDecodeError):
        return Undecodable("invalid-utf8", f"field {name!r}: {error.reason}")
    return Undecodable("truncated", f"the payload ends in field {name!r}")


def trailing(payload: bytes, position: int) -> Undecodable:
    """The error of a payload that goes on behind its record."""
    return Undecodable("trailing-bytes", f"{len(payload) - position} bytes follow the record")


def column_reader(avro_type: AvroType) -> Reader:
    """The reader of one column's value."""
    inner, nullable = avro_type.unwrapped()
    if inner.kind in NESTED:
        return json_reader(avro_type)
    reader = scalar_reader(inner)
    if avro_type.kind != "union" or not nullable:
        return reader if avro_type.kind != "union" else union_reader([reader])
    return union_reader([read_null if branch.kind == "null" else reader for branch in avro_type.branches])
