"""Pure: one object of the ledger: a header line, then one event a line, and the chain of digests that joins them.

Entry n names the digest of entry n - 1. A checkpoint begins with everything the entries before it said, so that reading
starts at the newest checkpoint. Only a checkpoint may follow entries that are lost: it does not need them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lineage_pipeline.core.ledger_events import Event
from lineage_pipeline.core.ledger_json import event_line, parse_event
from lineage_pipeline.errors import LedgerError

FORMAT = "lineage-ledger/1"
CHECKPOINT_EVERY = 32  # entries: what an audit has to read at most


@dataclass(frozen=True)
class LedgerEntry:
    """One entry. `ledger`: the id that all entries since the last restart share; `digest` is that of its own bytes.

    `previous`: the digest of the entry before; None for the first one and for a restart.
    """

    topic: str
    ledger: str
    sequence: int
    previous: str | None
    checkpoint: bool
    events: tuple[Event, ...]
    digest: str


@dataclass(frozen=True)
class LedgerHead:
    """Where a ledger ended at some moment, kept at other places than the ledger, so that a lost tail is noticed.

    `checkpoint`: the sequence of the newest checkpoint, where reading begins.
    """

    ledger: str
    sequence: int
    digest: str
    checkpoint: int

    def to_json(self) -> dict[str, Any]:
        """The head as a JSON object."""
        return {
            "ledger": self.ledger,
            "sequence": self.sequence,
            "digest": self.digest,
            "checkpoint": self.checkpoint,
        }


def entry_bytes(
    topic: str, ledger: str, sequence: int, previous: str | None, events: Sequence[Event], *, checkpoint: bool
) -> bytes:
    """The entry as it is stored: UTF-8 lines, each with its end."""
    header = {
        "format": FORMAT,
        "topic": topic,
        "ledger": ledger,
        "sequence": sequence,
        "previous": previous,
        "checkpoint": checkpoint,
        "events": len(events),
    }
    lines = [json.dumps(header, separators=(",", ":")), *(event_line(event) for event in events)]
    return "".join(f"{line}\n" for line in lines).encode()


def parse_entry(name: str, data: bytes, topic: str) -> LedgerEntry:
    """The entry in `data`, of object `name`. Raises LedgerError for anything but a whole entry of this topic."""
    lines = data.decode("utf-8", errors="replace").split("\n")
    header = _header(name, lines[0])
    if header["topic"] != topic:
        raise LedgerError(
            f"ledger entry {name} is of topic {str(header['topic'])[:80]!r}, not of {topic!r}: check AUDIT_PATH"
        )
    body = lines[1:-1]
    if lines[-1] or len(body) != header["events"]:
        raise LedgerError(f"ledger entry {name} is cut off: it has {len(body)} whole events of {header['events']}")
    try:
        events = tuple(parse_event(line) for line in body)
    except LedgerError as error:
        raise LedgerError(f"ledger entry {name} cannot be read: {error}") from None
    return LedgerEntry(
        topic=topic,
        ledger=header["ledger"],
        sequence=header["sequence"],
        previous=header["previous"],
        checkpoint=header["checkpoint"],
        events=events,
        digest=digest_of(data),
    )


def linked(entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """The entries from the newest checkpoint on, in order. Raises LedgerError when one is missing or not the one meant.

    The first entry of a ledger is a checkpoint.
    """
    ordered = sorted(entries, key=lambda one: one.sequence)
    starts = [index for index, one in enumerate(ordered) if one.checkpoint]
    if not starts:
        raise LedgerError("no checkpoint of the ledger is left")
    chain = ordered[starts[-1] :]
    for before, after in pairwise(chain):
        if after.sequence != before.sequence + 1:
            raise LedgerError(f"entries {before.sequence + 1} to {after.sequence - 1} of the ledger are missing")
        if after.previous != before.digest or after.ledger != before.ledger:
            raise LedgerError(f"entry {after.sequence} of the ledger does not follow the one stored before it")
    return tuple(chain)


def parse_head(data: bytes) -> LedgerHead | None:
    """The head that to_json gave, from an object that may hold more; None when there is none in it."""
    try:
        raw = json.loads(data.decode("utf-8", errors="replace"))
        found = raw.get("ledger")
        head = LedgerHead(found["ledger"], found["sequence"], found["digest"], found["checkpoint"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    numbers = (head.sequence, head.checkpoint)
    texts = (head.ledger, head.digest)
    if all(type(one) is int and one > 0 for one in numbers) and all(isinstance(one, str) for one in texts):
        return head
    return None


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


_FIELDS = {"topic": str, "ledger": str, "sequence": int, "checkpoint": bool, "events": int}


def _header(name: str, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise LedgerError(f"ledger entry {name} does not begin with a header") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        shown = header.get("format") if isinstance(header, dict) else header
        raise LedgerError(
            f"ledger entry {name} has the format {str(shown)[:80]!r}, this version reads {FORMAT!r}: update it"
        )
    wrong = [key for key, kind in _FIELDS.items() if type(header.get(key)) is not kind]
    if wrong or not isinstance(header.get("previous"), str | None):
        raise LedgerError(f"ledger entry {name} has a header without a proper {', '.join(wrong) or 'previous'}")
    return header
