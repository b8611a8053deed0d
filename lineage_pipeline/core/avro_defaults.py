"""Defaults of Avro fields, from the schema's JSON to the values that the readers give. Pure: standard library only.

A default of a union is a value of its first branch that can hold it (Avro 1.12; before, only of the first one).
"""

from __future__ import annotations

import math
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from lineage_pipeline.core.avro_nested import json_scalar
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import MAX_DEPTH, RANGES, Undecodable, decimal_text, json_text, shown

_SQL_DECIMAL_DIGITS: Final = 38
_NESTED: Final = frozenset({"record", "array", "map", "union"})
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT: Final = struct.Struct("<f")


def column_default(avro_type: AvroType, default: Any) -> Any:
    """The default as a column's value. Raises ValueError, in words, when it is no value of the type."""
    inner, nullable = avro_type.unwrapped()
    if default is None and nullable:
        return None
    try:
        if inner.kind in _NESTED:
            # The text has the size it has: it stands in the table's own schema, no payload asked for it.
            return json_text(nested_default(avro_type, default), len(str(default)) + 1_000_000)
        return _scalar(inner, default)
    except Undecodable as error:
        raise ValueError(error.detail) from None


def nested_default(avro_type: AvroType, default: Any, depth: int = MAX_DEPTH) -> Any:
    """The default as it stands inside JSON text. Raises ValueError, in words, when it is no value of the type."""
    if depth < 0:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if avro_type.kind == "union":
        return _branch(avro_type, default, depth)
    if avro_type.kind == "record":
        return _record(avro_type, default, depth)
    if avro_type.kind in ("array", "map"):
        assert avro_type.items is not None
        if avro_type.kind == "array" and isinstance(default, list):
            return [nested_default(avro_type.items, one, depth - 1) for one in default]
        if avro_type.kind == "map" and isinstance(default, dict):
            return {key: nested_default(avro_type.items, one, depth - 1) for key, one in default.items()}
        raise _unfit(avro_type, default)
    plain = json_scalar(avro_type)
    value = _scalar(avro_type, default)
    return value if plain is None else plain(value)


def _branch(union: AvroType, default: Any, depth: int) -> Any:
    tagged = sum(branch.kind != "null" for branch in union.branches) > 1
    for branch in union.branches:
        try:
            value = nested_default(branch, default, depth - 1)
        except (ValueError, Undecodable):
            continue
        return {branch.label: value} if tagged and branch.kind != "null" else value
    raise _unfit(union, default)


def _record(record: AvroType, default: Any, depth: int) -> dict[str, Any]:
    if not isinstance(default, dict):
        raise _unfit(record, default)
    value = {}
    for name, avro_type in record.fields:
        if name not in default and name not in record.defaults:
            raise ValueError(f"{shown(default)} lacks {name!r} of {record.words}")
        value[name] = nested_default(avro_type, default.get(name, record.defaults.get(name)), depth - 1)
    return value


def _scalar(avro_type: AvroType, default: Any) -> Any:
    if avro_type.logical == "decimal":
        return _decimal(avro_type, default)
    kind = avro_type.logical if avro_type.logical in RANGES else avro_type.kind
    if kind in RANGES:
        low, high = RANGES[kind]
        if isinstance(default, int) and not isinstance(default, bool) and low <= default <= high:
            return default
    elif kind == "enum":
        if default in avro_type.symbols:
            return default
    elif kind == "fixed":
        value = _bytes(default)
        if value is not None and len(value) == avro_type.size:
            return str(uuid.UUID(bytes=value)) if avro_type.logical == "uuid" else value
    else:
        fits, convert = _SCALARS[kind]
        if fits(default):
            return convert(default)
    raise _unfit(avro_type, default)


def _decimal(avro_type: AvroType, default: Any) -> Any:
    value = _bytes(default)
    if not value or (avro_type.kind == "fixed" and len(value) != avro_type.size):
        raise _unfit(avro_type, default)
    text = decimal_text(int.from_bytes(value, "big", signed=True), avro_type.precision, avro_type.scale)
    return Decimal(text) if avro_type.precision <= _SQL_DECIMAL_DIGITS else text


def _bytes(default: Any) -> bytes | None:
    try:
        return default.encode("latin-1") if isinstance(default, str) else None
    except UnicodeEncodeError:
        return None


def _is_number(default: Any) -> bool:
    if isinstance(default, str):
        return default in _NON_FINITE
    return isinstance(default, (int, float)) and not isinstance(default, bool)


def _number(default: Any) -> float:
    return _NON_FINITE[default] if isinstance(default, str) else float(default)


def _single(default: Any) -> float:
    """As a float of 32 bits; what is too large for one becomes infinite, as it does when it is written."""
    number = _number(default)
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def _is_utf8(default: Any) -> bool:
    return isinstance(default, str) and not any("\ud800" <= char <= "\udfff" for char in default)


_SCALARS: Final[dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]]] = {
    "null": (lambda default: default is None, lambda default: default),
    "boolean": (lambda default: isinstance(default, bool), lambda default: default),
    "float": (_is_number, _single),
    "double": (_is_number, _number),
    "string": (_is_utf8, lambda default: default),
    "bytes": (lambda default: _bytes(default) is not None, _bytes),
}


def _unfit(avro_type: AvroType, default: Any) -> ValueError:
    return ValueError(f"{shown(default)} is no value of {avro_type.words}")
