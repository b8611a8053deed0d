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

import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import (
    FREE_VALUES,
    MAX_DEPTH,
    RANGES,
    VALUES_PER_BYTE,
    Undecodable,
    check_range,
    decimal_text,
    json_text,
    shown,
)

# Takes the payload and a position, gives the value and the position behind it. A payload that ends too soon raises
# IndexError from plain indexing: free on the good path.
Reader = Callable[[bytes, int], tuple[Any, int]]

_CONTAINERS: Final = frozenset({"record", "array", "map", "union"})
_SQL_DECIMAL_DIGITS: Final = 38
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_LAST_SHIFT: Final = 63


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
    if inner.kind in _CONTAINERS:
        return _json_reader(avro_type)
    reader = _scalar_reader(inner)
    if avro_type.kind != "union" or not nullable:
        return reader if avro_type.kind != "union" else _union_reader([reader])
    return _union_reader([_read_null if branch.kind == "null" else reader for branch in avro_type.branches])


def _union_reader(branches: list[Reader]) -> Reader:
    count = len(branches)

    def read(payload: bytes, position: int) -> tuple[Any, int]:
        index, position = _read_long(payload, position)
        if not 0 <= index < count:
            raise Undecodable("bad-union-branch", f"branch {index} of {count}")
        return branches[index](payload, position)

    return read


def _scalar_reader(avro_type: AvroType) -> Reader:
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


def _read_null(payload: bytes, position: int) -> tuple[None, int]:
    del payload
    return None, position


def _read_boolean(payload: bytes, position: int) -> tuple[bool, int]:
    value = payload[position]
    if value > 1:
        raise Undecodable("bad-boolean", f"byte {value}")
    return value == 1, position + 1


def _read_long(payload: bytes, position: int) -> tuple[int, int]:
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
    length, position = _read_long(payload, position)
    end = position + length
    if length < 0 or end > len(payload):
        raise _bad_length(length, len(payload) - position)
    return payload[position:end], end


def _read_string(payload: bytes, position: int) -> tuple[str, int]:
    length, position = _read_long(payload, position)
    end = position + length
    if length < 0 or end > len(payload):
        raise _bad_length(length, len(payload) - position)
    return payload[position:end].decode(), end


def _bad_length(length: int, left: int) -> Undecodable:
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
    "null": _read_null,
    "boolean": _read_boolean,
    "long": _read_long,
    "float": _float_reader(_FLOAT),
    "double": _float_reader(_DOUBLE),
    "bytes": _read_bytes,
    "string": _read_string,
}


def _ranged_reader(kind: str) -> Reader:
    low, high = RANGES[kind]

    def read(payload: bytes, position: int) -> tuple[int, int]:
        value, position = _read_long(payload, position)
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
        index, position = _read_long(payload, position)
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


def _json_reader(avro_type: AvroType) -> Reader:
    """Read a nested value as JSON text; NULL stays NULL."""
    compiled: dict[int, _Nested] = {}
    nested = _nested_reader(avro_type, compiled)

    def read(payload: bytes, position: int) -> tuple[str | None, int]:
        value, position = nested(payload, position, _Budget(len(payload)))
        return (None if value is None else json_text(value, len(payload))), position

    return read


class _Budget:
    """What one nested value may still use."""

    __slots__ = ("depth", "values")

    def __init__(self, payload_size: int) -> None:
        self.values = FREE_VALUES + VALUES_PER_BYTE * payload_size
        self.depth = MAX_DEPTH

    def enter(self) -> None:
        self.depth -= 1
        if self.depth < 0:
            raise Undecodable("too-deep", f"nested more than {MAX_DEPTH} deep")

    def leave(self) -> None:
        self.depth += 1

    def take(self, count: int) -> None:
        self.values -= count
        if self.values < 0:
            raise Undecodable("too-large", "more nested values than a payload of this size may hold")


_Nested = Callable[[bytes, int, _Budget], tuple[Any, int]]


def _nested_reader(avro_type: AvroType, compiled: dict[int, _Nested]) -> _Nested:
    if avro_type.kind == "record":
        return _nested_record(avro_type, compiled)
    if avro_type.kind == "union":
        return _nested_union(avro_type, compiled)
    if avro_type.kind in ("array", "map"):
        assert avro_type.items is not None
        item = _nested_reader(avro_type.items, compiled)
        return _blocks_reader(item, keyed=avro_type.kind == "map")
    reader = _scalar_reader(avro_type)
    plain = _JSON_SCALARS.get("decimal" if avro_type.logical == "decimal" else avro_type.kind)
    if plain is None or avro_type.logical == "uuid":
        return lambda payload, position, _budget: reader(payload, position)

    def read(payload: bytes, position: int, budget: _Budget) -> tuple[Any, int]:
        del budget
        value, position = reader(payload, position)
        return plain(value), position

    return read


_JSON_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": lambda value: value.decode("latin-1"),
    "fixed": lambda value: value.decode("latin-1"),
    "decimal": str,
}


def _nested_record(avro_type: AvroType, compiled: dict[int, _Nested]) -> _Nested:
    if id(avro_type) in compiled:
        return compiled[id(avro_type)]
    fields: list[tuple[str, _Nested]] = []

    def read(payload: bytes, position: int, budget: _Budget) -> tuple[Any, int]:
        budget.enter()
        budget.take(1 + len(fields))
        value = {}
        for name, reader in fields:
            value[name], position = reader(payload, position, budget)
        budget.leave()
        return value, position

    compiled[id(avro_type)] = read  # before the fields: they may hold this record again
    fields.extend((name, _nested_reader(one, compiled)) for name, one in avro_type.fields)
    return read


def _nested_union(avro_type: AvroType, compiled: dict[int, _Nested]) -> _Nested:
    branches = [(branch.label, _nested_reader(branch, compiled)) for branch in avro_type.branches]
    tagged = sum(label != "null" for label, _ in branches) > 1

    def read(payload: bytes, position: int, budget: _Budget) -> tuple[Any, int]:
        index, position = _read_long(payload, position)
        if not 0 <= index < len(branches):
            raise Undecodable("bad-union-branch", f"branch {index} of {len(branches)}")
        label, reader = branches[index]
        value, position = reader(payload, position, budget)
        return ({label: value} if tagged and label != "null" else value), position

    return read


def _blocks_reader(item: _Nested, *, keyed: bool) -> _Nested:
    """Arrays and maps: blocks of items, until an empty one."""
    add = _map_adder(item) if keyed else _list_adder(item)

    def read(payload: bytes, position: int, budget: _Budget) -> tuple[Any, int]:
        budget.enter()
        values: Any = {} if keyed else []
        count, end, position = _block_header(payload, position)
        while count:
            budget.take(count)
            for _ in range(count):
                position = add(payload, position, budget, values)
            if end is not None and position != end:
                raise Undecodable("bad-block-size", f"{count} items end {position - end} bytes off their block's size")
            count, end, position = _block_header(payload, position)
        budget.leave()
        return values, position

    return read


def _block_header(payload: bytes, position: int) -> tuple[int, int | None, int]:
    """Number of items, where the block says it ends (a negative count announces its size), position of the first."""
    count, position = _read_long(payload, position)
    if count >= 0:
        return count, None, position
    size, position = _read_long(payload, position)
    if size < 0 or position + size > len(payload):
        raise _bad_length(size, len(payload) - position)
    return -count, position + size, position


_Adder = Callable[[bytes, int, _Budget, Any], int]


def _list_adder(item: _Nested) -> _Adder:
    def add(payload: bytes, position: int, budget: _Budget, into: list[Any]) -> int:
        value, position = item(payload, position, budget)
        into.append(value)
        return position

    return add


def _map_adder(item: _Nested) -> _Adder:
    def add(payload: bytes, position: int, budget: _Budget, into: dict[str, Any]) -> int:
        key, position = _read_string(payload, position)
        if key in into:
            raise Undecodable("duplicate-key", f"map key {shown(key)} occurs twice")
        into[key], position = item(payload, position, budget)
        return position

    return add
