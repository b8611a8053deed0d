"""Whether index files are new: a digest of the open days' listing, and the cursor that remembers it per topic.

Names of files are random, so "the last name seen" would skip some. Files of closed days are rare, and the scheduled
audit lists them all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone

from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, IndexPath, list_index, topic_of
from lineage_pipeline.books.object_store import ObjectInfo

CURSOR_VERSION = 1
_OPEN_DAYS = 2  # directories are days in UTC; a file written at midnight belongs to the day its window began


def index_state(path: IndexPath, now: datetime) -> str:
    """A digest over key, size and entity tag of every index file of today and yesterday.

    An index of another layout has no directories of days; there all files count. Raises StoreError when a listing
    fails.
    """
    digest = hashlib.sha256()
    for line in sorted(f"{info.key}\0{info.size}\0{info.etag}\0{info.last_modified}" for info in _files(path, now)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:32]


def newest_file(path: IndexPath, now: datetime) -> datetime | None:
    """When the newest index file was written; None without any. Raises StoreError when a listing fails.

    Only when the open days have none are all days listed.
    """
    times = [info.last_modified for info in _files(path, now)] or [one.last_modified for one in list_index(path).files]
    return datetime.fromtimestamp(max(times), timezone.utc) if times else None


def read_cursor(text: str | None) -> dict[str, str]:
    """The digest per topic; empty for a lost cursor or one of another version, so that every topic counts as new."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    if not isinstance(value, dict) or value.get("version") != CURSOR_VERSION or not isinstance(value.get("seen"), dict):
        return {}
    return {str(topic): str(state) for topic, state in value["seen"].items()}


def read_turn(text: str | None) -> str:
    """The last topic that had its turn; empty when there is none."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return ""
    turn = value.get("turn", "") if isinstance(value, dict) else ""
    return turn if isinstance(turn, str) else ""


def write_cursor(seen: Mapping[str, str], turn: str = "") -> str:
    """What `read_cursor` and `read_turn` read."""
    return json.dumps({"version": CURSOR_VERSION, "turn": turn, "seen": dict(sorted(seen.items()))})


def _files(path: IndexPath, now: datetime) -> Iterator[ObjectInfo]:
    own = topic_of(path.store.uri) is not None
    folder = "" if own else f"{TOPIC_DIRECTORY}{path.topic}"
    days = [f"dt={now - timedelta(days=back):%Y-%m-%d}" for back in range(_OPEN_DAYS)]
    found = [info for day in days for info in path.store.list(f"{folder}/{day}" if folder else day)]
    if found:  # so the index has directories of days, and there is no need to look for another layout
        yield from found
        return
    first = next(path.store.list(folder), None)
    if first is None and not own:  # files of the original job lie in no directory of their topic
        if path.sole:
            yield from path.store.list()
    elif first is not None and "dt=" not in first.key:
        yield from path.store.list(folder)
