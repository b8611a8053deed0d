"""From values as a JSON parser gives them to a column's values, for fields that an Avro type declares. Pure.

Numbers come as int or, with a fraction, an exponent or many digits, as Decimal: none has been through a float. See
json_record.py for the rules.
"""

from __future__ import annotations

import math
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import (
    RANGES,
    Undecodable,
    check_range,
    decimal_text,
    json_text,
    shown,
    unscaled_of,
)

Converter = Callable[[Any, int], Any]  # the parsed value and the payload's size, to the column's value

_NESTED: Final[dict[str, type | tuple[type, ...]]] = {
    "record": dict,
    "map": dict,
    "array": list,
    "union": (dict, list, str, bool, int, Decimal),
}
NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DECIMAL_TEXT: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # Decimal() also takes NaN, 1_0, blanks
_LONG_DIGITS: Final = 19
_SQL_DECIMAL_DIGITS: Final = 38


def number_of(text: str) -> Decimal:
    """The exact number that the text writes. Raises Undecodable where nothing can be computed with it."""
    try:
        return Decimal(text)
    except InvalidOperation:  # the exponent itself is beyond what can be computed with
        raise Undecodable("out-of-range", f"number {shown(text)}") from None


def avro_converter(avro_type: AvroType) -> Converter:
    """The converter of a field that an Avro type declares; a nullable one's for the values that are not null."""
    inner, _ = avro_type.unwrapped()
    if inner.kind in _NESTED:
        return _nested_converter(_NESTED[inner.kind])
    if inner.logical == "decimal":
        return _decimal_converter(inner)
    if inner.kind == "fixed":
        return _uuid if inner.logical == "uuid" else _fixed_converter(inner.size)
    if inner.kind == "enum":
        return _enum_converter(frozenset(inner.symbols))
    kind = inner.logical if inner.logical in RANGES else inner.kind
    if kind in RANGES:
        return _integer_converter(kind)
    return _CONVERTERS[inner.kind]


def wrong_type(wanted: str, value: Any) -> Undecodable:
    """The error of a value that is none of what was declared."""
    return Undecodable("wrong-type", f"{shown(value)} is not {wanted}")


def _text(value: Any, _size: int) -> str:
    if not isinstance(value, str):
        raise wrong_type("text", value)
    return valid_text(value)


def valid_text(text: str) -> str:
    """JSON can spell half a character (a lone surrogate), which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Undecodable("invalid-utf8", f"lone surrogate at character {error.start}") from None
    return text


def _boolean(value: Any, _size: int) -> bool:
    if not isinstance(value, bool):
        raise wrong_type("true or false", value)
    return value


def _null(value: Any, _size: int) -> None:
    raise wrong_type("null", value)


def _bytes(value: Any, _size: int) -> bytes:
    if not isinstance(value, str):
        raise wrong_type("text", value)
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise wrong_type("text of code points 0 to 255", value) from None


def _uuid(value: Any, _size: int) -> str:
    if not isinstance(value, str):
        raise wrong_type("text", value)
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Undecodable("bad-uuid", shown(value)) from None


def _fixed_converter(length: int) -> Converter:
    def convert(value: Any, size: int) -> bytes:
        found = _bytes(value, size)
        if len(found) != length:
            raise wrong_type(f"{length} bytes", value)
        return found

    return convert


def _enum_converter(symbols: frozenset[str]) -> Converter:
    def convert(value: Any, _size: int) -> str:
        if not isinstance(value, str):
            raise wrong_type("text", value)
        if value not in symbols:
            raise Undecodable("bad-enum", f"{shown(value)} is no symbol")
        return value

    return convert


def _integer_converter(kind: str) -> Converter:
    def convert(value: Any, _size: int) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise wrong_type(f"a number ({kind})", value)
        if isinstance(value, Decimal):
            if not value.is_zero() and value.adjusted() < _LONG_DIGITS and value % 1:
                raise wrong_type(f"a number without fraction ({kind})", value)
            value = unscaled_of(value, _LONG_DIGITS, 0)
        return check_range(kind, value)

    return convert


def _float_converter(limit: float) -> Converter:
    def convert(value: Any, _size: int) -> float:
        if isinstance(value, str) and value in NON_FINITE:
            return NON_FINITE[value]
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise wrong_type("a number", value)
        found = float(value)
        if abs(found) > limit:
            raise Undecodable("out-of-range", f"{shown(value)} exceeds {limit:g}")
        return found

    return convert


def _decimal_converter(avro_type: AvroType) -> Converter:
    precision, scale = avro_type.precision, avro_type.scale
    make: Callable[[str], Any] = Decimal if precision <= _SQL_DECIMAL_DIGITS else str

    def convert(value: Any, _size: int) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise wrong_type("a decimal number", value)
        if isinstance(value, str) and not _DECIMAL_TEXT.fullmatch(value):
            raise Undecodable("bad-decimal", shown(value))
        number = number_of(value) if isinstance(value, str) else Decimal(value)
        return make(decimal_text(unscaled_of(number, precision, scale), precision, scale))

    return convert


def _nested_converter(wanted: type | tuple[type, ...]) -> Converter:
    def convert(value: Any, size: int) -> str:
        if not isinstance(value, wanted):
            raise wrong_type("an object" if wanted is dict else "a list", value)
        return valid_text(json_text(value, size))

    return convert


_CONVERTERS: Final[dict[str, Converter]] = {
    "null": _null,
    "boolean": _boolean,
    "float": _float_converter(struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]),
    "double": _float_converter(1.7976931348623157e308),
    "bytes": _bytes,
    "string": _text,
}
