"""Readers of Avro's scalar types from its binary encoding. Pure: standard library only. See avro_binary.py."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import RANGES, Undecodable, check_range, decimal_text

# Takes the payload and a position, gives the value and the position behind it. A payload that ends too soon raises
# IndexError from plain indexing: free on the good path.
Reader = Callable[[bytes, int], tuple[Any, int]]

_SQL_DECIMAL_DIGITS: Final = 38
_LAST_SHIFT: Final = 63


def union_reader(branches: list[Reader]) -> Reader:
    """Read a branch's number, then its value. For plain columns: the branches are one type and null."""
    count = len(branches)

    def read(payload: bytes, position: int) -> tuple[Any, int]:
        index, position = read_long(payload, position)
        if not 0 <= index < count:
            raise Undecodable("bad-union-branch", f"branch {index} of {count}")
        return branches[index](payload, position)

    return read


def scalar_reader(avro_type: AvroType) -> Reader:
    """The reader of any type that is no record, array, map or union; values as avro_binary.record_reader says."""
    if avro_type.logical == "decimal":
        return _decimal_reader(avro_type)
    if avro_type.kind == "fixed":
        return _uuid_reader(avro_type) if avro_type.logical == "uuid" else _fixed_reader(avro_type.size)
    if avro_type.kind == "enum":
        return _enum_reader(avro_type.symbols)
    kind = avro_type.logical or avro_type.kind
    if kind in RANGES and kind != "long":
        return _ranged_reader(kind)
    return _PRIMITIVE_READERS[avro_type.kind]


def read_null(payload: bytes, position: int) -> tuple[None, int]:
    """Nothing is written for null."""
    del payload
    return None, position


def _read_boolean(payload: bytes, position: int) -> tuple[bool, int]:
    value = payload[position]
    if value > 1:
        raise Undecodable("bad-boolean", f"byte {value}")
    return value == 1, position + 1


def read_long(payload: bytes, position: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits; also int, lengths, counts and indices."""
    byte = payload[position]
    position += 1
    if byte < 128:  # noqa: PLR2004 - the varint's continuation bit
        return (byte >> 1) ^ -(byte & 1), position
    value = byte & 127
    shift = 7
    while True:
        byte = payload[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004 - the varint's continuation bit
            break
        shift += 7
        if shift > _LAST_SHIFT:
            raise Undecodable("out-of-range", "a number of more than ten bytes")
    if value >> 64:
        raise Undecodable("out-of-range", "a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), position


def _read_bytes(payload: bytes, position: int) -> tuple[bytes, int]:
    length, position = read_long(payload, position)
    end = position + length
    if length < 0 or end > len(payload):
        raise bad_length(length, len(payload) - position)
    return payload[position:end], end


def read_string(payload: bytes, position: int) -> tuple[str, int]:
    """A length, then UTF-8."""
    length, position = read_long(payload, position)
    end = position + length
    if length < 0 or end > len(payload):
        raise bad_length(length, len(payload) - position)
    return payload[position:end].decode(), end


def bad_length(length: int, left: int) -> Undecodable:
    """The error of a length that is negative or beyond the payload's end."""
    if length < 0:
        return Undecodable("negative-length", f"length {length}")
    return Undecodable("truncated", f"length {length} with {left} bytes left")


def _float_reader(layout: struct.Struct) -> Reader:
    size = layout.size

    def read(payload: bytes, position: int) -> tuple[float, int]:
        end = position + size
        if end > len(payload):
            raise IndexError
        return layout.unpack_from(payload, position)[0], end

    return read


_PRIMITIVE_READERS: Final[dict[str, Reader]] = {
    "null": read_null,
    "boolean": _read_boolean,
    "long": read_long,
    "float": _float_reader(struct.Struct("<f")),
    "double": _float_reader(struct.Struct("<d")),
    "bytes": _read_bytes,
    "string": read_string,
}


def _ranged_reader(kind: str) -> Reader:
    low, high = RANGES[kind]

    def read(payload: bytes, position: int) -> tuple[int, int]:
        value, position = read_long(payload, position)
        if low <= value <= high:
            return value, position
        return check_range(kind, value), position

    return read


def _fixed_reader(size: int) -> Reader:
    def read(payload: bytes, position: int) -> tuple[bytes, int]:
        end = position + size
        if end > len(payload):
            raise IndexError
        return payload[position:end], end

    return read


def _uuid_reader(avro_type: AvroType) -> Reader:
    fixed = _fixed_reader(avro_type.size)

    def read(payload: bytes, position: int) -> tuple[str, int]:
        value, position = fixed(payload, position)
        return str(uuid.UUID(bytes=value)), position

    return read


def _enum_reader(symbols: tuple[str, ...]) -> Reader:
    def read(payload: bytes, position: int) -> tuple[str, int]:
        index, position = read_long(payload, position)
        if not 0 <= index < len(symbols):
            raise Undecodable("bad-enum", f"symbol {index} of {len(symbols)}")
        return symbols[index], position

    return read


def _decimal_reader(avro_type: AvroType) -> Reader:
    raw = _read_bytes if avro_type.kind == "bytes" else _fixed_reader(avro_type.size)
    precision, scale = avro_type.precision, avro_type.scale
    make: Callable[[str], Any] = Decimal if precision <= _SQL_DECIMAL_DIGITS else str

    def read(payload: bytes, position: int) -> tuple[Any, int]:
        value, position = raw(payload, position)
        if not value:
            raise Undecodable("bad-decimal", "no bytes")
        return make(decimal_text(int.from_bytes(value, "big", signed=True), precision, scale)), position

    return read
