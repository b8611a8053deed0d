"""A list of columns, as SQL names types, to the fields of a JSON record. Pure: standard library only.

`{id: bigint not null, amount: "decimal(12, 2)", at: timestamp}`. A column is NULL where the record lacks the field or
says null; with `not null` such a record is refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Final

from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.declared_field import DeclaredField
from lineage_pipeline.errors import SchemaError

_TYPE: Final = re.compile(r"([a-z_0-9]+(?: precision)?)(?: ?\( ?(\d{1,4}) ?(?:, ?(\d{1,4}) ?)?\))?( not null| null)?")
# type -> (the column's type, its logical type, spelling)
_PLAIN: Final = {
    "boolean": ("boolean", None, "avro"),
    "int": ("int", None, "avro"),
    "bigint": ("long", None, "avro"),
    "real": ("float", None, "exact"),
    "double": ("double", None, "exact"),
    "string": ("string", None, "avro"),
    "bytes": ("bytes", None, "base64"),
    "date": ("int", "date", "date"),
    "time": ("int", "time-millis", "time"),
    "epoch_millis": ("long", "timestamp-millis", "avro"),
    "json": ("union", None, "union:object,array,string,number,boolean"),
}
_SYNONYMS: Final = {
    "bool": "boolean",
    "integer": "int",
    "long": "bigint",
    "float": "real",
    "double precision": "double",
    "varchar": "string",
    "text": "string",
    "binary": "bytes",
    "varbinary": "bytes",
    "numeric": "decimal",
}
_TIMESTAMPS: Final = {"timestamp": "timestamp", "local_timestamp": "local-timestamp"}
_UNITS: Final = {None: "millis", "3": "millis", "6": "micros", "9": "nanos"}
_MAX_DIGITS: Final = 38
_UUID_SIZE: Final = 16
_TYPES: Final = (*_PLAIN, *_SYNONYMS, *_TIMESTAMPS, "decimal(p, s)", "uuid")


def listed_fields(columns: Mapping[str, str]) -> tuple[DeclaredField, ...]:
    """The fields in the order of the list. Raises SchemaError for a type that is none, naming the column."""
    return tuple(_field(name, text) for name, text in columns.items())


def _field(name: str, text: str) -> DeclaredField:
    words = " ".join(text.lower().split())
    found = _TYPE.fullmatch(words)
    if found is None:
        raise _unknown(name, text)
    base, first, second, null = found.groups()
    base = _SYNONYMS.get(base, base)
    if base == "decimal":
        column, spelling = _decimal(name, first, second), "avro"
    elif base in _TIMESTAMPS and second is None and first in _UNITS:
        column, spelling = AvroType("long", logical=f"{_TIMESTAMPS[base]}-{_UNITS[first]}"), "timestamp"
    elif base == "uuid" and first is None:
        column, spelling = AvroType("fixed", logical="uuid", size=_UUID_SIZE), "avro"
    elif base in _PLAIN and first is None:
        kind, logical, spelling = _PLAIN[base]
        column = AvroType(kind, logical=logical)
    else:
        raise _unknown(name, text)
    strict = null == " not null"
    return DeclaredField(name, column, words, nullable=not strict, required=strict, spelling=spelling)


def _decimal(name: str, precision: str | None, scale: str | None) -> AvroType:
    digits, places = int(precision or 0), int(scale or 0)
    if not 1 <= digits <= _MAX_DIGITS or places > digits:
        raise SchemaError(
            f"column {name!r} needs decimal(p, s) with 1 to {_MAX_DIGITS} digits, s of them behind the point"
        )
    return AvroType("bytes", logical="decimal", precision=digits, scale=places)


def _unknown(name: str, text: str) -> SchemaError:
    near = difflib.get_close_matches(text.lower(), _TYPES, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(_TYPES))}, each with `not null` or without"
    )
    return SchemaError(f"column {name!r} has the type {text!r}, which is none: {hint}")
