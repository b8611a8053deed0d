"""JSON records read by an Avro record schema, without loss of numbers or keys. Pure: standard library only.

The payload is one JSON object in UTF-8. Per field:

- missing: NULL if the field is nullable, else an error; null likewise
- int, long: a number without fraction (3, 3.0 and 3e2 are; 3.5 and "3" are not), exact
- float, double: any number, rounded to the nearest; too large is an error. NaN and the infinities as the texts "NaN",
  "Infinity", "-Infinity" (the bare words are not JSON)
- decimal: a number or a text, exact; digits behind the scale are an error, not rounded
- dates, times, timestamps: the integer that the Avro type declares
- bytes, fixed: text of code points 0 to 255 (Avro's JSON encoding); uuid on fixed: the UUID's usual text
- nested values: any object or list (for a record or map: an object, for an array: a list), kept as text with its
  numbers as written; the inside is not compared with the schema

Fields that the schema does not name are ignored: a producer that adds a field must not send a whole topic to the
quarantine. The payload's key order and blanks do not matter. A key that occurs twice is an error.
"""

from __future__ import annotations

import json
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

_Converter = Callable[[Any, int], Any]  # the parsed value and the payload's size, to the column's value

_NESTED: Final[dict[str, type | tuple[type, ...]]] = {
    "record": dict,
    "map": dict,
    "array": list,
    "union": (dict, list, str, bool, int, Decimal),
}
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DECIMAL_TEXT: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # Decimal() also takes NaN, 1_0, blanks
_PLAIN_INT_DIGITS: Final = 30
_LONG_DIGITS: Final = 19
_SQL_DECIMAL_DIGITS: Final = 38


def record_reader(record: AvroType) -> Callable[[bytes], list[Any]]:
    """Make the reader of whole payloads; the same values as avro_binary.record_reader gives.

    It raises Undecodable for a payload that is not one JSON object with values of these types.
    """
    fields = [(name, *_column_converter(avro_type)) for name, avro_type in record.fields]

    def read(payload: bytes) -> list[Any]:
        found = _parse(payload)
        size = len(payload)
        row = []
        for name, convert, nullable in fields:
            value = found.get(name)
            if value is not None:
                try:
                    row.append(convert(value, size))
                except Undecodable as error:
                    raise Undecodable(error.error_class, f"field {name!r}: {error.detail}") from None
            elif nullable:
                row.append(None)
            elif name in found:
                raise Undecodable("wrong-type", f"field {name!r}: null, but it is not nullable")
            else:
                raise Undecodable("missing-field", f"field {name!r} is not nullable")
        return row

    return read


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        found = _DECODER.decode(payload.decode())
    except UnicodeDecodeError as error:
        raise Undecodable("invalid-utf8", error.reason) from None
    except json.JSONDecodeError as error:
        error_class = "trailing-bytes" if error.msg == "Extra data" else "invalid-json"
        raise Undecodable(error_class, f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Undecodable("too-deep", "nested too deeply to be parsed") from None
    if not isinstance(found, dict):
        raise Undecodable("wrong-type", f"{shown(found)} is not an object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise Undecodable("duplicate-key", f"key {shown(twice)} occurs twice")
    return found


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # the exponent itself is beyond what can be computed with
        raise Undecodable("out-of-range", f"number {shown(text)}") from None


def _integer(text: str) -> int | Decimal:
    # A number of a million digits is cheap as Decimal; int() would take time quadratic in it.
    return int(text) if len(text) < _PLAIN_INT_DIGITS else _number(text)


def _constant(text: str) -> None:
    raise Undecodable("invalid-json", f"{text} is not JSON: write it as text")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant
)


def _column_converter(avro_type: AvroType) -> tuple[_Converter, bool]:
    inner, nullable = avro_type.unwrapped()
    if inner.kind in _NESTED:
        return _nested_converter(_NESTED[inner.kind]), nullable
    if inner.logical == "decimal":
        return _decimal_converter(inner), nullable
    if inner.kind == "fixed":
        return (_uuid if inner.logical == "uuid" else _fixed_converter(inner.size)), nullable
    if inner.kind == "enum":
        return _enum_converter(frozenset(inner.symbols)), nullable
    kind = inner.logical if inner.logical in RANGES else inner.kind
    if kind in RANGES:
        return _integer_converter(kind), nullable
    return _CONVERTERS[inner.kind], nullable


def _wrong_type(wanted: str, value: Any) -> Undecodable:
    return Undecodable("wrong-type", f"{shown(value)} is not {wanted}")


def _text(value: Any, _size: int) -> str:
    if not isinstance(value, str):
        raise _wrong_type("text", value)
    return _valid(value)


def _valid(text: str) -> str:
    """JSON can spell half a character (a lone surrogate), which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Undecodable("invalid-utf8", f"lone surrogate at character {error.start}") from None
    return text


def _boolean(value: Any, _size: int) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type("true or false", value)
    return value


def _null(value: Any, _size: int) -> None:
    raise _wrong_type("null", value)


def _bytes(value: Any, _size: int) -> bytes:
    if not isinstance(value, str):
        raise _wrong_type("text", value)
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise _wrong_type("text of code points 0 to 255", value) from None


def _uuid(value: Any, _size: int) -> str:
    if not isinstance(value, str):
        raise _wrong_type("text", value)
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Undecodable("bad-uuid", shown(value)) from None


def _fixed_converter(length: int) -> _Converter:
    def convert(value: Any, size: int) -> bytes:
        found = _bytes(value, size)
        if len(found) != length:
            raise _wrong_type(f"{length} bytes", value)
        return found

    return convert


def _enum_converter(symbols: frozenset[str]) -> _Converter:
    def convert(value: Any, _size: int) -> str:
        if not isinstance(value, str):
            raise _wrong_type("text", value)
        if value not in symbols:
            raise Undecodable("bad-enum", f"{shown(value)} is no symbol")
        return value

    return convert


def _integer_converter(kind: str) -> _Converter:
    def convert(value: Any, _size: int) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise _wrong_type(f"a number ({kind})", value)
        if isinstance(value, Decimal):
            if not value.is_zero() and value.adjusted() < _LONG_DIGITS and value % 1:
                raise _wrong_type(f"a number without fraction ({kind})", value)
            value = unscaled_of(value, _LONG_DIGITS, 0)
        return check_range(kind, value)

    return convert


def _float_converter(limit: float) -> _Converter:
    def convert(value: Any, _size: int) -> float:
        if isinstance(value, str) and value in _NON_FINITE:
            return _NON_FINITE[value]
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise _wrong_type("a number", value)
        found = float(value)
        if abs(found) > limit:
            raise Undecodable("out-of-range", f"{shown(value)} exceeds {limit:g}")
        return found

    return convert


def _decimal_converter(avro_type: AvroType) -> _Converter:
    precision, scale = avro_type.precision, avro_type.scale
    make: Callable[[str], Any] = Decimal if precision <= _SQL_DECIMAL_DIGITS else str

    def convert(value: Any, _size: int) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise _wrong_type("a decimal number", value)
        if isinstance(value, str) and not _DECIMAL_TEXT.fullmatch(value):
            raise Undecodable("bad-decimal", shown(value))
        number = _number(value) if isinstance(value, str) else Decimal(value)
        return make(decimal_text(unscaled_of(number, precision, scale), precision, scale))

    return convert


def _nested_converter(wanted: type | tuple[type, ...]) -> _Converter:
    def convert(value: Any, size: int) -> str:
        if not isinstance(value, wanted):
            raise _wrong_type("an object" if wanted is dict else "a list", value)
        return _valid(json_text(value, size))

    return convert


_CONVERTERS: Final[dict[str, _Converter]] = {
    "null": _null,
    "boolean": _boolean,
    "float": _float_converter(struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]),
    "double": _float_converter(1.7976931348623157e308),
    "bytes": _bytes,
    "string": _text,
}
