"""What the decoders of all formats share: error words, ranges of values, exact text. Pure: standard library only.

A record that cannot be decoded is described as `<class>: <detail>`. The class is one of `ERROR_CLASSES`, is stable and
is meant for grouping; the detail is meant for people and may change.

Nested values become JSON text. It follows Avro's JSON encoding (bytes and fixed as text of code points 0 to 255; a
value of a union with several non-null branches as {"branch": value}) with three differences: a nullable value is
not wrapped, decimals are text like "12.30", and NaN and the infinities are the texts "NaN", "Infinity" and "-Infinity".
Dates and times inside nested values stay the integers that the schema declares.
"""

from __future__ import annotations

import math
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Final

ERROR_CLASSES: Final = frozenset(
    {
        "bad-block-size",  # an array or map block does not have the size it declares
        "bad-boolean",  # a boolean byte other than 0 and 1
        "bad-decimal",  # bytes or text that are no decimal number
        "bad-enum",  # not a symbol of the enum
        "bad-magic-byte",  # the payload does not begin as a registry's serializers write it
        "bad-schema",  # the schema that the record names is no Avro schema that can be used
        "bad-tag",  # a field number, wire type or group that protobuf does not have
        "bad-time",  # text that is no date, time or timestamp
        "bad-union-branch",  # no such branch
        "bad-uuid",  # text that is no UUID, where the schema says fixed(16)
        "duplicate-key",  # a map or JSON object has a key twice: one value would be lost
        "internal",  # the decoder itself failed on this record: a defect, please report it
        "invalid-json",
        "invalid-protobuf",  # the library refuses it, and no other word says why
        "invalid-utf8",
        "missing-field",
        "negative-length",
        "out-of-memory",
        "out-of-range",  # a number that its type, or the SQL type of its column, cannot hold
        "registry-unavailable",  # the schema registry did not answer in time: decode the record again later
        "too-deep",
        "too-large",
        "trailing-bytes",  # the record ended, the payload did not
        "truncated",  # the payload ended, the record did not; also every length beyond the payload's end
        "unknown-field",  # a field that the schema does not name, where such fields are to be refused
        "unknown-schema",  # the schema registry answered that it has no schema of the record's id
        "unresolvable",  # the schema the record was written with cannot be read as the table's
        "wrong-type",
    }
)

# These say nothing of the record: another attempt may decode it.
NOT_THE_RECORDS: Final = frozenset({"internal", "out-of-memory", "registry-unavailable"})

INT_RANGE: Final = (-(2**31), 2**31 - 1)
LONG_RANGE: Final = (-(2**63), 2**63 - 1)

# Inclusive bounds of the integer that carries a kind. SQL dates and timestamps end with year 9999: beyond it
# TO_TIMESTAMP_LTZ answers NULL without a word (tried), and few readers of Parquet can show the value.
RANGES: Final = {
    "int": INT_RANGE,
    "long": LONG_RANGE,
    "date": (-719_162, 2_932_896),
    "time-millis": (0, 86_399_999),
    "time-micros": (0, 86_399_999_999),
    "timestamp-millis": (-62_135_596_800_000, 253_402_300_799_999),
    "local-timestamp-millis": (-62_135_596_800_000, 253_402_300_799_999),
}

# Bounds for nested values. A payload byte can stand for at most a few values in any honest schema; without the bound
# five bytes could ask for 2**40 nulls.
MAX_DEPTH: Final = 64
FREE_VALUES: Final = 10_000
VALUES_PER_BYTE: Final = 16
FREE_TEXT: Final = 65_536
TEXT_PER_BYTE: Final = 64

_SHOWN_BITS: Final = 256
_SHOWN_LENGTH: Final = 60


class Undecodable(Exception):  # noqa: N818 - it says what the record is; it ends in a quarantine row, not at the user
    """One record cannot be decoded. Never leaves the decoder, hence no part of the tree in errors.py.

    `placed`: the detail names its field already.
    """

    def __init__(self, error_class: str, detail: str, *, placed: bool = False) -> None:
        super().__init__(error_class, detail)
        self.error_class = error_class
        self.detail = detail
        self.placed = placed


def check_range(kind: str, value: int) -> int:
    """Return `value` if a column of this kind can hold it. Raises Undecodable otherwise."""
    low, high = RANGES[kind]
    if low <= value <= high:
        return value
    raise Undecodable("out-of-range", f"{shown(value)} is not in [{low}, {high}] of {kind}")


def shown(value: object) -> str:
    """A short text of any value, for details; never raises, never costs more than a bounded text."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (str, bytes)) and len(value) > _SHOWN_LENGTH:
        return f"{value[:_SHOWN_LENGTH]!r}..."
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'map'} of {len(value)}"
    return repr(value)[:80]


def decimal_text(unscaled: int, precision: int, scale: int) -> str:
    """Exact text of unscaled * 10**-scale. Raises Undecodable if it has more than `precision` digits."""
    if abs(unscaled) >= 10**precision:
        raise Undecodable("out-of-range", f"{shown(unscaled)} unscaled exceeds decimal({precision}, {scale})")
    digits = str(abs(unscaled)).zfill(scale + 1)
    sign = "-" if unscaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


def unscaled_of(number: Decimal, precision: int, scale: int) -> int:
    """The integer n with number = n * 10**-scale, exactly.

    Raises Undecodable if it has more than `precision` digits or if `number` has digits behind `scale`. Cost follows
    the digits written, never the exponent: 1e999999 is refused without being written out.
    """
    if not number:
        return 0
    if number.adjusted() >= precision - scale:
        raise Undecodable("out-of-range", f"{shown(number)} exceeds {precision} digits at scale {scale}")
    sign, digits, exponent = number.as_tuple()
    shift = int(exponent) + scale
    if shift < 0:
        if any(digits[shift:]):
            raise Undecodable("out-of-range", f"{shown(number)} has more than {scale} digits after the point")
        digits = digits[:shift]
        shift = 0
    value: int = int("".join(map(str, digits)) or "0") * 10**shift
    return -value if sign else value


def json_text(value: object, payload_size: int) -> str:
    """Compact JSON text of a nested value. Raises Undecodable if the text would be out of proportion to the payload."""
    limit = FREE_TEXT + TEXT_PER_BYTE * payload_size
    pieces: list[str] = []
    _write(value, pieces, MAX_DEPTH)
    text = "".join(pieces)
    if len(text) > limit:
        raise Undecodable("too-large", f"nested value becomes {len(text)} characters, limit {limit}")
    return text


def _write(value: object, out: list[str], depth: int) -> None:
    if depth < 0:
        raise Undecodable("too-deep", f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        comma = "{"
        for key, item in value.items():
            out.append(f"{comma}{encode_basestring(key)}:")
            comma = ","
            _write(item, out, depth - 1)
        out.append("}" if value else "{}")
    elif isinstance(value, list):
        comma = "["
        for item in value:
            out.append(comma)
            comma = ","
            _write(item, out, depth - 1)
        out.append("]" if value else "[]")
    else:
        out.append(_scalar(value))


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, float) and not math.isfinite(value):
        return '"NaN"' if math.isnan(value) else ('"Infinity"' if value > 0 else '"-Infinity"')
    return str(value) if isinstance(value, Decimal) else repr(value)
