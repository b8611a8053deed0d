"""How the records of a JSON topic are declared: by an Avro schema, a JSON Schema or a list of columns. Pure.

The whole declaration is one text, which rebuilds the same value on every worker: the schema's own when there is nothing
else to say, else a JSON object under the key `lineage_declaration`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from lineage_pipeline.core.avro_schema import parse_record
from lineage_pipeline.core.column_list import listed_fields
from lineage_pipeline.core.declared_field import UNKNOWN_FIELDS, DeclaredField, UnknownFields, avro_field
from lineage_pipeline.core.json_schema import schema_fields
from lineage_pipeline.errors import SchemaError

_WRAPPER: Final = "lineage_declaration"


@dataclass(frozen=True)
class JsonDeclaration:
    """The fields of a topic's JSON records, in order, and what becomes of fields that are not among them."""

    fields: tuple[DeclaredField, ...]
    unknown_fields: UnknownFields = "ignore"


def declaration_text(schema: str | None, columns: Mapping[str, str] | None, unknown_fields: UnknownFields) -> str:
    """The text of the declaration. `columns` beside a JSON Schema correct the types of single properties.

    Raises SchemaError when the schema is not JSON.
    """
    if columns is None and unknown_fields == "ignore":
        return schema or ""
    content = {
        "schema": None if schema is None else _loaded(schema),
        "columns": None if columns is None else list(columns.items()),
        "unknown_fields": unknown_fields,
    }
    return json.dumps({_WRAPPER: content})


def parse_declaration(text: str | Mapping[str, Any]) -> tuple[JsonDeclaration, str]:
    """Read a declaration; give it and its canonical text.

    Raises SchemaError for what is none, or holds a schema that cannot become columns.
    """
    parsed = _loaded(text) if isinstance(text, str) else text
    wrapped = parsed.get(_WRAPPER) if isinstance(parsed, Mapping) else None
    if wrapped is None:
        fields, canonical = _schema_fields(parsed)
        return JsonDeclaration(fields), canonical
    schema, listed, unknown = wrapped["schema"], wrapped["columns"], wrapped["unknown_fields"]
    if unknown not in UNKNOWN_FIELDS:
        raise SchemaError(f"unknown_fields {unknown!r} is none of {', '.join(UNKNOWN_FIELDS)}: correct it")
    columns = None if listed is None else listed_fields(dict(listed))
    fields = columns or ()
    if schema is not None:
        fields = _corrected(schema, _schema_fields(schema)[0], fields)
    canonical = json.dumps(parsed, separators=(",", ":"))
    return JsonDeclaration(fields, cast("UnknownFields", unknown)), canonical


def _schema_fields(schema: Any) -> tuple[tuple[DeclaredField, ...], str]:
    if not _is_json_schema(schema):
        record, text = parse_record(schema)
        return tuple(avro_field(name, one) for name, one in record.fields), text
    try:
        return schema_fields(schema), json.dumps(schema, separators=(",", ":"))
    except RecursionError:
        raise SchemaError("the JSON Schema is nested too deeply: use $defs") from None


def _is_json_schema(schema: Any) -> bool:
    """An Avro record is of type record and lists its fields; a JSON Schema has neither."""
    if not isinstance(schema, Mapping) or schema.get("type") in ("record", "error"):
        return False
    return schema.get("type") in ("object", ["object"]) or bool(
        {"$schema", "properties", "$ref", "$defs"} & set(schema)
    )


def _corrected(
    schema: Any, fields: tuple[DeclaredField, ...], columns: tuple[DeclaredField, ...]
) -> tuple[DeclaredField, ...]:
    if not columns:
        return fields
    if not _is_json_schema(schema):
        raise SchemaError("`columns` stand beside an Avro schema: change the types there, or remove one of them")
    corrected = {one.name: one for one in columns}
    surplus = sorted(set(corrected) - {one.name for one in fields})
    if surplus:
        raise SchemaError(f"column {surplus[0]!r} is no property of the JSON Schema: describe it there, or remove it")
    return tuple(corrected.get(one.name, one) for one in fields)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except ValueError as error:
        raise SchemaError(f"the schema is not JSON ({error}): give an Avro schema or a JSON Schema") from None
    except RecursionError:
        raise SchemaError("the schema is nested too deeply: use named types or $defs") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"the schema has the key {twice!r} twice in one object: remove one")
    return found
