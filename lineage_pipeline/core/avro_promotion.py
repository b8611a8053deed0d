"""Scalars written with one Avro type and read as another. Pure: standard library only.

Avro's promotions: int to long, float and double; long to float and double; float to double; string and bytes into
each other. Avro compares no logical types; here two that differ do not resolve (microseconds read as milliseconds
would be wrong by a factor of 1,000, silently), nor do decimals of different scale. Where only one side has a logical
type, the table's counts: producers add such annotations later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from lineage_pipeline.core.avro_scalars import Reader, read_long, scalar_reader
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import RANGES, Undecodable, check_range

_INTEGERS: Final = ("int", "long")
_TO_FLOATING: Final = frozenset(
    {("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double")}
)
_TEXTS: Final = frozenset({("string", "bytes"), ("bytes", "string")})
_FLOAT: Final = struct.Struct("<f")


class Unresolvable(Exception):  # noqa: N818 - it says what two schemas are; it ends in a quarantine row
    """Data of one schema cannot be read as another; the text names the field and both types."""


def unresolvable(path: str, written: AvroType, table: AvroType, because: str = "") -> Unresolvable:
    """The field at `path` has two types that do not go together."""
    return Unresolvable(f"field {path!r}: written as {written.words}, the table has {table.words}{because}")


def resolved_scalar(written: AvroType, table: AvroType, path: str) -> Reader:
    """The reader of a value that was written as one scalar type, in the values of another.

    Raises Unresolvable when the types do not go together.
    """
    if written.logical and table.logical and written.logical != table.logical:
        raise unresolvable(path, written, table)
    if written.kind == table.kind:
        return _same_kind(written, table, path)
    if written.kind == "int" and table.kind == "long":
        return _widened(table.logical or table.kind)
    if (written.kind, table.kind) in _TO_FLOATING:
        return _floating(written.kind, table.kind)
    if (written.kind, table.kind) in _TEXTS and "decimal" not in (written.logical, table.logical):
        text = scalar_reader(AvroType("string"))
        return text if table.kind == "string" else _mapped(text, str.encode)
    raise unresolvable(path, written, table)


def same_name(written: AvroType, table: AvroType) -> bool:
    """Whether a named type goes by the other's name: without the namespace, or by an alias of the table's schema."""
    simple = _simple(written.name)
    return simple == _simple(table.name) or simple in {_simple(alias) for alias in table.aliases}


def distance(written: AvroType, table: AvroType) -> int:
    """How far the names of two types are apart: the same, the same without the namespace, another (by an alias)."""
    if written.name == table.name:
        return 0
    return 1 if _simple(written.name) == _simple(table.name) else 2


def _same_kind(written: AvroType, table: AvroType, path: str) -> Reader:
    if written.kind in ("enum", "fixed") and not same_name(written, table):
        raise unresolvable(path, written, table, " (an alias in the table's schema would join them)")
    if written.kind == "fixed" and written.size != table.size:
        raise unresolvable(path, written, table, f" (of {written.size} and {table.size} bytes)")
    if written.logical == table.logical == "decimal" and written.scale != table.scale:
        raise unresolvable(path, written, table)
    if written.kind == "enum":
        return _symbols(written, table)
    return scalar_reader(table)


def _symbols(written: AvroType, table: AvroType) -> Reader:
    known = [symbol if symbol in table.symbols else table.default_symbol for symbol in written.symbols]
    name, count = table.name, len(known)

    def read(payload: bytes, position: int) -> tuple[str, int]:
        index, position = read_long(payload, position)
        if not 0 <= index < count:
            raise Undecodable("bad-enum", f"symbol {index} of {count}")
        symbol = known[index]
        if symbol is None:
            raise Undecodable(
                "unresolvable", f"symbol {written.symbols[index]!r} is not in the table's enum {name}, nor is a default"
            )
        return symbol, position

    return read


def _widened(kind: str) -> Reader:
    if kind not in RANGES or kind == "long":
        return scalar_reader(AvroType("int"))
    return _mapped(scalar_reader(AvroType("int")), lambda value: check_range(kind, value))


def _floating(written: str, table: str) -> Reader:
    reader = scalar_reader(AvroType(written))
    if written == "float":
        return reader
    return _mapped(reader, float if table == "double" else _single)


def _single(value: int) -> float:
    return float(_FLOAT.unpack(_FLOAT.pack(value))[0])


def _mapped(reader: Reader, convert: Callable[[Any], Any]) -> Reader:
    def read(payload: bytes, position: int) -> tuple[Any, int]:
        value, position = reader(payload, position)
        return convert(value), position

    return read


def _simple(name: str) -> str:
    return name.rpartition(".")[2]


def none_of(path: str, written: AvroType, table: AvroType, tried: Iterable[Unresolvable]) -> Unresolvable:
    """None of a union's branches goes; with the reason of the only one that was tried."""
    reasons = [str(one) for one in tried]
    return Unresolvable(reasons[0]) if len(reasons) == 1 else unresolvable(path, written, table)
