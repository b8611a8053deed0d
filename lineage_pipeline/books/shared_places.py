"""Whether files at a place may be of several topics, asked for each of thousands of topics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lineage_pipeline.books.index_store import TOPIC_DIRECTORY
from lineage_pipeline.books.object_store import segments

Owned = tuple[tuple[str, str], ...]  # topics, each with the URI of a place of its own


def is_shared(owner: str, place: str, owned: Owned) -> bool:
    """Whether files at `place` that are in no `kafka_topic=` directory may be of another topic than `owner`.

    They are when a place of another topic is the same, or lies below it outside of such a directory.
    """
    return any(one != owner for one in _owners(owned, Path.cwd()).get(segments(place), ()))


@lru_cache(maxsize=8)
def _owners(owned: Owned, _working_directory: Path) -> Mapping[tuple[str, ...], frozenset[str]]:
    """By place, whose files may be there; kept, since each topic asks for the same, and comparing all pairs is slow."""
    found: dict[tuple[str, ...], set[str]] = {}
    for owner, uri in owned:
        inner = segments(uri)
        for length in range(len(inner), -1, -1):
            found.setdefault(inner[:length], set()).add(owner)
            if length and inner[length - 1].startswith(TOPIC_DIRECTORY):
                break
    return {place: frozenset(owners) for place, owners in found.items()}
