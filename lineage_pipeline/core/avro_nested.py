"""Readers of Avro's nested types as JSON text, with a budget of values and depth. Pure: standard library only.

See avro_binary.py for what is bounded, record_values.py for the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lineage_pipeline.core.avro_scalars import Reader, bad_length, read_long, read_string, scalar_reader
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import (
    FREE_VALUES,
    MAX_DEPTH,
    VALUES_PER_BYTE,
    Undecodable,
    json_text,
    shown,
)


def json_reader(avro_type: AvroType) -> Reader:
    """Read a nested value as JSON text; NULL stays NULL."""
    return as_json(nested_reader(avro_type, {}))


def as_json(nested: Nested) -> Reader:
    """The value that `nested` reads, as JSON text; NULL stays NULL."""

    def read(payload: bytes, position: int) -> tuple[str | None, int]:
        value, position = nested(payload, position, Budget(len(payload)))
        return (None if value is None else json_text(value, len(payload))), position

    return read


def unread(nested: Nested) -> Reader:
    """Passes over the value that `nested` reads, with the same bounds and checks."""

    def read(payload: bytes, position: int) -> tuple[None, int]:
        return None, nested(payload, position, Budget(len(payload)))[1]

    return read


class Budget:
    """What one nested value may still use."""

    __slots__ = ("depth", "values")

    def __init__(self, payload_size: int) -> None:
        self.values = FREE_VALUES + VALUES_PER_BYTE * payload_size
        self.depth = MAX_DEPTH

    def enter(self) -> None:
        """Go one deeper. Raises Undecodable at the bottom, as the next does when nothing is left."""
        self.depth -= 1
        if self.depth < 0:
            raise Undecodable("too-deep", f"nested more than {MAX_DEPTH} deep")

    def leave(self) -> None:
        """Come up again."""
        self.depth += 1

    def take(self, count: int) -> None:
        """Use up that many values."""
        self.values -= count
        if self.values < 0:
            raise Undecodable("too-large", "more nested values than a payload of this size may hold")


# Like a Reader, but of any type and within a budget; gives the value as it stands inside JSON text.
Nested = Callable[[bytes, int, Budget], tuple[Any, int]]


def nested_reader(avro_type: AvroType, compiled: dict[int, Nested]) -> Nested:
    """Read any value as it stands inside JSON text; `compiled` collects readers of records, by their type's id()."""
    if avro_type.kind == "record":
        return _nested_record(avro_type, compiled)
    if avro_type.kind == "union":
        return _nested_union(avro_type, compiled)
    if avro_type.kind in ("array", "map"):
        assert avro_type.items is not None
        item = nested_reader(avro_type.items, compiled)
        return blocks_reader(item, keyed=avro_type.kind == "map")
    return nested_scalar(scalar_reader(avro_type), avro_type)


def nested_scalar(reader: Reader, avro_type: AvroType) -> Nested:
    """What `reader` reads as a column's value of this scalar type, as it stands inside JSON text."""
    plain = json_scalar(avro_type)
    if plain is None:
        return lambda payload, position, _budget: reader(payload, position)

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        del budget
        value, position = reader(payload, position)
        return plain(value), position

    return read


def json_scalar(avro_type: AvroType) -> Callable[[Any], Any] | None:
    """From a column's value of this scalar type to the value inside JSON text; None where they are the same."""
    if avro_type.logical == "uuid":
        return None
    return _JSON_SCALARS.get("decimal" if avro_type.logical == "decimal" else avro_type.kind)


_JSON_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": lambda value: value.decode("latin-1"),
    "fixed": lambda value: value.decode("latin-1"),
    "decimal": str,
}


def _nested_record(avro_type: AvroType, compiled: dict[int, Nested]) -> Nested:
    if id(avro_type) in compiled:
        return compiled[id(avro_type)]
    fields: list[tuple[str, Nested]] = []

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        budget.enter()
        budget.take(1 + len(fields))
        value = {}
        for name, reader in fields:
            value[name], position = reader(payload, position, budget)
        budget.leave()
        return value, position

    compiled[id(avro_type)] = read  # before the fields: they may hold this record again
    fields.extend((name, nested_reader(one, compiled)) for name, one in avro_type.fields)
    return read


def _nested_union(avro_type: AvroType, compiled: dict[int, Nested]) -> Nested:
    branches = [(branch.label, nested_reader(branch, compiled)) for branch in avro_type.branches]
    tagged = sum(label != "null" for label, _ in branches) > 1

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        index, position = read_long(payload, position)
        if not 0 <= index < len(branches):
            raise Undecodable("bad-union-branch", f"branch {index} of {len(branches)}")
        label, reader = branches[index]
        value, position = reader(payload, position, budget)
        return ({label: value} if tagged and label != "null" else value), position

    return read


def blocks_reader(item: Nested, *, keyed: bool) -> Nested:
    """Read an array, or `keyed` a map: blocks of items, until an empty one."""
    add = _map_adder(item) if keyed else _list_adder(item)

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
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
    count, position = read_long(payload, position)
    if count >= 0:
        return count, None, position
    size, position = read_long(payload, position)
    if size < 0 or position + size > len(payload):
        raise bad_length(size, len(payload) - position)
    return -count, position + size, position


_Adder = Callable[[bytes, int, Budget, Any], int]


def _list_adder(item: Nested) -> _Adder:
    def add(payload: bytes, position: int, budget: Budget, into: list[Any]) -> int:
        value, position = item(payload, position, budget)
        into.append(value)
        return position

    return add


def _map_adder(item: Nested) -> _Adder:
    def add(payload: bytes, position: int, budget: Budget, into: dict[str, Any]) -> int:
        key, position = read_string(payload, position)
        if key in into:
            raise Undecodable("duplicate-key", f"map key {shown(key)} occurs twice")
        into[key], position = item(payload, position, budget)
        return position

    return add
