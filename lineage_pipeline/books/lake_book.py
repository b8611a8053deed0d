"""The lake book: both tables listed whole, new and changed objects looked at within a budget, the manifest kept.

    AUDIT_PATH/kafka_topic=T/_lake/files.parquet

Where the budget ends, the next audit goes on. Reading never raises for what it finds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lineage_pipeline.books.lake_files import Looked, look_at
from lineage_pipeline.books.lake_listing import TableListing, list_table
from lineage_pipeline.books.manifest_file import manifest_bytes, parse_manifest
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.core.lake_comparison import Doubt, LakeNote, shown
from lineage_pipeline.core.lake_evidence import LakeReading
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.lake_manifest import LakeManifest, LakeObject, LakeTable, retire, to_look_at, updated
from lineage_pipeline.core.replay_claim import ReplayClaim, claimed_offsets
from lineage_pipeline.errors import LedgerError, StoreError

MANIFEST = "_lake/files.parquet"
_TOLD = 5
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LakeBudget:
    """What one audit may look at: objects, bytes to fetch, seconds."""

    files: int = 50_000
    size: int = 16 << 30
    seconds: float = 600.0


_UNBOUNDED = LakeBudget(files=1 << 62, size=1 << 62, seconds=float("inf"))


@dataclass(frozen=True)
class KeptManifest:
    """A manifest as it was stored. `problem`: why it could not be read; then nothing is written over it."""

    manifest: LakeManifest = field(default_factory=LakeManifest)
    data: bytes | None = None
    problem: str | None = None
    note: LakeNote | None = None


@dataclass(frozen=True)
class LakeBook:
    """Where one topic's tables are, how they are read, and where the manifest is kept (`state`; None: nowhere).

    `again`: look at every object anew. `keep`: store the manifest. `data_days`: after how many days objects leave by
    rule. Uncommitted files older than `leftover` seconds are reported. `progress` is told of looks done and to do.
    `replays`: who replayed what of the quarantine; None where nobody can have.
    """

    tables: Mapping[LakeTable, ObjectStore]
    layout: LakeLayout
    state: ObjectStore | None = None
    budget: LakeBudget = field(default_factory=LakeBudget)
    again: bool = False
    keep: bool = True
    data_days: int | None = None
    leftover: float = 3600.0
    progress: Progress | None = None
    replays: ReplayLog | None = None

    def read(self, at: datetime) -> LakeReading:
        """The lake as it is now. What could not be seen is in `status`, `doubts` and `problems`."""
        kept = self.kept()
        known = kept.manifest
        replays, unread = self._replays()
        try:
            listings = {table: self._listed(table, known) for table in self.tables}
        except StoreError as error:
            text = f"the lake could not be listed: {error}"
            unseen = LakeManifest(retired=known.retired, since=known.since)
            return LakeReading("unreadable", unseen, (Doubt("listing-incomplete", text),), (text,))
        listed = [one for listing in listings.values() for one in listing.objects]
        tables = {one.table for one in listed} | {one.listed.table for one in known.files}
        todo = to_look_at(known, listed, again=self.again)
        looks, failed = self._looks(todo, set(known.present()), at.timestamp())
        update = updated(known, listed, [one.looked for one in looks], at.timestamp(), claimed_offsets(replays))
        manifest = update.manifest
        if self.data_days is not None:
            manifest = retire(manifest, (at - timedelta(days=self.data_days)).timestamp())
        seen = {one.looked.file.listed.name for one in looks} | {one.name for one, _ in failed}
        left = {one.name for one in todo} - seen
        waiting = left & {one.name for one in update.unread}
        nobodys = [one.problem for one in listings.values() if one.problem]
        doubts, problems = self._doubts(len(waiting), failed, nobodys)
        if skipped := len(left - waiting):
            text = f"{skipped} of {len(todo)} files were not looked at again, since the budget of one audit was used up"
            problems.append(f"{text} (`max_files` and its kin in lake_files): the next --full goes on with them")
        problems += [one for one in (unread or self._stored(kept, manifest), kept.problem) if one]
        return LakeReading(
            status="read",
            manifest=manifest,
            doubts=tuple(doubts),
            problems=tuple(problems),
            notes=(*([kept.note] if kept.note else []), *self._leftovers(listings, at)),
            superseded=update.superseded,
            never_seen=tuple(self._never_seen(tables)),
            first=self.state is not None and kept.data is None,  # what is kept nowhere cannot be missed
            replays=replays,
            keep=unread is None and kept.problem is None,
        )

    def read_whole(self, now: Callable[[], datetime]) -> LakeReading:
        """The lake looked at to its end: in portions that are kept, so that a run that is broken off goes on later."""
        if self.state is None:
            return replace(self, budget=_UNBOUNDED).read(now())
        waiting = None
        while True:
            reading = self.read(now())
            unread = [doubt.text for doubt in reading.doubts if doubt.cause == "budget"]
            if not unread or unread == waiting:
                return reading
            waiting = unread

    def kept(self) -> KeptManifest:
        """The stored manifest; an empty one when there is none, or none that can be read."""
        if self.state is None:
            return KeptManifest()
        key = self._key()
        try:
            if not self.state.exists() or not any(one.key == key for one in self.state.list(key.rpartition("/")[0])):
                return KeptManifest()
            data = self.state.get(key)
        except StoreError as error:
            return KeptManifest(problem=f"the file manifest could not be read: {error}")
        try:
            return KeptManifest(parse_manifest(data, self.layout.topic, self.layout.fingerprint), data)
        except LedgerError as error:
            text = f"{error}: every object is looked at anew, and those that left before are not known any more"
            return KeptManifest(note=LakeNote("manifest-lost", "warn", text))

    def look_again(self, objects: Sequence[LakeObject], at: datetime) -> tuple[str, ...]:
        """Look at these objects of the stored manifest once more, every page; returns why it is not kept, if so."""
        kept = self.kept()
        problems = [] if kept.problem is None else [kept.problem]
        looks = []
        for one in objects:
            try:
                looks.append(look_at(self.tables[one.table], one, self.layout, at.timestamp(), every_page=True).looked)
            except StoreError as error:
                problems.append(f"{shown(one)} could not be read: {error}")
        replays, unread = self._replays()
        if unread:
            problems.append(unread)
        elif looks:
            there = [one.listed for one in kept.manifest.present().values()]
            found = updated(kept.manifest, there, looks, at.timestamp(), claimed_offsets(replays))
            problems += [self._stored(kept, found.manifest) or ""]
        return tuple(one for one in problems if one)

    def _replays(self) -> tuple[tuple[ReplayClaim, ...], str | None]:
        """The claims, read before the files are listed, since a claim is written before its files; or why not.

        Without them the manifest is not stored: it would forget what replays once put into data.
        """
        try:
            return (self.replays.claims() if self.replays is not None else ()), None
        except (StoreError, LedgerError) as error:
            return (), f"what was replayed of the quarantine is not known, so it seems to be there twice: {error}"

    def _key(self) -> str:
        return f"kafka_topic={self.layout.topic}/{MANIFEST}"

    def _stored(self, kept: KeptManifest, manifest: LakeManifest) -> str | None:
        """Store the manifest if it has changed; why that failed."""
        if kept.problem:
            return None
        return self.store(manifest, kept.data)

    def store(self, manifest: LakeManifest, known: bytes | None = None) -> str | None:
        """Store the manifest, unless its bytes are `known` or nothing is to be kept; why that failed."""
        if self.state is None or not self.keep:
            return None
        data = manifest_bytes(manifest, self.layout.topic, self.layout.fingerprint)
        if data == known:
            return None
        try:
            self.state.put(self._key(), data)
        except StoreError as error:
            return f"the file manifest could not be stored, so the next audit has to look at its objects again: {error}"
        return None

    def _looks(
        self, todo: list[LakeObject], known: set[tuple[LakeTable, str]], at: float
    ) -> tuple[list[Looked], list[tuple[LakeObject, StoreError]]]:
        looks, failed = [], []

        def look(one: LakeObject) -> Looked | StoreError:
            try:
                # files are written once: one that changed is read whole, since nobody knows what happened to it
                return look_at(self.tables[one.table], one, self.layout, at, every_page=one.name in known)
            except StoreError as error:
                return error

        in_flight = max([store.in_flight for store in self.tables.values()], default=1)
        started, fetched = time.monotonic(), 0
        for number, (one, result) in enumerate(_each(todo[: self.budget.files], look, in_flight), 1):
            if isinstance(result, StoreError):
                failed.append((one, result))
            else:
                looks.append(result)
                fetched += result.fetched
            if self.progress is not None:
                self.progress(number, len(todo))
            if fetched >= self.budget.size or time.monotonic() - started >= self.budget.seconds:
                break
        return looks, failed

    def _doubts(
        self, waiting: int, failed: list[tuple[LakeObject, StoreError]], nobodys: list[str]
    ) -> tuple[list[Doubt], list[str]]:
        texts = [f"{shown(one)} could not be read: {error}" for one, error in failed[:_TOLD]]
        if failed[_TOLD:]:
            texts.append(f"{len(failed) - _TOLD} further files could not be read")
        doubts = [Doubt("unproven", text) for text in [*texts, *nobodys]]
        if waiting:
            text = f"{waiting} files have not been looked at yet, since the budget of one audit was used up"
            go_on = "the next audit goes on" if self.state is not None else "set AUDIT_PATH, so that audits can go on"
            doubts.append(Doubt("budget", f"{text}: {go_on}"))
        return doubts, [one.text for one in doubts]

    def _leftovers(self, listings: Mapping[LakeTable, TableListing], at: datetime) -> list[LakeNote]:
        found = [
            one
            for listing in listings.values()
            for one in listing.uncommitted
            if at.timestamp() - one.modified > self.leftover
        ]
        if not found:
            return []
        named = ", ".join(shown(one) for one in found[:_TOLD])
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        text = f"{named}{more} were never committed, left by a job that died or was stopped: no reader sees them"
        return [LakeNote("uncommitted-files", "info", text)]

    def _listed(self, table: LakeTable, known: LakeManifest) -> TableListing:
        """The table's objects; the job makes the directory of the quarantine when it has something to put there."""
        store = self.tables[table]
        if table == "quarantine" and not any(one.listed.table == table for one in known.files) and not store.exists():
            return TableListing(())
        return list_table(store, table, self.layout)

    def _never_seen(self, seen: set[LakeTable]) -> Iterator[tuple[LakeTable, str]]:
        """Tables in which no object is or ever was: then a wrong path is as likely as a loss."""
        for table, store in self.tables.items():
            if table not in seen:
                yield table, f"no {table} file is or ever was at {store.uri}: check the path"
        if "quarantine" not in self.tables:
            yield "quarantine", "no place for quarantine files is set: set QUARANTINE_PATH"


def _each(
    todo: list[LakeObject], look: Callable[[LakeObject], Looked | StoreError], in_flight: int
) -> Iterator[tuple[LakeObject, Looked | StoreError]]:
    """Every object with its look, in order, at most 2 * in_flight ahead of the reader."""
    if in_flight <= 1:
        for one in todo:
            yield one, look(one)
        return
    waiting = iter(todo)
    running: deque[tuple[LakeObject, Future[Looked | StoreError]]] = deque()
    with ThreadPoolExecutor(in_flight, thread_name_prefix="look") as pool:
        try:
            for one in waiting:
                running.append((one, pool.submit(look, one)))
                if len(running) >= 2 * in_flight:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()
