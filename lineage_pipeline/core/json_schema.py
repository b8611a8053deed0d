"""A JSON Schema of an object to the fields of a JSON record. Pure: standard library only.

It is read for what columns need: `properties` with their types, `required`, `format`, `enum`, local references.
Keywords that only narrow values down (pattern, minimum, minLength, additionalProperties, ...) are not checked, and the
inside of objects and arrays is kept as it is.

| property | column |
|---|---|
| string | STRING; of the format date-time, date or uuid, with contentEncoding base64, or an enum of texts: as such |
| integer | BIGINT, INT for the format int32; a decimal where the declared bounds (or format uint64) go beyond 64 bits |
| number | DOUBLE (FLOAT for the format float) that keeps what was written; DECIMAL(38, s) for multipleOf 10^-s |
| boolean | BOOLEAN |
| object, array, several types, anything | JSON text |
| null alone | always NULL |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.declared_field import DeclaredField
from lineage_pipeline.core.record_values import LONG_RANGE
from lineage_pipeline.errors import SchemaError

_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
_MAX_HOPS: Final = 32
_MAX_DIGITS: Final = 38
_UUID_SIZE: Final = 16
# What would bring properties that never became columns.
_ELSEWHERE: Final = ("allOf", "anyOf", "oneOf", "if", "dependentSchemas", "patternProperties")

_Column = tuple[AvroType, str]  # its type and its spelling, see DeclaredField


def schema_fields(schema: Mapping[str, Any]) -> tuple[DeclaredField, ...]:
    """The fields in the order of `properties`.

    Raises SchemaError for what is no object with properties, or uses what cannot become columns, naming it.
    """
    root = _resolved(schema, schema)
    properties = root.get("properties")
    if (
        root.get("type", "object") not in ("object", ["object"])
        or not isinstance(properties, Mapping)
        or not properties
    ):
        raise SchemaError("the JSON Schema describes no object with properties, a table needs both: give `properties`")
    for keyword in _ELSEWHERE:
        if keyword in root:
            raise SchemaError(
                f"the JSON Schema has {keyword!r} beside its properties, which would become no columns: write them into"
                " `properties`"
            )
    required = root.get("required", [])
    if not isinstance(required, list) or not all(name in properties for name in required):
        raise SchemaError(f"the JSON Schema requires {required!r}, but not all of them are properties: describe them")
    return tuple(_field(name, one, schema, required=name in required) for name, one in properties.items())


def _field(name: str, described: Any, root: Mapping[str, Any], *, required: bool) -> DeclaredField:
    try:
        options = list(_options(described, root, _MAX_HOPS))
        kinds = {kind for kind, _ in options}
        nullable = "null" in kinds
        column, spelling = _column([one for one in options if one[0] != "null"])
    except SchemaError as error:
        raise SchemaError(f"property {name!r}: {error}") from None
    shown = [kind for kind in _TYPES if kind in kinds]
    words = "any JSON" if len(shown) == len(_TYPES) else " or ".join(shown)
    formats = {one["format"] for _, one in options if isinstance(one.get("format"), str)}
    words += f" ({', '.join(sorted(formats))})" if formats else ""
    return DeclaredField(name, column, words, nullable=nullable, required=required, spelling=spelling)


def _resolved(described: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Behind its local references; true is the schema without conditions."""
    for _ in range(_MAX_HOPS):
        if described is True:
            return {}
        if not isinstance(described, Mapping):
            raise SchemaError(f"{str(described)[:60]!r} is no JSON Schema: give an object")
        reference = described.get("$ref")
        if reference is None:
            return described
        rest = {key: value for key, value in described.items() if key != "$ref"}
        target = _referred(reference, root)
        described = {**target, **rest} if isinstance(target, Mapping) else target
    raise SchemaError(f"its references go in a circle or through more than {_MAX_HOPS} places: describe it in place")


def _referred(reference: Any, root: Any) -> Any:
    if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
        raise SchemaError(f"$ref {reference!r} is outside of the file: put the definition into it, below $defs")
    found = root
    for step in reference.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            raise SchemaError(f"$ref {reference!r} leads nowhere: correct it")
        found = found[key]
    return found


def _options(described: Any, root: Mapping[str, Any], hops: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The types that a value may have, each with what is said about it."""
    one = _resolved(described, root)
    if hops == 0:
        raise SchemaError("its alternatives go too deep: describe it in place")
    for keyword in ("anyOf", "oneOf"):
        branches = one.get(keyword)
        if branches is not None:
            rest = {key: value for key, value in one.items() if key != keyword}
            for branch in _listed(branches, keyword):
                yield from _options({**rest, **_resolved(branch, root)}, root, hops - 1)
            return
    if "allOf" in one:
        merged: dict[str, Any] = {key: value for key, value in one.items() if key != "allOf"}
        for branch in _listed(one["allOf"], "allOf"):
            merged.update(_resolved(branch, root))
        yield from _options(merged, root, hops - 1)
        return
    for kind in _kinds(one):
        yield kind, one


def _listed(branches: Any, keyword: str) -> list[Any]:
    if not isinstance(branches, list) or not branches:
        raise SchemaError(f"{keyword!r} is no list of schemas: correct it")
    return branches


def _kinds(one: Mapping[str, Any]) -> list[str]:
    kinds = one.get("type")
    if kinds is None:
        values = one["enum"] if isinstance(one.get("enum"), list) else [one["const"]] if "const" in one else None
        # Without a type, an enum of texts (and null) is as good as one.
        if values and all(value is None or isinstance(value, str) for value in values):
            return sorted({"null" if value is None else "string" for value in values})
        return list(_TYPES)
    listed = kinds if isinstance(kinds, list) else [kinds]
    wrong = [kind for kind in listed if kind not in _TYPES]
    if wrong or not listed:
        raise SchemaError(f"type {(wrong or [kinds])[0]!r} is none of {', '.join(_TYPES)}: correct it")
    return listed


def _column(options: list[tuple[str, Mapping[str, Any]]]) -> _Column:
    kinds = {kind for kind, _ in options}
    if not kinds:
        return AvroType("null"), "avro"
    if kinds == {"integer", "number"}:
        options, kinds = [("number", one) for _, one in options], {"number"}
    if len(kinds) > 1:
        return AvroType("union"), "union:" + ",".join(kind for kind in _TYPES if kind in kinds)
    (kind,) = kinds
    plain = _SCALARS[kind]
    first, *others = [plain(one) for _, one in options]
    # Alternatives of one type that do not agree about the rest: what they have in common.
    return first if all(_alike(first, other) for other in others) else plain({})


def _alike(one: _Column, other: _Column) -> bool:
    parts = [(a.kind, a.logical, a.precision, a.scale, a.symbols, b) for a, b in (one, other)]
    return parts[0] == parts[1]


def _string(one: Mapping[str, Any]) -> _Column:
    values = one.get("enum", [one["const"]] if "const" in one else None)
    if values is not None:
        texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
        if not texts:
            raise SchemaError(f"its enum {str(values)[:60]} has no text: correct it")
        return AvroType("enum", symbols=tuple(texts)), "avro"
    if one.get("contentEncoding") == "base64":
        return AvroType("bytes"), "base64"
    if one.get("format") == "date-time":
        return AvroType("long", logical="timestamp-millis"), "timestamp"
    if one.get("format") == "date":
        return AvroType("int", logical="date"), "date"
    if one.get("format") == "uuid":
        return AvroType("fixed", logical="uuid", size=_UUID_SIZE), "avro"
    return AvroType("string"), "avro"


def _integer(one: Mapping[str, Any]) -> _Column:
    if one.get("format") == "int32":
        return AvroType("int"), "avro"
    keywords = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    bounds = [abs(int(one[key])) for key in keywords if _is_number(one.get(key))]
    bounds += [2**64 - 1] if one.get("format") == "uint64" else []
    largest = max(bounds, default=0)
    if largest <= LONG_RANGE[1] + 1:
        return AvroType("long"), "avro"
    digits = len(str(largest))
    if digits > _MAX_DIGITS:
        raise SchemaError(f"its bounds have {digits} digits, a decimal has at most {_MAX_DIGITS}: narrow them")
    return _decimal(digits, 0), "avro"


def _number(one: Mapping[str, Any]) -> _Column:
    step = one.get("multipleOf")
    if _is_number(step):
        sign, digits, exponent = Decimal(repr(step)).normalize().as_tuple()
        if not sign and digits == (1,) and isinstance(exponent, int) and -_MAX_DIGITS < exponent <= 0:
            return _decimal(_MAX_DIGITS, -exponent), "avro"
    return AvroType("float" if one.get("format") == "float" else "double"), "exact"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 10**300


def _decimal(precision: int, scale: int) -> AvroType:
    return AvroType("bytes", logical="decimal", precision=precision, scale=scale)


_SCALARS: Final[dict[str, Callable[[Mapping[str, Any]], _Column]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _one: (AvroType("boolean"), "avro"),
    "object": lambda _one: (AvroType("map"), "avro"),
    "array": lambda _one: (AvroType("array"), "avro"),
}
