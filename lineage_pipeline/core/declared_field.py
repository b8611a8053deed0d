"""One declared field of a record: what its column is, and how the payload spells its values. Pure.

Every way to declare records (an Avro schema, a JSON Schema, a list of columns, a protobuf descriptor) ends in these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from lineage_pipeline.core.avro_schema import AvroType

# What becomes of fields that the declaration does not name: passed over, kept in UNKNOWN_COLUMN, or the record refused.
UnknownFields = Literal["ignore", "keep", "refuse"]
UNKNOWN_FIELDS: Final = ("ignore", "keep", "refuse")
# Begins with the prefix that no field may have, so no record can collide with it.
UNKNOWN_COLUMN: Final = "kafka_unknown_fields"


@dataclass(frozen=True)
class DeclaredField:
    """One field. `nullable`: null is a value of it. `required`: a record without it is refused."""

    name: str
    type: AvroType  # decides the column, see record_schema.py
    words: str  # the declared type, for people
    nullable: bool = True
    required: bool = False
    # How JSON writes it: "avro" as Avro's JSON encoding does; else a key of json_texts.TEXTS, or "union:" and the
    # JSON types that are allowed, divided by commas.
    spelling: str = "avro"


def unknown_field() -> DeclaredField:
    """The column of everything that the declaration does not name; JSON text, NULL where there is nothing."""
    return DeclaredField(UNKNOWN_COLUMN, AvroType("map"), "fields that the schema does not name")


def avro_field(name: str, avro_type: AvroType) -> DeclaredField:
    """A field as an Avro record declares it: what is not nullable must be there."""
    inner, nullable = avro_type.unwrapped()
    return DeclaredField(name, avro_type, inner.words, nullable=nullable, required=not nullable)
