"""Use case, the half of a replay that looks: what is in quarantine decoded again, and what would be written to data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.books.quarantine_rows import QuarantinedRow, quarantined_rows
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.books.table_files import schema_conflict
from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.deployment import TopicNow
from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN
from lineage_pipeline.core.lake_comparison import file_doubts, shown
from lineage_pipeline.core.lake_evidence import LakeReading
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest
from lineage_pipeline.core.offsets import EMPTY
from lineage_pipeline.core.quarantine_classes import Example, Selection
from lineage_pipeline.core.quarantine_replay import PartBuilder, Standing, count, is_current, standing
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.core.repair_claim import Ranges
from lineage_pipeline.core.replay_claim import ReplayClaim, claimed_offsets
from lineage_pipeline.core.table_rows import RowMaker, TableRow
from lineage_pipeline.errors import LakeFileError, StoreError
from lineage_pipeline.quarantine import claims_of, lacking_files, read_topic_now

Clock = Callable[[], datetime]
Progress = Callable[[int], None]  # called with the number of rows just decoded


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay and with what. `book` reads the lake and has both tables; `index`: root of the offset index.

    `schema` and `fetch` are those of now. `by`: who does it.
    """

    topic: str
    index: ObjectStore
    book: LakeBook
    schema: RecordSchema
    by: str
    fetch: FetchSchema | None = None
    selection: Selection = field(default_factory=Selection)

    @property
    def log(self) -> ReplayLog:
        """Who replayed what."""
        return ReplayLog(self.index, self.topic)


@dataclass
class Tried:
    """Rows of one error class, decoded again. `still`: their classes now, where they do not decode, with an example."""

    records: int = 0
    decodable: int = 0
    still: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Example] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayPlan:
    """What would be written. `portions`: the parts of each new claim; `tried`: by the class in the quarantine.

    `obstacles`: sentences, each of which forbids to write anything. `reading`: the lake as it was seen. `keyless`: rows
    whose quarantine file was written before key or headers were asked for, so that these will be NULL.
    """

    topic: str
    now: TopicNow
    claims: int
    standing: Standing
    portions: tuple[tuple[Ranges, ...], ...]
    tried: Mapping[str, Tried]
    reading: LakeReading
    obstacles: tuple[str, ...] = ()
    keyless: int = 0

    @property
    def fresh(self) -> int:
        """How many rows decode that no replay has taken on before."""
        return sum(count(part) for portion in self.portions for part in portion)

    @property
    def unfinished(self) -> int:
        """How many rows earlier replays have taken on and not written."""
        return sum(count(part.lacking) for part in self.standing.unfinished)

    @property
    def undecodable(self) -> int:
        """How many rows stay in quarantine."""
        return sum(one.still.total() for one in self.tried.values())


def prepare(request: ReplayRequest, now: Clock, progress: Progress = lambda _count: None) -> ReplayPlan:
    """The plan. The file manifest is kept as an audit keeps it; nothing else is written.

    Raises LedgerError when an earlier claim cannot be read, StoreError when something could not be looked at,
    LakeFileError when a quarantine file cannot be read.
    """
    topic, unknown = read_topic_now(request.index, request.topic)
    every = request.log.claims()
    if topic.cluster_id is None and any(one.cluster_id is not None for one in every):
        unknown = (
            *unknown,
            "which topic earlier replays were of is known, and which is now is not: restore _deployments",
        )
    claims = claims_of(request.book, topic)
    reading = request.book.read_whole(now)
    if reading.status != "read":
        raise StoreError(reading.problems[0])
    found = standing(reading.manifest, claims, topic.since)
    decoder, parts, tried = RowMaker(request.schema, request.fetch), PartBuilder(), dict[str, Tried]()
    keyless = 0
    for file, row in _selected(request, reading.manifest, topic, found):
        result = decoder.row(row.partition, row.record)
        _note(tried.setdefault(row.error_class, Tried()), file, row, result)
        if result.table == "data":
            parts.add(row.partition, row.record.offset, result.size)
            keyless += _lacks(request.schema, row)
        progress(1)
    return ReplayPlan(
        topic=request.topic,
        now=topic,
        claims=len(every),
        standing=found,
        portions=tuple(parts.portions()),
        tried=tried,
        reading=reading,
        obstacles=(
            *(f"whose rows these are is not known: {one}" for one in unknown),
            *_obstacles(request, reading, claims, topic, now()),
        ),
        keyless=keyless,
    )


def _selected(
    request: ReplayRequest, manifest: LakeManifest, topic: TopicNow, found: Standing
) -> Iterator[tuple[LakeFile, QuarantinedRow]]:
    """The rows that a new claim could take on, each offset once."""
    seen: set[tuple[int, int]] = set()
    chosen = request.selection
    for file, row in rows_at(request, manifest, topic, found.fresh, chosen.since):
        place = (row.partition, row.record.offset)
        if not chosen.takes(*place, row.error_class) or place in seen:
            continue
        if row.record.offset in found.repeated.get(row.partition, EMPTY):
            seen.add(place)
        yield file, row


def rows_at(
    request: ReplayRequest, manifest: LakeManifest, topic: TopicNow, wanted: Ranges, since: float | None = None
) -> Iterator[tuple[LakeFile, QuarantinedRow]]:
    """The rows of quarantine files at these offsets; files without any of them are not opened."""
    store = request.book.tables["quarantine"]
    holding: set[int] = set()
    for partition, runs in manifest.runs.by_partition():
        touching = wanted.get(partition, EMPTY).overlaps(runs.starts, runs.ends) > 0
        holding.update(runs.files[touching].tolist())
    for number in sorted(holding):
        file = manifest.files[number]
        late = since is None or file.listed.modified >= since
        if file.listed.table == "quarantine" and is_current(file, topic.since) and late:
            try:
                for row in quarantined_rows(store, file.listed, request.book.layout, payloads=True):
                    if row.record.offset in wanted.get(row.partition, EMPTY):
                        yield file, row
            except LakeFileError as error:
                raise LakeFileError(f"{shown(file.listed)} cannot be read: {error}", broken=error.broken) from None


def _note(tried: Tried, file: LakeFile, row: QuarantinedRow, result: TableRow) -> None:
    tried.records += 1
    if result.table == "data":
        tried.decodable += 1
        return
    error = error_of(result)
    name = error.partition(":")[0]
    tried.still[name] += 1
    tried.examples.setdefault(name, example_of(file, row, error))


def example_of(file: LakeFile, row: QuarantinedRow, error: str) -> Example:
    """The row, to be shown."""
    return Example(row.partition, row.record.offset, row.record.timestamp, error, file.listed)


def error_of(result: TableRow) -> str:
    """Why a record is a row of the quarantine."""
    return str(result.values[3])  # behind the three coordinates


def _lacks(schema: RecordSchema, row: QuarantinedRow) -> bool:
    """Whether key or headers are asked for, and not known."""
    asked = ((KEY_COLUMN, schema.key is not None), (HEADERS_COLUMN, schema.headers))
    return any(wanted and name in row.lacks for name, wanted in asked)


def _obstacles(
    request: ReplayRequest, reading: LakeReading, claims: Sequence[ReplayClaim], topic: TopicNow, at: datetime
) -> Iterator[str]:
    """Why nothing may be written: above all, files that may hold what is about to be written."""
    mine = {key for claim in claims for key in claim.object_keys()}  # broken ones are written anew
    others = reading.manifest.without(lambda one: one.listed.table == "data" and one.listed.key in mine)
    claimed = claimed_offsets(claims)
    doubts = [*file_doubts(others, claimed)[0], *reading.doubts]
    here = [one for one in reading.manifest.files if one.left is None and one.listed.table == "quarantine"]
    lacking = [] if here else lacking_files(request.book, request.index, request.topic, claimed, at)
    for text in dict.fromkeys([*(one.text for one in doubts), *reading.problems, *lacking]):
        yield f"the evidence is not whole: {text}"
    data = [one for one in reading.manifest.files if one.listed.table == "data" and is_current(one, topic.since)]
    first = next((one.listed for one in data if one.fault is None and one.rows), None)
    if first is not None:
        store = request.book.tables["data"]
        listed = next((one for one in store.list(first.key.rpartition("/")[0]) if one.key == first.key), None)
        conflict = schema_conflict(request.schema, store, listed) if listed else None
        if conflict:
            yield f"the data table has another schema ({conflict}): set `format` and `schema` as the job has them"
