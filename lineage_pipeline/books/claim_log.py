"""Who has taken on what below OFFSET_INDEX_PATH: claims, each number given once, and a note per attempt at one.

    OFFSET_INDEX_PATH/<folder>/T/claims/N.json, OFFSET_INDEX_PATH/<folder>/T/attempts/*.json

Nothing here is ever changed or deleted. Where a store does not honour "create once" atomically (docs/ledger.md names
one), two claims in the same instant could take the same number: the one that reads back another's claim gives up.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.core.ledger_json import time_text
from lineage_pipeline.errors import LedgerError, StoreError

_NUMBER = re.compile(r"(\d{6,12})\.json")


class Claim(Protocol):
    """What is written once: for which topic, under which number."""

    @property
    def number(self) -> int:
        """It counts the topic's claims from 1."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    def to_json(self) -> str:
        """The claim's text."""


C = TypeVar("C", bound=Claim)


@dataclass(frozen=True)
class Note:
    """One attempt at a claim: who, when (UTC, ISO 8601), and what came of it: `begun`, `finished` or `failed`."""

    number: int
    at: str
    by: str
    what: str
    text: str = ""


class ClaimLog(Generic[C]):
    """The claims of one kind on one topic; `store` is the root of its offset index, `what` a word for messages."""

    def __init__(self, store: ObjectStore, topic: str, folder: str, what: str) -> None:
        self._store = store
        self._topic = topic
        self._root = f"{folder}/{topic}"
        self._what = what

    def read_claims(self, parse: Callable[[str, str], C]) -> tuple[C, ...]:
        """All claims by number. Raises LedgerError when one is gone or cannot be read, StoreError on failure."""
        found = []
        for key, data in self._objects("claims"):
            matched = _NUMBER.fullmatch(key.rpartition("/")[2])
            claim = parse(key, data.decode("utf-8", errors="replace"))
            if matched is None or int(matched[1]) != claim.number or claim.topic != self._topic:
                raise LedgerError(f"{self._what} claim {key} is of another number or topic: restore it")
            found.append(claim)
        found.sort(key=lambda one: one.number)
        gone = set(range(1, len(found) + 1)) - {one.number for one in found}
        if gone:
            raise LedgerError(
                f"{self._what} claim {min(gone)} of {self._topic} is gone from {self._store.uri}/{self._root}: restore"
                f" it; what it began may be unfinished, and another {self._what} could write it twice"
            )
        return tuple(found)

    def take(self, claim: C) -> bool:
        """Write the claim; False when its number was given meanwhile. Raises StoreError."""
        key, data = f"{self._root}/claims/{claim.number:06d}.json", claim.to_json().encode()
        try:
            self._store.put_new(key, data)
        except StoreError:
            if self._is(key, data):
                return True
            raise
        return self._is(key, data)

    def note(self, note: Note) -> None:
        """Add a note. Raises StoreError."""
        name = f"{note.at.replace(':', '').replace('-', '')}-{secrets.token_hex(4)}"
        text = {"number": note.number, "at": note.at, "by": note.by, "what": note.what, "text": note.text}
        self._store.put_new(f"{self._root}/attempts/{name}.json", json.dumps(text).encode())

    def notes(self) -> tuple[Note, ...]:
        """All notes, oldest first; one that cannot be read is left out, since nothing is decided by it alone."""
        found = []
        for _, data in self._objects("attempts"):
            try:
                raw: Any = json.loads(data)
                found.append(
                    Note(int(raw["number"]), str(raw["at"]), str(raw["by"]), str(raw["what"]), str(raw["text"]))
                )
            except (KeyError, TypeError, ValueError):
                continue
        return tuple(sorted(found, key=lambda one: (one.at, one.what)))

    def _objects(self, folder: str) -> Iterator[tuple[str, bytes]]:
        if not self._store.exists():
            return
        keys = sorted(info.key for info in self._store.list(f"{self._root}/{folder}") if info.key.endswith(".json"))
        for key, data in read_many(self._store, keys):
            if isinstance(data, StoreError):
                raise data
            yield key, data

    def _is(self, key: str, data: bytes) -> bool:
        try:
            return self._store.get(key) == data
        except StoreError:
            return False


def begun(number: int, by: str, at: datetime) -> Note:
    """The note with which every attempt begins."""
    return Note(number, time_text(at), by, "begun")
