"""A message of a protobuf descriptor set as columns. Pure, but for the protobuf library, which only computes.

| field | column |
|---|---|
| double, float, bool, string, bytes | DOUBLE, FLOAT, BOOLEAN, STRING, BYTES |
| int32, sint32, sfixed32 | INT |
| int64, sint64, sfixed64, uint32, fixed32 | BIGINT |
| uint64, fixed64 | DECIMAL(20, 0) |
| enum | STRING: the value's name; of an open enum also the text of a number that has none |
| google.protobuf.Timestamp, Duration | BIGINT: nanoseconds, since 1970 |
| google.protobuf.Int64Value and its kin | the column of what they hold |
| other messages, repeated fields, maps | STRING: JSON text, see protobuf_json.py |

A field with presence (optional, oneof, messages, all of proto2) is NULL where it is not set; another has its default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.declared_field import DeclaredField, UnknownFields
from lineage_pipeline.core.protobuf_text import descriptor_text, parse_text
from lineage_pipeline.errors import SchemaError

WELL_KNOWN: Final = "google.protobuf."
WRAPPERS: Final = frozenset(
    f"{WELL_KNOWN}{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_INTS: Final = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32}
_LONGS: Final = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_FIXED32,
}
UNSIGNED_LONGS: Final = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64}
MESSAGES: Final = {FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP}
_KINDS: Final = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_ENUM: "string",
    **dict.fromkeys(_INTS, "int"),
    **dict.fromkeys(_LONGS, "long"),
}
_WORDS: Final = {
    value: name.removeprefix("TYPE_").lower() for name, value in descriptor_pb2.FieldDescriptorProto.Type.items()
}


@dataclass(frozen=True)
class ProtobufMessage:
    """The message that a topic's records are, and its columns' fields, in the order of the declaration."""

    descriptor: Descriptor = field(repr=False)
    fields: tuple[DeclaredField, ...]
    text: str  # canonical: without comments and files that the message does not need
    unknown_fields: UnknownFields


def parse_descriptors(text: str | Mapping[str, Any]) -> ProtobufMessage:
    """Read what descriptor_text gives. Raises SchemaError for a set that is none, lacks an import or the message."""
    serialized, name, unknown = parse_text(text)
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(serialized).file
    except DecodeError:
        files = ()
    if not files:
        raise SchemaError(
            "the schema file is no descriptor set: make it with protoc --include_imports --descriptor_set_out=FILE"
        )
    by_name = {one.name: one for one in files}
    known = [full for one in files for full in _message_names(one)]
    name = name.removeprefix(".")
    home = next((one.name for one in files if name in _message_names(one)), None)
    if home is None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:20])}"
        raise SchemaError(f"the descriptor set has no message {name!r}: {hint}")
    needed: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    _add_needed(home, by_name, needed)
    descriptor = _build(needed, name)
    fields = tuple(_declared(one) for one in descriptor.fields)
    bare = descriptor_pb2.FileDescriptorSet(file=needed.values())
    return ProtobufMessage(descriptor, fields, descriptor_text(bare.SerializeToString(), name, unknown), unknown)


def is_repeated(one: FieldDescriptor) -> bool:
    """Whether it is a list or a map; `label` is on its way out of the library, `is_repeated` on its way in."""
    repeated = getattr(one, "is_repeated", None)
    return bool(one.label == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated)


def is_required(one: FieldDescriptor) -> bool:
    """Whether proto2 demands it."""
    required = getattr(one, "is_required", None)
    return bool(one.label == FieldDescriptor.LABEL_REQUIRED if required is None else required)


def is_map(one: FieldDescriptor) -> bool:
    """Whether it is a map."""
    return one.message_type is not None and bool(one.message_type.GetOptions().map_entry)


def _message_names(file: descriptor_pb2.FileDescriptorProto) -> list[str]:
    prefix = f"{file.package}." if file.package else ""
    found: list[str] = []
    todo = [(prefix, one) for one in reversed(file.message_type)]
    while todo:
        before, message = todo.pop()
        found.append(before + message.name)
        inner = [one for one in message.nested_type if not one.options.map_entry]
        todo += [(f"{before}{message.name}.", one) for one in reversed(inner)]
    return found


def _add_needed(
    name: str,
    by_name: Mapping[str, descriptor_pb2.FileDescriptorProto],
    needed: dict[str, descriptor_pb2.FileDescriptorProto],
) -> None:
    """The file and all that it imports, imports first."""
    if name in needed:
        return
    if name not in by_name:
        raise SchemaError(f"the descriptor set lacks {name}, which it imports: make it with protoc --include_imports")
    file = descriptor_pb2.FileDescriptorProto()
    file.CopyFrom(by_name[name])
    file.ClearField("source_code_info")
    for imported in file.dependency:
        _add_needed(imported, by_name, needed)
    needed[name] = file


def _build(files: Mapping[str, descriptor_pb2.FileDescriptorProto], name: str) -> Descriptor:
    # A pool of its own: two topics may have different messages of one name.
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files.values():
            pool.Add(file)
        return pool.FindMessageTypeByName(name)
    except (TypeError, KeyError, ValueError) as error:
        raise SchemaError(
            f"the descriptor set cannot be used: {' '.join(str(error).split())[:300]}; make it anew with protoc"
        ) from None


def _declared(one: FieldDescriptor) -> DeclaredField:
    column, nullable = _column(one), bool(one.has_presence)
    required = is_required(one)
    return DeclaredField(one.name, column, _words(one), nullable=nullable and not required, required=not nullable)


def _column(one: FieldDescriptor) -> AvroType:
    if is_repeated(one):
        return AvroType("map" if is_map(one) else "array")
    if one.type in MESSAGES:
        name = one.message_type.full_name
        if name == f"{WELL_KNOWN}Timestamp":
            return AvroType("long", logical="timestamp-nanos")
        if name == f"{WELL_KNOWN}Duration":
            return AvroType("long")
        return _column(one.message_type.fields_by_name["value"]) if name in WRAPPERS else AvroType("map")
    if one.type in UNSIGNED_LONGS:
        return AvroType("bytes", logical="decimal", precision=20)
    return AvroType(_KINDS[one.type])


def _words(one: FieldDescriptor) -> str:
    if is_map(one):
        key, value = (one.message_type.fields_by_name[name] for name in ("key", "value"))
        return f"map<{_words(key)}, {_words(value)}>"
    named = one.message_type or one.enum_type
    kind = _WORDS[one.type] if named is None else named.full_name
    return f"repeated {kind}" if is_repeated(one) else kind
