"""An Avro schema as resolved values: names looked up, logical types checked. Pure: standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lineage_pipeline.errors import SchemaError

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

_LOGICAL: Final = frozenset(
    {
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
        ("long", "timestamp-nanos"),
        ("long", "local-timestamp-millis"),
        ("long", "local-timestamp-micros"),
        ("long", "local-timestamp-nanos"),
        ("bytes", "decimal"),
        ("fixed", "decimal"),
        ("string", "uuid"),
        ("fixed", "uuid"),
    }
)
_MAX_PRECISION: Final = 4000  # Python writes no longer integers as text
_UUID_SIZE: Final = 16


@dataclass(eq=False)
class AvroType:
    """One type. `fields`, `branches` and `items` may lead back to this type: schemas can be recursive."""

    kind: str  # a primitive, or record, enum, fixed, array, map, union
    logical: str | None = None
    name: str = ""  # full name of a record, enum or fixed
    symbols: tuple[str, ...] = ()
    size: int = 0  # bytes of a fixed
    precision: int = 0
    scale: int = 0
    fields: tuple[tuple[str, AvroType], ...] = field(default=(), repr=False)
    # What resolving another schema to this one needs: see avro_resolution.py.
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of fields that have one, as JSON
    field_aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    aliases: tuple[str, ...] = ()  # further full names of a record, enum or fixed
    default_symbol: str | None = None  # of an enum
    branches: tuple[AvroType, ...] = field(default=(), repr=False)
    items: AvroType | None = field(default=None, repr=False)  # of an array; the values of a map

    @property
    def label(self) -> str:
        """The name under which a union's branch is written in Avro's JSON encoding."""
        return self.name or self.kind

    @property
    def words(self) -> str:
        """The type for people, such as `long (timestamp-millis)`."""
        if self.kind == "union":
            return "union of " + ", ".join(branch.label for branch in self.branches)
        base = f"{self.kind} {self.name}".strip()
        if self.logical == "decimal":
            return f"{base} (decimal {self.precision}, {self.scale})"
        return f"{base} ({self.logical})" if self.logical else base

    def unwrapped(self) -> tuple[AvroType, bool]:
        """The type without its nullable union, and whether NULL is a value of it."""
        if self.kind != "union":
            return self, self.kind == "null"
        others = tuple(branch for branch in self.branches if branch.kind != "null")
        nullable = len(others) < len(self.branches)
        return (others[0] if len(others) == 1 else self), nullable


def parse_record(schema: str | Mapping[str, Any]) -> tuple[AvroType, str]:
    """Read an Avro record schema, as JSON text or as parsed JSON; give the type and its canonical JSON text.

    The canonical text keeps everything (logical types too), sorts keys and drops blanks, so that equal schemas have
    equal texts. Raises SchemaError if it is no record schema, or not a valid one.
    """
    record, text = _parsed(_Parser(), schema)
    if record.kind != "record":
        raise SchemaError(f"the schema's top level is {record.kind!r}, a table needs a record: wrap it in one")
    return record, text


def parse_type(schema: str, references: Sequence[str] = ()) -> AvroType:
    """Read any Avro schema from its JSON text; it may use the named types of `references`, each of the ones before it.

    A bare name counts as JSON, as registries write it: both `"string"` and `string` are the type string. Raises
    SchemaError if one of the texts is no valid schema.
    """
    parser = _Parser()
    for reference in references:
        _parsed(parser, reference)
    return _parsed(parser, f'"{schema}"' if schema in PRIMITIVES else schema)[0]


def _parsed(parser: _Parser, schema: str | Mapping[str, Any]) -> tuple[AvroType, str]:
    parsed: Any = schema
    try:
        if isinstance(schema, str):
            parsed = _loaded(schema)
        return parser.parse(parsed, ""), json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise SchemaError("the schema is nested too deeply: use named types") from None
    except (TypeError, ValueError) as error:
        raise SchemaError(f"the schema is not plain JSON ({error})") from None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SchemaError(f"the schema is not JSON ({error}): give the text of an .avsc file") from None


class _Parser:
    def __init__(self) -> None:
        self.named: dict[str, AvroType] = {}

    def parse(self, schema: Any, namespace: str) -> AvroType:
        if isinstance(schema, str):
            return self._reference(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace)
        if not isinstance(schema, Mapping):
            raise SchemaError(f"{schema!r} is no Avro type: give a name, a union (list) or an object with 'type'")
        kind = schema.get("type")
        if not isinstance(kind, str):
            return self.parse(kind, namespace)  # {"type": {"type": ...}}: allowed, and common
        return self._object(schema, kind, namespace)

    def _object(self, schema: Mapping[str, Any], kind: str, namespace: str) -> AvroType:
        if kind in ("record", "error", "enum", "fixed"):
            return self._named_type(schema, kind, namespace)
        if kind in ("array", "map"):
            items = schema.get("items" if kind == "array" else "values")
            return AvroType(kind, items=self.parse(items, namespace))
        if kind in PRIMITIVES:
            return _with_logical(AvroType(kind), schema)
        return self._reference(kind, namespace)

    def _reference(self, name: str, namespace: str) -> AvroType:
        if name in PRIMITIVES:
            return AvroType(name)
        found = self.named.get(_full_name(name, namespace)) or self.named.get(name)
        if found is None:
            raise SchemaError(f"type {name!r} is neither primitive nor defined before it is used: define it first")
        return found

    def _union(self, schema: list[Any], namespace: str) -> AvroType:
        branches = tuple(self.parse(branch, namespace) for branch in schema)
        labels = [branch.label for branch in branches]
        if not branches or len(set(labels)) < len(labels) or "union" in labels:
            raise SchemaError(f"union {labels} is empty, nested or has a type twice: Avro allows none of that")
        return AvroType("union", branches=branches)

    def _named_type(self, schema: Mapping[str, Any], kind: str, namespace: str) -> AvroType:
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise SchemaError(f"a {kind} has no name: give it one")
        full = _full_name(name, str(schema.get("namespace") or namespace))
        if full in self.named:
            raise SchemaError(f"type {full!r} is defined twice: define it once and use its name afterwards")
        avro_type = self.named[full] = AvroType("record" if kind == "error" else kind, name=full)
        avro_type.aliases = tuple(_full_name(alias, full.rpartition(".")[0]) for alias in _aliases(schema, full))
        if kind == "enum":
            avro_type.symbols = _symbols(schema, full)
            avro_type.default_symbol = _default_symbol(schema, avro_type)
        elif kind == "fixed":
            avro_type.size = _size(schema, full)
            _with_logical(avro_type, schema)
        else:
            declared = _declared_fields(schema, full)
            avro_type.fields = self._fields(declared, full)
            avro_type.defaults = {one["name"]: one["default"] for one in declared if "default" in one}
            avro_type.field_aliases = {one["name"]: _aliases(one, one["name"]) for one in declared if "aliases" in one}
        return avro_type

    def _fields(self, declared: list[Mapping[str, Any]], full: str) -> tuple[tuple[str, AvroType], ...]:
        fields = []
        for one in declared:
            name = one.get("name")
            if not isinstance(name, str) or not name or "type" not in one:
                raise SchemaError(f"field {name!r} of record {full!r} lacks a name or a type: give both")
            fields.append((name, self.parse(_field_type(one), full.rpartition(".")[0])))
        names = [name for name, _ in fields]
        if len(set(names)) < len(names):
            raise SchemaError(f"record {full!r} has a field twice in {names}: rename one")
        return tuple(fields)


def _field_type(declared: Mapping[str, Any]) -> Any:
    # Some writers put logicalType beside the field's type instead of inside it. Avro ignores it there, and so would
    # we, silently: the user meant it.
    if "logicalType" in declared:
        raise SchemaError(
            f"field {declared['name']!r} has logicalType beside its type, where Avro ignores it: "
            f"write it as {{'type': {{'type': ..., 'logicalType': ...}}}}"
        )
    return declared["type"]


def _declared_fields(schema: Mapping[str, Any], full: str) -> list[Mapping[str, Any]]:
    declared = schema.get("fields")
    if not isinstance(declared, list) or not all(isinstance(one, Mapping) for one in declared):
        raise SchemaError(f"record {full!r} has no list of fields: give 'fields'")
    return declared


def _aliases(declared: Mapping[str, Any], name: str) -> tuple[str, ...]:
    aliases = declared.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(one, str) and one for one in aliases):
        raise SchemaError(f"the aliases of {name!r} are {aliases!r}: give a list of names")
    return tuple(aliases)


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _symbols(schema: Mapping[str, Any], full: str) -> tuple[str, ...]:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not symbols or not all(isinstance(one, str) for one in symbols):
        raise SchemaError(f"enum {full!r} has no list of symbols: give 'symbols'")
    if len(set(symbols)) < len(symbols):
        raise SchemaError(f"enum {full!r} has a symbol twice: remove one")
    return tuple(symbols)


def _default_symbol(schema: Mapping[str, Any], enum: AvroType) -> str | None:
    default = schema.get("default")
    if default is not None and default not in enum.symbols:
        raise SchemaError(f"enum {enum.name!r} has the default {default!r}, which is none of its symbols: correct it")
    return default


def _size(schema: Mapping[str, Any], full: str) -> int:
    size = schema.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise SchemaError(f"fixed {full!r} has size {size!r}: give its number of bytes")
    return size


def _with_logical(avro_type: AvroType, schema: Mapping[str, Any]) -> AvroType:
    """Note a logical type that is known for this type; others are annotations only, as Avro says."""
    logical = schema.get("logicalType")
    if (avro_type.kind, logical) not in _LOGICAL:
        return avro_type
    if logical == "uuid" and avro_type.kind == "fixed" and avro_type.size != _UUID_SIZE:
        raise SchemaError(f"fixed {avro_type.name!r} is a uuid of {avro_type.size} bytes: make it 16, or no uuid")
    if logical == "decimal":
        _set_decimal(avro_type, schema)
    avro_type.logical = str(logical)
    return avro_type


def _set_decimal(avro_type: AvroType, schema: Mapping[str, Any]) -> None:
    precision: Any = schema.get("precision")
    scale: Any = schema.get("scale", 0)
    counts = _is_count(precision) and _is_count(scale)
    if not counts or not 0 <= scale <= precision <= _MAX_PRECISION or precision == 0:
        raise SchemaError(
            f"decimal({precision!r}, {scale!r}) is not valid: it needs 0 <= scale <= precision and "
            f"1 <= precision <= {_MAX_PRECISION}; correct it, or drop the logicalType to get the bytes"
        )
    largest: int = 2 ** max(8 * avro_type.size - 1, 0) - 1
    if avro_type.kind == "fixed" and 10**precision - 1 > largest:
        raise SchemaError(
            f"fixed {avro_type.name!r} of {avro_type.size} bytes cannot hold {precision} digits: "
            "correct the precision, or drop the logicalType to get the bytes"
        )
    avro_type.precision, avro_type.scale = precision, scale


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
