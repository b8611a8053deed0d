"""How the records of a protobuf topic are declared, as one text: a descriptor set, a message, unknown fields. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from lineage_pipeline.core.declared_field import UNKNOWN_FIELDS, UnknownFields
from lineage_pipeline.errors import SchemaError


def descriptor_text(descriptor_set: bytes, message: str, unknown_fields: UnknownFields = "ignore") -> str:
    """The text from which any worker makes the same decoder; `message` is a full name in the set."""
    content = {
        "descriptor_set": base64.b64encode(descriptor_set).decode(),
        "message": message,
        "unknown_fields": unknown_fields,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def parse_text(text: str | Mapping[str, Any]) -> tuple[bytes, str, UnknownFields]:
    """The serialized set, the message's name, what becomes of unknown fields. Raises SchemaError for any other text."""
    try:
        content = json.loads(text) if isinstance(text, str) else text
        found = base64.b64decode(content["descriptor_set"]), str(content["message"]), content["unknown_fields"]
    except (ValueError, TypeError, KeyError):
        found = (b"", "", "")
    if found[2] not in UNKNOWN_FIELDS:
        raise SchemaError("the schema is no protobuf declaration: format protobuf takes a descriptor set and a message")
    return found
