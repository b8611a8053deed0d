"""Nested protobuf values as JSON, and what a message holds beyond its declaration. Pure, but for the protobuf library.

The JSON is protobuf's own mapping (64-bit integers and bytes as text, timestamps as RFC 3339, enums by name) with the
names of the .proto file, and fields that are not set left out. Three differences: an Any is not opened, it stays
{"@type": ..., "value": base64}; a FieldMask keeps its paths as they are; NaN and the infinities of a Struct are the
texts "NaN", "Infinity" and "-Infinity", which protobuf refuses. Maps are in the order of their keys, so that a
message always becomes the same text.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from lineage_pipeline.core.avro_nested import Budget
from lineage_pipeline.core.declared_field import UnknownFields
from lineage_pipeline.core.protobuf_declaration import (
    MESSAGES,
    UNSIGNED_LONGS,
    WELL_KNOWN,
    WRAPPERS,
    is_map,
    is_repeated,
)
from lineage_pipeline.core.record_values import Undecodable, shown

NANOS: Final = 10**9
_SECONDS: Final = {"Timestamp": (-62_135_596_800, 253_402_300_799), "Duration": (-315_576_000_000, 315_576_000_000)}
_LONGS: Final = UNSIGNED_LONGS | {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_SFIXED64,
}


def text_of(value: str | bytes) -> str:
    """A string field's value: the library gives bytes where proto2 let pass what is no UTF-8. Raises Undecodable."""
    if isinstance(value, bytes):
        raise Undecodable("invalid-utf8", f"{shown(value)} is no UTF-8")
    return value


_LEAVES: Final[dict[int, Callable[[Any], Any]]] = {
    **dict.fromkeys(_LONGS, str),
    FieldDescriptor.TYPE_STRING: text_of,
    FieldDescriptor.TYPE_BYTES: lambda value: base64.b64encode(value).decode(),
    # A float's own digits, not those of the double that carries it.
    FieldDescriptor.TYPE_FLOAT: lambda value: float(np.format_float_scientific(np.float32(value))),
}
_WIRE_NAMES: Final = {0: "varint", 1: "fixed64", 2: "bytes", 3: "group", 5: "fixed32"}
_VARINT: Final = 0


class Reading:
    """One record being read: what it may still use, and which unknown fields were found in it."""

    __slots__ = ("budget", "found", "mode", "seen")

    def __init__(self, payload_size: int, mode: UnknownFields) -> None:
        self.budget = Budget(payload_size)
        self.mode = mode
        self.seen = False  # an unknown field, anywhere
        self.found: dict[str, Any] = {}  # by path and field number; for mode keep

    def visit(self, message: Message, path: str) -> None:
        """Look for unknown fields of this message itself.

        Raises Undecodable for one that is to be refused, and for a known field whose value is not of its type: the
        parser takes that for an unknown one, and it would be NULL without a word.
        """
        for one in UnknownFieldSet(message):
            known = message.DESCRIPTOR.fields_by_number.get(one.field_number)
            where = f"{path}.{one.field_number}" if path else str(one.field_number)
            if known is not None:
                raise _mistaken(known, one, path)
            if self.mode == "refuse":
                raise Undecodable("unknown-field", f"field {where} is not declared in {message.DESCRIPTOR.full_name}")
            self.seen = True
            if self.mode == "keep":
                self.budget.take(1)
                self.found.setdefault(where, []).append(_unknown_value(one, self.budget))

    def extensions(self, message: Message) -> None:
        """Take the record's extensions that are known, by name: they are no columns. Raises Undecodable."""
        for field, value in message.ListFields():
            if field.is_extension:
                name = f"[{field.full_name}]"
                if self.mode == "refuse":
                    raise Undecodable("unknown-field", f"field {name} is an extension, which has no column")
                self.found[name] = field_json(field, value, self, name)


def _mistaken(known: FieldDescriptor, one: Any, path: str) -> Undecodable:
    name = f"{path}.{known.name}" if path else known.name
    if known.enum_type is not None and one.wire_type == _VARINT:
        return Undecodable("bad-enum", f"field {name!r}: {one.data} is no value of {known.enum_type.full_name}")
    return Undecodable("wrong-type", f"field {name!r} was written as {_WIRE_NAMES[one.wire_type]}, which it is not")


def _unknown_value(one: Any, budget: Budget) -> dict[str, Any]:
    kind = _WIRE_NAMES[one.wire_type]
    if kind == "bytes":
        return {kind: base64.b64encode(one.data).decode()}
    if kind != "group":
        return {kind: one.data}
    inside: dict[str, list[Any]] = {}
    budget.enter()
    for inner in one.data:
        budget.take(1)
        inside.setdefault(str(inner.field_number), []).append(_unknown_value(inner, budget))
    budget.leave()
    return {kind: inside}


def message_json(message: Message, reading: Reading, path: str) -> Any:
    """The message as plain JSON values. Raises Undecodable for what protobuf's mapping has no place for."""
    reading.visit(message, path)
    reading.budget.enter()
    reading.budget.take(1)
    name = message.DESCRIPTOR.full_name
    special = _SPECIAL.get(name.removeprefix(WELL_KNOWN)) if name.startswith(WELL_KNOWN) else None
    found = _plain_message(message, reading, path) if special is None else special(message, reading, path)
    reading.budget.leave()
    return found


def _plain_message(message: Any, reading: Reading, path: str) -> dict[str, Any]:
    found = {}
    for field, value in message.ListFields():
        name = f"[{field.full_name}]" if field.is_extension else field.name
        found[name] = field_json(field, value, reading, f"{path}.{name}" if path else name)
    return found


def field_json(field: FieldDescriptor, value: Any, reading: Reading, path: str) -> Any:
    """A field's value as JSON: of a list or map all of it. Raises Undecodable."""
    if not is_repeated(field):
        return _single(field, value, reading, path)
    reading.budget.enter()
    reading.budget.take(len(value))
    found: Any
    if is_map(field):
        item = field.message_type.fields_by_name["value"]
        keys = sorted(value)
        found = {_key(key): _single(item, value[key], reading, f"{path}[{_key(key)!r}]") for key in keys}
    else:
        found = [_single(field, one, reading, f"{path}[{at}]") for at, one in enumerate(value)]
    reading.budget.leave()
    return found


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(text_of(key))


def _single(field: FieldDescriptor, value: Any, reading: Reading, path: str) -> Any:
    if field.type in MESSAGES:
        return message_json(value, reading, path)
    if field.type == FieldDescriptor.TYPE_ENUM:
        if field.enum_type.full_name == f"{WELL_KNOWN}NullValue":
            return None
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    return _LEAVES[field.type](value) if field.type in _LEAVES else value


def nanoseconds(message: Any, kind: str) -> int:
    """A Timestamp's or Duration's nanoseconds. Raises Undecodable for one that is not sound."""
    low, high = _SECONDS[kind]
    seconds, nanos = message.seconds, message.nanos
    lowest = 0 if kind == "Timestamp" or seconds > 0 else 1 - NANOS
    highest = 0 if kind == "Duration" and seconds < 0 else NANOS - 1
    if not (low <= seconds <= high and lowest <= nanos <= highest):
        raise Undecodable("out-of-range", f"{seconds} seconds and {nanos} nanoseconds are no {kind}")
    return int(seconds) * NANOS + int(nanos)


def _timestamp(message: Any, _reading: Reading, _path: str) -> str:
    seconds, nanos = divmod(nanoseconds(message, "Timestamp"), NANOS)
    at = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001 - UTC, as the Z says
    return f"{at.isoformat()}{_fraction(nanos)}Z"


def _duration(message: Any, _reading: Reading, _path: str) -> str:
    whole = nanoseconds(message, "Duration")
    seconds, nanos = divmod(abs(whole), NANOS)
    return f"{'-' if whole < 0 else ''}{seconds}{_fraction(nanos)}s"


def _fraction(nanos: int) -> str:
    """None, three, six or nine digits, as protobuf writes them."""
    digits = f"{nanos:09}"
    for length in (0, 3, 6):
        if not int(digits[length:]):
            return f".{digits[:length]}" if length else ""
    return f".{digits}"


def _wrapped(message: Any, reading: Reading, path: str) -> Any:
    return _single(message.DESCRIPTOR.fields_by_name["value"], message.value, reading, path)


def _any(message: Any, _reading: Reading, _path: str) -> dict[str, str]:
    return {"@type": message.type_url, "value": base64.b64encode(message.value).decode()}


def _field_mask(message: Any, _reading: Reading, _path: str) -> str:
    return ",".join(message.paths)


def _struct(message: Any, reading: Reading, path: str) -> Any:
    return field_json(message.DESCRIPTOR.fields_by_name["fields"], message.fields, reading, path)


def _list_value(message: Any, reading: Reading, path: str) -> Any:
    return field_json(message.DESCRIPTOR.fields_by_name["values"], message.values, reading, path)


def _value(message: Any, reading: Reading, path: str) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    return _single(message.DESCRIPTOR.fields_by_name[kind], getattr(message, kind), reading, path)


_SPECIAL: Final[dict[str, Callable[[Any, Reading, str], Any]]] = {
    "Timestamp": _timestamp,
    "Duration": _duration,
    "Any": _any,
    "FieldMask": _field_mask,
    "Struct": _struct,
    "ListValue": _list_value,
    "Value": _value,
    **{name.removeprefix(WELL_KNOWN): _wrapped for name in WRAPPERS},
}
