"""Protobuf records to the values of their columns. Pure, but for the protobuf library, which only computes.

The library parses; what it lets pass and would be lost without a word is refused here: a field whose value was written
as another type, a number that a closed enum does not have or a field of 32 bits cannot hold, a payload of which not a
single field is known.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from lineage_pipeline.core.avro_confluent import HEADER_SIZE, parse_header
from lineage_pipeline.core.avro_scalars import read_long
from lineage_pipeline.core.protobuf_declaration import (
    MESSAGES,
    UNSIGNED_LONGS,
    WELL_KNOWN,
    WRAPPERS,
    is_repeated,
    is_required,
    parse_descriptors,
)
from lineage_pipeline.core.protobuf_json import Reading, field_json, nanoseconds, text_of
from lineage_pipeline.core.protobuf_wire import SIGNED, UNSIGNED, Shape, may_be_cut, needs_walk, walk
from lineage_pipeline.core.record_values import Undecodable, check_range, json_text

# A field of a message, to its column's value.
_Field = Callable[[Any, Reading, int], Any]
# An upper estimate of what the library takes: per message, and per field of it (a value, and whether it is set).
_MESSAGE_BYTES: Final = 64
_FIELD_BYTES: Final = 17
_PACKED: Final = {
    **dict.fromkeys((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64), 8),
    **dict.fromkeys((FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32), 4),
}

# The library cuts a larger number of these to its lowest 32 bits; a sint32 is written as an unsigned number.
_NARROW: Final = {
    FieldDescriptor.TYPE_INT32: SIGNED,
    FieldDescriptor.TYPE_ENUM: SIGNED,
    FieldDescriptor.TYPE_UINT32: UNSIGNED,
    FieldDescriptor.TYPE_SINT32: UNSIGNED,
}


def message_reader(text: str, *, framed: bool) -> Callable[[bytes], list[Any]]:
    """The reader of whole payloads; `text` as protobuf_text.descriptor_text gives it. It raises Undecodable.

    `framed`: in the wire format of schema registries, whose header names the message among those of its file.
    """
    declared = parse_descriptors(text)
    parse = _parser(declared.descriptor)
    fields = [(one.name, _field_reader(one)) for one in declared.descriptor.fields]
    mode, extendable = declared.unknown_fields, declared.descriptor.is_extendable
    indexes = _indexes(declared.descriptor)

    def read(payload: bytes) -> list[Any]:
        if framed:
            payload = _unframed(payload, indexes)
        elif payload[:1] == b"\0":
            raise Undecodable(
                "bad-magic-byte", "it begins as a registry's serializers write: format protobuf-confluent"
            )
        message = parse(payload)
        reading = Reading(len(payload), mode)
        reading.visit(message, "")
        if reading.seen and mode == "ignore" and not message.ListFields():
            raise Undecodable("wrong-type", f"it has no field of {message.DESCRIPTOR.full_name}")
        if extendable and mode != "ignore":
            reading.extensions(message)
        row = []
        for name, field in fields:
            try:
                row.append(field(message, reading, len(payload)))
            except Undecodable as error:
                raise Undecodable(error.error_class, _placed(name, error.detail)) from None
        if mode == "keep":
            row.append(json_text(reading.found, len(payload)) if reading.found else None)
        return row

    return read


def _placed(name: str, detail: str) -> str:
    return detail if detail.startswith("field ") else f"field {name!r}: {detail}"


def _parser(descriptor: Descriptor) -> Callable[[bytes], Message]:
    """Parses a payload within the bounds; says why when it cannot be done."""
    message_class = message_factory.GetMessageClass(descriptor)
    shapes: dict[str, Shape] = {}
    shape = _shape(descriptor, shapes)
    worst, narrow = shape.worst(), any(one.narrow for one in shapes.values())
    demanding = any(is_required(one) for found in _reachable(descriptor) for one in _fields_of(found))

    def parse(payload: bytes) -> Message:
        if needs_walk(len(payload), worst):
            walk(payload, shape)
        try:
            message: Message = message_class.FromString(payload)
        except DecodeError:
            walk(payload, shape)
            raise Undecodable("invalid-protobuf", "the parser refuses it") from None
        if narrow and may_be_cut(payload) and message.SerializePartialToString(deterministic=True) != payload:
            walk(payload, shape)
        if demanding and not message.IsInitialized():
            lacking = message.FindInitializationErrors()
            raise Undecodable("missing-field", f"field {lacking[0]!r} is required")
        return message

    return parse


def _reachable(descriptor: Descriptor) -> list[Descriptor]:
    seen: dict[str, Descriptor] = {}
    todo = [descriptor]
    while todo:
        one = todo.pop()
        if one.full_name not in seen:
            seen[one.full_name] = one
            todo += [field.message_type for field in _fields_of(one) if field.message_type is not None]
    return list(seen.values())


def _fields_of(descriptor: Descriptor) -> list[FieldDescriptor]:
    """Its fields, and the extensions of it that the descriptor set declares: the library parses those too."""
    found = list(descriptor.fields)
    return [*found, *descriptor.file.pool.FindAllExtensions(descriptor)] if descriptor.is_extendable else found


def _shape(descriptor: Descriptor, shapes: dict[str, Shape]) -> Shape:
    for one in _reachable(descriptor):
        shapes[one.full_name] = Shape(size=_MESSAGE_BYTES + _FIELD_BYTES * len(_fields_of(one)))
    for one in _reachable(descriptor):
        shape = shapes[one.full_name]
        for field in _fields_of(one):
            if field.message_type is not None:
                shape.messages[field.number] = shapes[field.message_type.full_name]
            elif field.type == FieldDescriptor.TYPE_STRING:
                shape.texts.add(field.number)
            elif field.type != FieldDescriptor.TYPE_BYTES and is_repeated(field):
                shape.packed[field.number] = _PACKED.get(field.type, 0)
            if field.type in _NARROW:
                shape.narrow[field.number] = _NARROW[field.type]
    return shapes[descriptor.full_name]


def _field_reader(field: FieldDescriptor) -> _Field:
    name = field.name
    if is_repeated(field):
        return lambda message, reading, size: json_text(field_json(field, getattr(message, name), reading, name), size)
    if field.type in MESSAGES:
        return _present(name, _message_field(field))
    plain = _scalar(field)
    return _present(name, plain) if field.has_presence else plain


def _present(name: str, inner: _Field) -> _Field:
    return lambda message, reading, size: inner(message, reading, size) if message.HasField(name) else None


def _scalar(field: FieldDescriptor) -> _Field:
    name = field.name
    if field.type in UNSIGNED_LONGS:
        return lambda message, _reading, _size: Decimal(getattr(message, name))
    if field.type == FieldDescriptor.TYPE_ENUM:
        names = {number: one.name for number, one in field.enum_type.values_by_number.items()}

        def enum_text(message: Any, _reading: Reading, _size: int) -> str:
            number = getattr(message, name)
            return names.get(number) or str(number)

        return enum_text
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda message, _reading, _size: text_of(getattr(message, name))
    return lambda message, _reading, _size: getattr(message, name)


def _message_field(field: FieldDescriptor) -> _Field:
    name, kind = field.name, field.message_type.full_name
    if kind in (f"{WELL_KNOWN}Timestamp", f"{WELL_KNOWN}Duration"):
        word = kind.removeprefix(WELL_KNOWN)

        def nanos(message: Any, reading: Reading, _size: int) -> int:
            value = getattr(message, name)
            reading.visit(value, name)
            return check_range("long", nanoseconds(value, word))

        return nanos
    if kind in WRAPPERS:
        inner = _scalar(field.message_type.fields_by_name["value"])

        def wrapped(message: Any, reading: Reading, size: int) -> Any:
            value = getattr(message, name)
            reading.visit(value, name)
            return inner(value, reading, size)

        return wrapped
    return lambda message, reading, size: json_text(field_json(field, getattr(message, name), reading, name), size)


def _indexes(descriptor: Descriptor) -> list[int]:
    """Where the message stands in its file: its place on every level, outermost first."""
    path: list[int] = []
    one: Descriptor | None = descriptor
    while one is not None:
        parent = one.containing_type
        siblings = one.file.message_types_by_name if parent is None else parent.nested_types_by_name
        path.insert(0, [name for name, _ in siblings.items()].index(one.name))
        one = parent
    return path


def _unframed(payload: bytes, indexes: list[int]) -> bytes:
    """The message behind the header. Raises Undecodable when there is none, or for another message."""
    parse_header(payload[:HEADER_SIZE])
    found: list[int] = []
    try:
        count, position = read_long(payload, HEADER_SIZE)
        if not 0 <= count <= len(payload):
            raise Undecodable("negative-length" if count < 0 else "truncated", f"{count} indexes of a message")
        for _ in range(count):
            index, position = read_long(payload, position)
            found.append(index)
    except IndexError:
        raise Undecodable("truncated", "the payload ends within the indexes of its message") from None
    if (found or [0]) != indexes:
        raise Undecodable("wrong-type", f"it is message {found or [0]} of its schema, the topic's is {indexes}")
    return payload[position:]
