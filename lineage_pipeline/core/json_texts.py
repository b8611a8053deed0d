"""How a JSON Schema and a list of columns spell values: texts of times, base64, numbers that nothing may round. Pure.

- timestamp: RFC 3339 text with its offset from UTC (2026-01-31T12:00:00.5+01:00, also with a blank for the T and
  +0100), to an integer since 1970 of the column's unit; local_timestamp: the same without an offset; date: 2026-01-31;
  time: 12:00:00.5. Digits that the unit cannot hold are an error, unless they are zeros
- float, double: a number that the column gives back as it was written: its shortest text, or that of 17 digits (9 of a
  float), or its exact expansion is the number. 0.1 is kept, 0.1234567890123456789 is an error instead of a rounded one.
  NaN and the infinities as texts, as json_values.py has them
- bytes: base64 text
- several types: whatever is of one of them, as JSON text
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import numpy as np

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.declared_field import DeclaredField
from lineage_pipeline.core.json_values import (
    Converter,
    avro_converter,
    valid_text,
    wrong_type,
)
from lineage_pipeline.core.record_values import LONG_RANGE, RANGES, Undecodable, check_range, json_text, shown

_DAY: Final = r"(\d{4})-(\d\d)-(\d\d)"
_CLOCK: Final = r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
_DATE: Final = re.compile(_DAY, re.ASCII)
_TIME: Final = re.compile(_CLOCK, re.ASCII)
_TIMESTAMP: Final = re.compile(rf"{_DAY}[Tt ]{_CLOCK}([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_FLOAT: Final = struct.Struct("<f")
_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()
_DIGITS: Final = {"millis": 3, "micros": 6, "nanos": 9}
_LAST_OFFSET: Final = (23, 59)


def declared_converter(field: DeclaredField) -> Converter:
    """The converter of the field's values that are not null. It raises Undecodable."""
    if field.spelling == "avro":
        return avro_converter(field.type)
    if field.spelling.startswith("union:"):
        return _union_converter(field.spelling.removeprefix("union:").split(","))
    return TEXTS[field.spelling](field)


def _matched(pattern: re.Pattern[str], value: Any, wanted: str) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise wrong_type(f"the text of a {wanted}", value)
    found = pattern.fullmatch(value)
    if found is None:
        raise Undecodable("bad-time", f"{shown(value)} is no {wanted}")
    return found.groups(default="")


def _days(year: str, month: str, day: str) -> int:
    try:
        return dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise Undecodable("bad-time", str(error)) from None


def _clock(parts: tuple[str, ...], digits: int) -> int:
    """Hours, minutes, seconds and the digits of a fraction, in units of 10**-digits seconds."""
    try:
        at = dt.time(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError as error:
        raise Undecodable("bad-time", str(error)) from None
    fraction = parts[3].rstrip("0")
    if len(fraction) > digits:
        raise Undecodable("out-of-range", f"fraction .{fraction[:30]} of a second has more than {digits} digits")
    seconds = at.hour * 3600 + at.minute * 60 + at.second
    return int(seconds * 10**digits) + int(fraction.ljust(digits, "0"))


def _offset_seconds(offset: str) -> int:
    if offset in ("Z", "z"):
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > _LAST_OFFSET[0] or minutes > _LAST_OFFSET[1]:
        raise Undecodable("bad-time", f"offset {offset} from UTC")
    seconds = hours * 3600 + minutes * 60
    return -seconds if offset[0] == "-" else seconds


def _timestamp_converter(field: DeclaredField) -> Converter:
    logical = field.type.logical or ""
    local = logical.startswith("local-")
    digits = _DIGITS[logical.rpartition("-")[2]]
    low, high = RANGES.get(logical, LONG_RANGE)

    def convert(value: Any, _size: int) -> int:
        parts = _matched(_TIMESTAMP, value, "timestamp")
        offset = parts[7]
        if local and offset:
            raise Undecodable("bad-time", f"{shown(value)} has an offset from UTC, a local timestamp has none")
        if not local and not offset:
            raise Undecodable("bad-time", f"{shown(value)} has no offset from UTC, so it is no instant")
        whole: int = _days(*parts[:3]) * 86_400 - (0 if local else _offset_seconds(offset))
        instant: int = whole * int(10**digits) + _clock(parts[3:7], digits)
        if not low <= instant <= high:
            raise Undecodable("out-of-range", f"{shown(value)} is beyond what {logical} can hold")
        return instant

    return convert


def _date_converter(_field: DeclaredField) -> Converter:
    return lambda value, _size: _days(*_matched(_DATE, value, "date"))


def _time_converter(_field: DeclaredField) -> Converter:
    return lambda value, _size: check_range("time-millis", _clock(_matched(_TIME, value, "time"), 3))


def _base64_converter(_field: DeclaredField) -> Converter:
    def convert(value: Any, _size: int) -> bytes:
        if not isinstance(value, str):
            raise wrong_type("base64 text", value)
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise wrong_type("base64 text", value) from None

    return convert


def _exact_converter(field: DeclaredField) -> Converter:
    plain = avro_converter(AvroType("double"))
    single = field.type.unwrapped()[0].kind == "float"
    spellings = _float_spellings if single else _double_spellings

    def convert(value: Any, size: int) -> float:
        found: float = plain(value, size)
        if isinstance(value, str):  # NaN and the infinities
            return found
        found = _nearest_float(found) if single else found
        if Decimal(repr(found)) == value or Decimal(found) == value:
            return found
        if not any(Decimal(text) == value for text in spellings(found)):
            kind = "float" if single else "double"
            raise Undecodable("out-of-range", f"{shown(value)} has more digits than a {kind} keeps: nearest {found!r}")
        return found

    return convert


def _nearest_float(value: float) -> float:
    try:
        found: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    except OverflowError:
        raise Undecodable("out-of-range", f"{value!r} is beyond what a float can hold") from None
    return found


def _double_spellings(found: float) -> Iterator[str]:
    yield repr(found)
    yield f"{found:.17g}"


def _float_spellings(found: float) -> Iterator[str]:
    yield np.format_float_scientific(np.float32(found))
    yield f"{found:.9g}"
    yield from _double_spellings(found)  # writers that made a double of it first


def _is_integer(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return False
    if isinstance(value, int) or value.is_zero():
        return True
    exponent = value.as_tuple().exponent
    # Without a fraction, without computing with exponents of any size.
    digits = value.as_tuple().digits
    return isinstance(exponent, int) and (exponent >= 0 or (-exponent < len(digits) and not any(digits[exponent:])))


_JSON_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, Decimal)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def _union_converter(types: list[str]) -> Converter:
    tests = [_JSON_TYPES[one] for one in types]
    wanted = " or ".join(types)

    def convert(value: Any, size: int) -> str:
        if not any(test(value) for test in tests):
            raise wrong_type(wanted, value)
        return valid_text(json_text(value, size))

    return convert


TEXTS: Final[dict[str, Callable[[DeclaredField], Converter]]] = {
    "timestamp": _timestamp_converter,
    "date": _date_converter,
    "time": _time_converter,
    "base64": _base64_converter,
    "exact": _exact_converter,
}
