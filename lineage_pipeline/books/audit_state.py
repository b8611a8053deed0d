"""What the audits of one topic leave for the next: ledger, fold and head below AUDIT_PATH/kafka_topic=T/.

    _ledger/000000/00000000000000000001.jsonl   one entry per audit, written once and never again
    _fold.parquet                               everything merged from the index; rebuilt when it is not believed
    _head.json                                  where the ledger ended, so that a lost tail is noticed
    OFFSET_INDEX_PATH/_audits/T.json            the same, where it survives the loss of the whole audit path

Reading never raises for what it finds: whatever is lost, damaged or not ours becomes a problem, and nothing is written
over it until a person tells a baseline again.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lineage_pipeline.books.fold_file import parse_fold
from lineage_pipeline.books.index_store import has_index
from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.core.fold import Fold
from lineage_pipeline.core.ledger import LedgerState, replay
from lineage_pipeline.core.ledger_checkpoint import condensed
from lineage_pipeline.core.ledger_entry import (
    CHECKPOINT_EVERY,
    LedgerEntry,
    LedgerHead,
    digest_of,
    entry_bytes,
    linked,
    parse_entry,
    parse_head,
)
from lineage_pipeline.core.ledger_events import Event, Restarted
from lineage_pipeline.errors import LedgerError, StoreError

LEDGER, HEAD, FOLD = "_ledger", "_head.json", "_fold.parquet"
WITNESSES = "_audits"
COMPLETE_THROUGH = "complete-through.json"
SEGMENT = 1000  # entries in one directory, so that one request lists them
MAX_CONFLICTS = 200  # other audits that may write in between before this one gives up
_NAME = re.compile(r"[0-9]{6,}/([0-9]{20})\.jsonl")


@dataclass(frozen=True)
class StoredState:
    """What was there. `head` is None without a readable ledger.

    `problems`: a sentence for each reason why `state` may not be all that was known; then nothing may be appended but a
    restart, whose entry gets the number `free`. `writable`: the place itself could be read.
    """

    state: LedgerState = field(default_factory=LedgerState)
    head: LedgerHead | None = None
    free: int = 1
    problems: tuple[str, ...] = ()
    writable: bool = True


@dataclass(frozen=True)
class StoredFold:
    """A fold, and the digest of the bytes it was stored as."""

    fold: Fold
    digest: str


class AuditState:
    """The audits of one topic. `witness` is the root of its offset index, or None when nothing may be written there."""

    def __init__(self, store: ObjectStore, topic: str, witness: ObjectStore | None = None) -> None:
        self.topic = topic
        self._store = store
        self._witness = witness
        self._root = f"kafka_topic={topic}"

    def read(self) -> StoredState:
        """The replayed ledger, checked against every place that tells where it ended."""
        heads = [one for one in (self._head(self._store, self._key(HEAD)), self._witnessed()) if one is not None]
        try:
            if not self._store.exists():
                return self._without_ledger(heads, [])
            numbers = self._numbers(heads[0].checkpoint if heads else 0)
            if not numbers:
                left = sorted(one.key.rpartition("/")[2] for one in self._store.list(self._root, hidden=True))
                return self._without_ledger(heads, [name for name in left if name in {HEAD, FOLD, COMPLETE_THROUGH}])
            return self._replayed(numbers, heads)
        except StoreError as error:
            text = f"what earlier audits left could not be read: {error}"
            return StoredState(problems=(text,), writable=False)

    def fold(self, state: LedgerState) -> StoredFold | None:
        """The stored fold; None when there is none, or none that an entry of the ledger vouches for."""
        if not state.folds:
            return None
        try:
            data = self._store.get(self._key(FOLD))
            digest = digest_of(data)
            return StoredFold(parse_fold(data, self.topic), digest) if digest in state.folds else None
        except (StoreError, LedgerError):
            return None  # it is rebuilt from the index, which costs time and nothing else

    def append(self, known: StoredState, events: Sequence[Event], settle: float, max_delay: float) -> StoredState:
        """The state after adding `events` as one entry, behind whatever other audits added meanwhile.

        Raises StoreError when it cannot be written, LedgerError when another audit's entry cannot be read.
        """
        current = known
        for _ in range(MAX_CONFLICTS):
            head = current.head
            sequence = head.sequence + 1 if head else 1
            checkpoint = head is None or sequence - head.checkpoint >= CHECKPOINT_EVERY
            before = condensed(current.state, settle, max_delay) if head and checkpoint else ()
            ledger = head.ledger if head else secrets.token_hex(8)
            previous = head.digest if head else None
            data = entry_bytes(self.topic, ledger, sequence, previous, (*before, *events), checkpoint=checkpoint)
            if self._put_entry(sequence, data):
                start = LedgerState() if checkpoint else current.state
                return self._after(start, self._parse(sequence, data), current)
            current = self._caught_up(current, sequence)
        raise StoreError(f"{MAX_CONFLICTS} audits of {self.topic} wrote in between: is something auditing in a loop?")

    def restart(self, known: StoredState, events: Sequence[Event]) -> StoredState:
        """A new ledger behind what is lost or damaged; a Restarted is among `events`. Raises StoreError."""
        kept = replay([event for event in events if isinstance(event, Restarted)], known.state)
        first = condensed(kept, 0, 0)
        ledger = secrets.token_hex(8)
        data = entry_bytes(self.topic, ledger, known.free, None, (*first, *events), checkpoint=True)
        if not self._put_entry(known.free, data):
            raise StoreError(f"another audit of {self.topic} told a baseline at the same moment: look what it says")
        return self._after(LedgerState(), self._parse(known.free, data), known)

    def put_fold(self, data: bytes) -> None:
        """Store the fold whose digest an entry told. Raises StoreError."""
        self._store.put(self._key(FOLD), data)

    def put_head(self, head: LedgerHead) -> str | None:
        """Tell both places where the ledger ends. Raises StoreError for the audit path.

        Where no index is, or none that may be written to, the reason is returned: then the loss of the audit path goes
        unnoticed.
        """
        self._tell(self._store, self._key(HEAD), head)
        if self._witness is None:
            return None
        try:
            if self._witnessed() is None and not has_index(self._witness):
                return f"no index is at {self._witness.uri}"  # and writing must not make a directory of that name
            self._tell(self._witness, f"{WITNESSES}/{self.topic}.json", head)
        except StoreError as error:
            return str(error)
        return None

    def _tell(self, store: ObjectStore, key: str, head: LedgerHead) -> None:
        told = self._head(store, key)
        if told is not None and told.ledger == head.ledger and told.sequence > head.sequence:
            return  # another audit added an entry meanwhile: set back, its loss would go unnoticed
        store.put(key, json.dumps({"topic": self.topic, "ledger": head.to_json()}).encode())

    def put_json(self, name: str, value: dict[str, Any]) -> str:
        """Store `value` under `name` beside the ledger, and return its key. Raises StoreError."""
        self._store.put(self._key(name), json.dumps(value).encode())
        return self._key(name)

    def put_page(self, name: str, page: bytes) -> None:
        """Store a page for people under `name` beside the ledger. Raises StoreError."""
        self._store.put(self._key(name), page)

    def place(self, name: str) -> str:
        """Where the object `name` is, for people."""
        return f"{self._store.uri.rstrip('/')}/{self._key(name)}"

    def get_json(self, name: str) -> Any:
        """What put_json stored. Raises StoreError, also when it is not there or no JSON."""
        data = self._store.get(self._key(name))
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise StoreError(f"{self._key(name)} below {self._store.uri} is not JSON: audit again") from None

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _entry_key(self, sequence: int) -> str:
        return self._key(f"{LEDGER}/{sequence // SEGMENT:06d}/{sequence:020d}.jsonl")

    def _numbers(self, checkpoint: int) -> list[int]:
        """The entries' numbers from `checkpoint` on; all of them when it is not there any more."""
        found: list[int] = []
        segment = checkpoint // SEGMENT
        while checkpoint:
            listed = self._listed(f"{LEDGER}/{segment:06d}")
            found += listed
            if not listed:
                break
            segment += 1
        if checkpoint not in found:
            found = self._listed(LEDGER)
            return sorted(found)
        return sorted(one for one in found if one >= checkpoint)

    def _listed(self, folder: str) -> list[int]:
        names = (one.key[len(self._key(LEDGER)) + 1 :] for one in self._store.list(self._key(folder)))
        matches = (_NAME.fullmatch(name) for name in names)
        return [int(match[1]) for match in matches if match]

    def _replayed(self, numbers: list[int], heads: list[LedgerHead]) -> StoredState:
        free = max([*numbers, *(one.sequence for one in heads)]) + 1
        entries, problem = self._entries(numbers)
        chain: tuple[LedgerEntry, ...] = ()
        try:
            chain = linked(entries)
        except LedgerError as error:
            problem = problem or str(error)
        state = replay(event for entry in chain for event in entry.events)
        problem = problem or _contradiction(chain, heads)
        if problem:
            text = f"{problem}; what earlier audits knew of {self.topic} is not whole: tell a baseline again"
            return StoredState(state, None, free, (text,))
        last = chain[-1]
        return StoredState(state, LedgerHead(last.ledger, last.sequence, last.digest, chain[0].sequence), free)

    def _entries(self, numbers: list[int]) -> tuple[list[LedgerEntry], str | None]:
        """The entries from the newest checkpoint on, and why they are not all."""
        found: list[LedgerEntry] = []
        problem = None
        while numbers and not any(one.checkpoint for one in found):
            numbers, block = numbers[:-CHECKPOINT_EVERY], numbers[-CHECKPOINT_EVERY:]
            keys = [self._entry_key(number) for number in block]
            for number, (key, data) in reversed(list(zip(block, read_many(self._store, keys), strict=True))):
                if isinstance(data, StoreError):
                    raise data
                try:
                    entry = self._parse(number, data)
                except LedgerError as error:
                    problem = problem or str(error)
                    continue
                if entry.sequence != number:
                    problem = problem or f"ledger entry {key} says that it is number {entry.sequence}"
                    continue
                found.append(entry)
                if entry.checkpoint:
                    break
        return found, problem

    def _parse(self, sequence: int, data: bytes) -> LedgerEntry:
        return parse_entry(self._entry_key(sequence), data, self.topic)

    def _put_entry(self, sequence: int, data: bytes) -> bool:
        """Whether the entry is ours now, by reading it back.

        A request that was repeated is told no by its own object. And a server that looks first and writes then tells
        two writers yes: the one that was written over must not believe it.
        """
        key = self._entry_key(sequence)
        try:
            self._store.put_new(key, data)
        except StoreError:
            if self._same(key, data):
                return True
            raise
        return self._same(key, data)

    def _same(self, key: str, data: bytes) -> bool:
        try:
            return self._store.get(key) == data
        except StoreError:
            return False

    def _caught_up(self, known: StoredState, sequence: int) -> StoredState:
        """The state after the entry that another audit wrote where this one wanted to."""
        entry = self._parse(sequence, self._store.get(self._entry_key(sequence)))
        head = known.head
        if head is not None and (entry.previous != head.digest or entry.ledger != head.ledger):
            raise LedgerError(f"entry {sequence} of the ledger of {self.topic} does not follow the one before it")
        return self._after(LedgerState() if entry.checkpoint else known.state, entry, known)

    def _after(self, state: LedgerState, entry: LedgerEntry, known: StoredState) -> StoredState:
        checkpoint = entry.sequence if entry.checkpoint or known.head is None else known.head.checkpoint
        head = LedgerHead(entry.ledger, entry.sequence, entry.digest, checkpoint)
        return replace(known, state=replay(entry.events, state), head=head, free=entry.sequence + 1, problems=())

    def _head(self, store: ObjectStore, key: str) -> LedgerHead | None:
        try:
            return parse_head(store.get(key))
        except StoreError:
            return None  # a ledger that is there needs no head; one that is not is looked for by listing

    def _witnessed(self) -> LedgerHead | None:
        return self._head(self._witness, f"{WITNESSES}/{self.topic}.json") if self._witness else None

    def _without_ledger(self, heads: list[LedgerHead], left: list[str]) -> StoredState:
        """A first audit, unless anything tells that there were others."""
        traces = [*left]
        if self._witness is not None and self._witness.exists():
            name = f"{WITNESSES}/{self.topic}.json"
            traces += [one.key for one in self._witness.list(WITNESSES) if one.key == name]
        if not traces and not heads:
            return StoredState()
        text = (
            f"the ledger of {self.topic} is not at {self._store.uri}, though {', '.join(traces) or HEAD} tells of"
            " earlier audits: restore it, check AUDIT_PATH, or tell a baseline again"
        )
        return StoredState(free=max((one.sequence for one in heads), default=0) + 1, problems=(text,))


def _contradiction(chain: Sequence[LedgerEntry], heads: Sequence[LedgerHead]) -> str | None:
    """Why the ledger cannot be the one whose end an earlier audit told."""
    by_sequence = {entry.sequence: entry for entry in chain}
    last = chain[-1].sequence
    for head in heads:
        if head.sequence > last:
            return f"the ledger ends with entry {last}, but it once had entry {head.sequence}"
        entry = by_sequence.get(head.sequence)
        if entry is not None and entry.digest != head.digest:
            return f"entry {head.sequence} of the ledger is not the one that an earlier audit wrote"
    return None
