"""Descriptor sets made in Python, as protoc would make them: the messages of the tests on protobuf."""

from __future__ import annotations

from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {name.removeprefix("TYPE_").lower(): value for name, value in _FIELD.Type.items()}
WELL_KNOWN = (any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
SCALARS = (
    "double",
    "float",
    "int32",
    "sint32",
    "sfixed32",
    "int64",
    "sint64",
    "sfixed64",
    "uint32",
    "fixed32",
    "uint64",
    "fixed64",
    "bool",
    "string",
    "bytes",
)
NESTED = ("Timestamp", "Duration", "Struct", "Value", "ListValue", "FieldMask", "Any", "UInt64Value", "BytesValue")


def add_field(message: Any, name: str, kind: str, number: int, label: str = "optional") -> Any:
    """A field of a scalar type, or of the message or enum of that full name (`.shop.Item`, `enum .shop.Kind`)."""
    made = message.field.add(name=name, number=number, label=_FIELD.Label.Value(f"LABEL_{label.upper()}"))
    if kind in _KINDS:
        made.type = _KINDS[kind]
    else:
        made.type = _FIELD.TYPE_ENUM if kind.startswith("enum ") else _FIELD.TYPE_MESSAGE
        made.type_name = kind.removeprefix("enum ")
    return made


def make_optional(message: Any, made: Any) -> None:
    """Presence in proto3: an optional field is the only one of a oneof that nobody sees."""
    made.proto3_optional = True
    made.oneof_index = len(message.oneof_decl)
    message.oneof_decl.add(name=f"_{made.name}")


def add_map(message: Any, name: str, key: str, value: str, number: int, home: str) -> None:
    """map<key, value>; `home` is the full name of the message."""
    entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    add_field(entry, "key", key, 1)
    add_field(entry, "value", value, 2)
    add_field(message, name, f"{home}.{entry.name}", number, "repeated")


def shop_file() -> Any:
    """shop.proto (proto3): one field of every kind in shop.Order, and shop.Tree, which holds itself."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.extend(one.DESCRIPTOR.name for one in WELL_KNOWN)
    kind = file.enum_type.add(name="Kind")
    for number, name in enumerate(("UNKNOWN", "BOOK", "FOOD")):
        kind.value.add(name=name, number=number)
    order = file.message_type.add(name="Order")
    order.oneof_decl.add(name="choice")
    for name, number in (("left", 120), ("right", 121)):
        add_field(order, name, "int32", number).oneof_index = 0
    for number, name in enumerate(SCALARS, 1):
        add_field(order, f"a_{name}", name, number)
        make_optional(order, add_field(order, f"maybe_{name}", name, number + 20))
        add_field(order, f"all_{name}", name, number + 40, "repeated")
    add_field(order, "kind", "enum .shop.Kind", 70)
    make_optional(order, add_field(order, "maybe_kind", "enum .shop.Kind", 71))
    add_field(order, "kinds", "enum .shop.Kind", 72, "repeated")
    add_field(order, "tree", ".shop.Tree", 73)
    add_field(order, "trees", ".shop.Tree", 74, "repeated")
    add_map(order, "by_name", "string", ".shop.Tree", 75, ".shop.Order")
    add_map(order, "by_number", "int64", "uint64", 76, ".shop.Order")
    add_map(order, "by_flag", "bool", "double", 77, ".shop.Order")
    for number, name in enumerate(NESTED, 80):
        add_field(order, f"one_{name.lower()}", f".google.protobuf.{name}", number)
        add_field(order, f"all_{name.lower()}", f".google.protobuf.{name}", number + 20, "repeated")
    tree = file.message_type.add(name="Tree")
    add_field(tree, "size", "int64", 1)
    add_field(tree, "label", "string", 2)
    add_field(tree, "kids", ".shop.Tree", 3, "repeated")
    return file


def old_file() -> Any:
    """old.proto (proto2): required fields, a closed enum, a string that nobody checks for UTF-8."""
    file = descriptor_pb2.FileDescriptorProto(name="old.proto", package="old", syntax="proto2")
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="ONE", number=1)
    record = file.message_type.add(name="Record")
    add_field(record, "id", "int64", 1, "required")
    add_field(record, "kind", "enum .old.Kind", 2)
    add_field(record, "text", "string", 3)
    inner = record.nested_type.add(name="Inner")
    add_field(inner, "must", "int32", 1, "required")
    add_field(record, "inner", ".old.Record.Inner", 4)
    return file


def descriptor_set(*files: Any, imports: bool = True) -> bytes:
    """The files as protoc writes them, with what they import."""
    known = [descriptor_pb2.FileDescriptorProto.FromString(one.DESCRIPTOR.serialized_pb) for one in WELL_KNOWN]
    return descriptor_pb2.FileDescriptorSet(file=[*(known if imports else ()), *files]).SerializeToString()


def message_class(serialized: bytes, name: str) -> type[Message]:
    """The class of a message, to write payloads with."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(serialized).file:
        pool.Add(file)
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return made


SHOP = descriptor_set(shop_file())
OLD = descriptor_set(old_file())
Order: Any = message_class(SHOP, "shop.Order")
Tree: Any = type(Order().tree)
Record: Any = message_class(OLD, "old.Record")
