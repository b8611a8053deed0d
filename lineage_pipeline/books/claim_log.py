"""Who has taken on what below OFFSET_INDEX_PATH: claims, each number given once, and a note per attempt at one.

    OFFSET_INDEX_PATH/<folder>/T/claims/N.json, OFFSET_INDEX_PATH/<folder>/T/attempts/*.json

Nothing here is ever changed or deleted. Where a store does not honour "create once" atomically (docs/ledger.md names
one), two claims in the same instant could take the same number: the one that reads back another's claim gives up.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.core.ledger_json import time_text
from lineage_pipeline.errors import LedgerError, StoreError

_NUMBER = re.compile(r"(\d{6,12})\.json")
_NOTED = re.compile(r"(\d{6,12})-\d{8}T[^/]*\.json")  # earlier versions left the number out of the name


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

    @property
    def emptiness(self) -> str:
        """The sentence for a log without claims."""
        return f"no {self._what} of {self._topic} so far: nothing is in {self._store.uri.rstrip('/')}/{self._root}"

    def read_claims(self, parse: Callable[[str, str], C]) -> tuple[C, ...]:
        """All claims by number. Raises LedgerError when one is gone or cannot be read, StoreError on failure.

        That the last ones are gone is known from the notes, which are listed first: a claim is written before its
        first note, and before anything else that it is for.
        """
        if not self._store.exists():
            return ()
        noted = self._highest_noted()
        found = []
        for key, data in self._read(self._keys("claims")):
            matched = _NUMBER.fullmatch(key.rpartition("/")[2])
            claim = parse(key, data.decode("utf-8", errors="replace"))
            if matched is None or int(matched[1]) != claim.number or claim.topic != self._topic:
                raise LedgerError(f"{self._what} claim {key} is of another number or topic: restore it")
            found.append(claim)
        found.sort(key=lambda one: one.number)
        gone = set(range(1, max(len(found), noted) + 1)) - {one.number for one in found}
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
        name = f"{note.number:06d}-{note.at.replace(':', '').replace('-', '')}-{secrets.token_hex(4)}"
        text = {"number": note.number, "at": note.at, "by": note.by, "what": note.what, "text": note.text}
        self._store.put_new(f"{self._root}/attempts/{name}.json", json.dumps(text).encode())

    def notes(self) -> tuple[Note, ...]:
        """All notes, oldest first; one that cannot be read is left out, since nothing is decided by its text."""
        keys = self._keys("attempts") if self._store.exists() else []
        found = [_note(data) for _, data in self._read(keys)]
        return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.at, one.what)))

    def _highest_noted(self) -> int:
        """The highest number that a note names; 0 without any."""
        names = {key: _NOTED.fullmatch(key.rpartition("/")[2]) for key in self._keys("attempts")}
        unnamed = [_note(data) for _, data in self._read([key for key, name in names.items() if name is None])]
        numbers = [int(name[1]) for name in names.values() if name is not None]
        return max([0, *numbers, *(one.number for one in unnamed if one is not None)])

    def _keys(self, folder: str) -> list[str]:
        return sorted(info.key for info in self._store.list(f"{self._root}/{folder}") if info.key.endswith(".json"))

    def _read(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        for key, data in read_many(self._store, keys):
            if isinstance(data, StoreError):
                raise data
            yield key, data

    def _is(self, key: str, data: bytes) -> bool:
        try:
            return self._store.get(key) == data
        except StoreError:
            return False


def _note(data: bytes) -> Note | None:
    try:
        raw: Any = json.loads(data)
        return Note(int(raw["number"]), str(raw["at"]), str(raw["by"]), str(raw["what"]), str(raw["text"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def begun(number: int, by: str, at: datetime) -> Note:
    """The note with which every attempt begins."""
    return Note(number, time_text(at), by, "begun")


def ended(claim: Claim, notes: Iterable[Note]) -> bool:
    """Whether the newest note on the claim says that it is finished; without it an attempt may have been killed."""
    mine = [one for one in notes if one.number == claim.number]
    return bool(mine) and max(mine, key=lambda one: (one.at, one.what)).what == "finished"
