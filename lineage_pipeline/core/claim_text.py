"""Pure: the JSON of a claim read back, which is exactly what was written or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar


class Written(Protocol):
    """What has one text."""

    def to_json(self) -> str:
        """That text."""


T = TypeVar("T", bound=Written)


def read_strictly(text: str, text_format: str, make: Callable[[Mapping[str, Any]], T]) -> T:
    """What `make` makes of the text's object, if that is of `text_format` and would be written as this text says.

    Raises ValueError with the reason: what somebody has taken on must not be guessed.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(raw, dict) or raw.get("format") != text_format:
        raise ValueError(f"it is not of format {text_format}")
    try:
        found = make(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"a value cannot be: {str(error)[:120]}") from None
    if json.loads(found.to_json()) != raw:
        raise ValueError("it says something else than its own offsets do")
    return found
