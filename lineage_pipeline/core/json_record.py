"""JSON records read as they were declared, without loss of numbers or keys. Pure: standard library only.

The payload is one JSON object in UTF-8. A field that is not there is NULL, or an error where it is required; null is
NULL, or an error where it is no value of the field. What an Avro schema declares is spelled like this:

- int, long: a number without fraction (3, 3.0 and 3e2 are; 3.5 and "3" are not), exact
- float, double: any number, rounded to the nearest; too large is an error. NaN and the infinities as the texts "NaN",
  "Infinity", "-Infinity" (the bare words are not JSON)
- decimal: a number or a text, exact; digits behind the scale are an error, not rounded
- dates, times, timestamps: the integer that the Avro type declares
- bytes, fixed: text of code points 0 to 255 (Avro's JSON encoding); uuid on fixed: the UUID's usual text
- nested values: any object or list (for a record or map: an object, for an array: a list), kept as text with its
  numbers as written; the inside is not compared with the schema

The spellings of a JSON Schema and of a list of columns stand in json_texts.py.

Fields that the declaration does not name are ignored unless it says otherwise: a producer that adds a field must not
send a whole topic to the quarantine. The payload's key order and blanks do not matter. A key that occurs twice is an
error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.json_declaration import JsonDeclaration
from lineage_pipeline.core.json_texts import declared_converter
from lineage_pipeline.core.json_values import number_of, valid_text
from lineage_pipeline.core.record_values import Undecodable, json_text, shown

_PLAIN_INT_DIGITS: Final = 30


def record_reader(declaration: JsonDeclaration) -> Callable[[bytes], list[Any]]:
    """Make the reader of whole payloads; the same values as avro_binary.record_reader gives.

    It raises Undecodable for a payload that is not one JSON object with values of these types.
    """
    fields = [(one.name, declared_converter(one), one.nullable, one.required) for one in declaration.fields]
    rest = _rest_reader(declaration)

    def read(payload: bytes) -> list[Any]:
        found = _parse(payload)
        size = len(payload)
        row = []
        for name, convert, nullable, required in fields:
            value = found.get(name)
            if value is not None:
                try:
                    row.append(convert(value, size))
                except Undecodable as error:
                    raise Undecodable(error.error_class, f"field {name!r}: {error.detail}") from None
            elif name not in found:
                if required:
                    raise Undecodable("missing-field", f"field {name!r} is not there")
                row.append(None)
            elif nullable:
                row.append(None)
            else:
                raise Undecodable("wrong-type", f"field {name!r}: null, but it is not nullable")
        if rest is not None:
            row += rest(found, size)
        return row

    return read


def _rest_reader(declaration: JsonDeclaration) -> Callable[[dict[str, Any], int], list[Any]] | None:
    """What becomes of the fields that are not declared: further values of the row, or an error."""
    known = frozenset(one.name for one in declaration.fields)

    def keep(found: dict[str, Any], size: int) -> list[Any]:
        if found.keys() <= known:
            return [None]
        unknown = {name: value for name, value in found.items() if name not in known}
        try:
            return [valid_text(json_text(unknown, size))]
        except Undecodable as error:
            raise Undecodable(error.error_class, f"field {UNKNOWN_COLUMN!r}: {error.detail}") from None

    def refuse(found: dict[str, Any], _size: int) -> list[Any]:
        if found.keys() <= known:
            return []
        name = next(name for name in found if name not in known)
        raise Undecodable("unknown-field", f"field {shown(name)} is not declared")

    return {"ignore": None, "keep": keep, "refuse": refuse}[declaration.unknown_fields]


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


def _integer(text: str) -> int | Decimal:
    # A number of a million digits is cheap as Decimal; int() would take time quadratic in it.
    return int(text) if len(text) < _PLAIN_INT_DIGITS else number_of(text)


def _constant(text: str) -> None:
    raise Undecodable("invalid-json", f"{text} is not JSON: write it as text")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=number_of, parse_int=_integer, parse_constant=_constant
)
