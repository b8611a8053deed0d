"""Use case: where is this offset of this partition? Its index row, its data or quarantine file, its row, the record.

No broker is asked. With the lake's manifest at hand only the one file is read; without an answer there, the lake is
listed and what is new is looked at, and what is not found gets the audit's own class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lineage_pipeline.audit_topic import AuditRequest, gather
from lineage_pipeline.books.deployments import read_deployments
from lineage_pipeline.books.index_store import IndexPath, Located, LocatedRow, locate_rows
from lineage_pipeline.books.lake_records import RecordFile, RecordPlace
from lineage_pipeline.core.classes import Tile
from lineage_pipeline.core.decision import PartitionDecision, decide_partition
from lineage_pipeline.core.deployment import topic_now
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules
from lineage_pipeline.core.lake_comparison import shown
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.replay_claim import claimed_offsets
from lineage_pipeline.errors import LakeFileError, LedgerError, StoreError
from lineage_pipeline.remembering import Remembering


@dataclass(frozen=True)
class Location:
    """Where an offset is. `rows` holds every index row that spans it, oldest first; `places` every row of the lake.

    `offset_class`: the audit's class of the offset, None when it is outside of everything audited. `why` is a sentence.
    `problems`: what could not be read, so that not finding it proves nothing.
    """

    partition: int
    offset: int
    found: bool
    offset_class: str | None
    why: str
    rows: tuple[LocatedRow, ...] = ()
    problems: tuple[str, ...] = ()
    places: tuple[RecordPlace, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 found, 1 not found, 3 cannot tell."""
        if self.found:
            return 0
        return 3 if self.offset_class == "unknown" or self.problems else 1

    def to_json(self) -> dict[str, Any]:
        """The object of contract.md."""
        first = self.rows[0] if self.rows else None
        return {
            "found": self.found,
            "class": self.offset_class,
            "index": first.row.to_json() if first else None,
            "index_file": first.key if first else None,
            "data_files": [one.to_json() for one in self.places],
            "record": self.places[0].record if self.places else None,
        }


@dataclass(frozen=True)
class _Seen:
    """Everything that index, memory and lake say, once they were all looked at."""

    evidence: AuditEvidence
    reading: LakeReading | None
    problems: list[str] = field(default_factory=list)


def locate_offset(path: IndexPath, partition: int, offset: int, rules: AuditRules, audited_at: datetime) -> Location:
    """Look the offset up in the index alone. Books that cannot be read do not raise: the answer is "cannot tell"."""
    return Locator(AuditRequest(path, rules=rules), audited_at).locate(partition, offset)


class Locator:
    """Looks offsets up by index and lake; `request.lake` is None where only the index is known."""

    def __init__(self, request: AuditRequest, at: datetime) -> None:
        lake = request.lake
        self.request = replace(request, broker=None, reader=None, lake=replace(lake, keep=False) if lake else None)
        self._at = at
        self._kept: LakeManifest | None = None
        self._seen: _Seen | None = None
        self._claimed: dict[int, RangeSet] | None = None
        self._topic: tuple[float | None, dict[str, bool]] | None = None

    def locate(self, partition: int, offset: int, *, record: bool = False) -> Location:
        """Where the offset is; with `record` the record itself is read. Books that cannot be read do not raise."""
        located = self.rows(partition, offset)
        exact = [one for one in located.rows if one.row.is_exact]
        rows = (*exact, *(one for one in located.rows if not one.row.is_exact))
        places, problems = self._places(self.kept, partition, offset, record=record)
        replayed, unread = self._is_replayed(partition, offset)
        problems += unread
        settled = places and (not replayed or any(one.listed.table == "data" for one in places))
        if exact and (settled or self.request.lake is None):
            why = f"indexed by {exact[0].key}{_times(len(exact), 'rows cover it')}{_in(places, replayed=replayed)}"
            return Location(partition, offset, True, "indexed", why, rows, (), tuple(places))
        seen = self.seen()
        if not settled and seen.reading is not None:
            places, problems = self._places(seen.reading.manifest, partition, offset, record=record)
            problems += unread
        told = tuple(dict.fromkeys((*located.problems, *problems, *seen.problems)))
        unreadable = seen.reading is not None and seen.reading.status != "read"
        if exact and (places or unreadable):
            doubt = _in(places, replayed=replayed) or "; its file could not be looked for"
            why = f"indexed by {exact[0].key}{_times(len(exact), 'rows cover it')}{doubt}"
            return Location(partition, offset, True, "indexed", why, rows, told if unreadable else (), tuple(places))
        offset_class, why = class_of(seen.evidence, partition, offset)
        if places:
            return Location(
                partition,
                offset,
                True,
                offset_class,
                f"{why}{_in(places, replayed=replayed)}",
                rows,
                told,
                tuple(places),
            )
        return Location(partition, offset, False, offset_class, why, rows, told)

    def rows(self, partition: int, offset: int, end: int | None = None) -> Located:
        """The index rows of the topic that is now that hold any of the offsets. Never raises: it is in `problems`.

        Once the topic was created anew, rows of a writer that no record names prove nothing.
        """
        try:
            located = locate_rows(self.request.index, partition, offset, end)
            since, writers = self._topic_now()
        except StoreError as error:
            return Located(problems=(str(error),))
        if since is None:
            return located
        ours = tuple(one for one in located.rows if writers.get(one.row.writer or "") is True)
        unknown = [one for one in located.rows if (one.row.writer or "") not in writers]
        text = "the topic was recreated, and no deployment record names the writer of rows in {}"
        return Located(ours, (*located.problems, *(text.format(one.key) for one in unknown)))

    @property
    def kept(self) -> LakeManifest:
        """The manifest that the newest audit of the lake left; empty when there is none."""
        if self._kept is None:
            self._kept = self._current(self.request.lake.kept().manifest) if self.request.lake else LakeManifest()
        return self._kept

    def seen(self) -> _Seen:
        """All books but the broker, read once: index first, then the lake."""
        if self._seen is None:
            self._seen = self._look()
        return self._seen

    def open(self, one: LakeFile) -> RecordFile:
        """The object for reading records. Raises StoreError and LakeFileError."""
        assert self.request.lake is not None
        return RecordFile(self.request.lake.tables[one.listed.table], one.listed, self.request.lake.layout)

    def _is_replayed(self, partition: int, offset: int) -> tuple[bool, list[str]]:
        """Whether a replay of the quarantine has taken the offset on; and why that is not known, if so."""
        if self._claimed is None:
            lake = self.request.lake
            try:
                claims = lake.replays.claims() if lake is not None and lake.replays is not None else ()
            except (StoreError, LedgerError) as error:
                return False, [f"what was replayed of the quarantine is not known: {error}"]
            self._claimed = claimed_offsets(claims)
        return offset in self._claimed.get(partition, EMPTY), []

    def _topic_now(self) -> tuple[float | None, dict[str, bool]]:
        """When the topic that is now began, if another was before (epoch seconds); its writers, and the others'.

        Raises StoreError.
        """
        if self._topic is None:
            store = self.request.index.store
            records = read_deployments(store, self.request.index.topic).deployments if store.exists() else ()
            now = topic_now(records)
            mine = (now.cluster_id, now.topic_id)
            self._topic = now.since, {one.writer: one.incarnation == mine for one in records}
        return self._topic

    def _current(self, manifest: LakeManifest) -> LakeManifest:
        """The manifest without files of a topic of the same name that is no more."""
        try:
            since, _ = self._topic_now()
        except StoreError:
            return LakeManifest()  # the same error is among the problems
        return manifest.without(lambda one: since is not None and one.listed.modified < since)

    def _look(self) -> _Seen:
        alone = replace(self.request, lake=None)
        if alone.plan is None:
            evidence = gather(alone, lambda: self._at)
        else:
            plan = replace(alone.plan, store=False)
            remembering = Remembering(plan, alone.index, alone.rules)
            evidence = gather(alone, lambda: self._at, remembering=remembering, closed_days=True)
        if self.request.lake is None:
            return _Seen(evidence, None, list(evidence.problems))
        reading = self.request.lake.read(self._at)
        reading = replace(reading, manifest=self._current(reading.manifest))
        evidence = replace(evidence, lake=lake_evidence(reading, evidence.index.coverage, evidence.memory))
        return _Seen(evidence, reading, list(evidence.problems))

    def _places(
        self, manifest: LakeManifest, partition: int, offset: int, *, record: bool
    ) -> tuple[list[RecordPlace], list[str]]:
        """The rows that hold the offset, read in the objects that the manifest names; and what could not be read."""
        found: list[RecordPlace] = []
        problems = []
        for one in holders(manifest, partition, OffsetRange(offset, offset + 1)):
            try:
                found += self.open(one).find(partition, offset, record=record)
            except (StoreError, LakeFileError) as error:
                problems.append(f"{shown(one.listed)} could not be read: {error}")
        return found, problems


def holders(manifest: LakeManifest, partition: int, ranges: OffsetRange) -> Iterator[LakeFile]:
    """The objects that are there and hold any of the offsets, by the manifest."""
    runs = manifest.runs
    touching = (runs.partitions == partition) & (runs.starts < ranges.end) & (runs.ends > ranges.start)
    for number in sorted(set(runs.files[touching].tolist())):
        if manifest.files[number].left is None:
            yield manifest.files[number]


def class_of(evidence: AuditEvidence, partition: int, offset: int) -> tuple[str | None, str]:
    """The audit's class of one offset and its sentence; None when it is outside of everything audited."""
    if evidence.index.status != "read":
        return "unknown", evidence.index.problems[0]
    if partition not in evidence.partitions:
        return None, f"the index has no row of partition {partition}"
    decision = decide_partition(partition, evidence)
    for tile in decision.tiles:
        if offset in tile.ranges:
            return tile.offset_class, _sentence(tile, offset)
    return None, _outside(decision)


def _sentence(tile: Tile, offset: int) -> str:
    cause = f"({tile.cause}) " if tile.cause else ""
    for ranges, text in tile.notes:
        if offset in ranges:
            return f"{cause}{text}"
    return f"{cause}{tile.evidence}"


def _outside(decision: PartitionDecision) -> str:
    if decision.end <= decision.baseline.offset:
        first = decision.baseline.offset
        return f"partition {decision.partition} is audited from {first} on, and the index has no row there yet"
    return f"partition {decision.partition} is audited from {decision.baseline.offset} to {decision.end - 1}"


def _times(count: int, what: str) -> str:
    return "" if count == 1 else f"; {count} {what}, so it was written more than once"


def _in(places: list[RecordPlace], *, replayed: bool) -> str:
    if not places:
        return ""
    first = places[0]
    tables = {one.listed.table for one in places}
    if replayed and tables == {"data", "quarantine"}:
        once = next(one for one in places if one.listed.table == "quarantine")
        rest = f", replayed from {shown(once.listed)}, row {once.row}"
        more = f" and {len(places) - 2} more" if len(places) > 2 else ""  # noqa: PLR2004 - these two
    else:
        rest, more = "", f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"; in {shown(first.listed)}, row {first.row}{rest}{more}"
