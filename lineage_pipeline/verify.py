"""Use case: records of Kafka held against the rows of the lake by value, through the job's decoder.

Objects that hold a compared offset are read whole, so that a page that was damaged anywhere in them is found. What is
found broken is noted in the manifest, so the next audits with the lake book call its offsets damaged.
What one look at the lake lacks may be on its way: absent is what the lake, listed anew after the index, lacks still.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lineage_pipeline.books.broker_book import OpenRangeReader
from lineage_pipeline.books.lake_rows import plain_rows_of, rows_within
from lineage_pipeline.books.table_files import TableWriter, data_schema, quarantine_schema
from lineage_pipeline.core.lake_comparison import shown
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest
from lineage_pipeline.core.ledger import same_topic
from lineage_pipeline.core.ledger_events import Incarnation, Verified
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.core.table_rows import RowMaker
from lineage_pipeline.core.value_comparison import (
    Compared,
    ExpectedRow,
    LakeRow,
    Reading,
    Unknown,
    Window,
    absent,
    compare,
    not_compared,
)
from lineage_pipeline.core.verification import BrokenObject, Verification, sample_windows
from lineage_pipeline.errors import BrokerError, LakeFileError, LedgerError, StoreError
from lineage_pipeline.verify_scene import Scene, VerifyRequest, indexed_now, look

GROUP = 100_000  # offsets whose rows are held at the same time, at most
Clock = Callable[[], datetime]
_Rows = dict[tuple[int, int], list[LakeRow]]  # by partition and offset


@dataclass
class _Found:
    """What reading the objects gave beside rows, by the objects' names.

    `whole`: read, every page; `broken` and `why`: those that could not be; `hidden`: what objects that could not be
    read hold, by partition.
    """

    whole: set[tuple[str, str]] = field(default_factory=set)
    broken: dict[tuple[str, str], LakeFile] = field(default_factory=dict)
    why: dict[tuple[str, str], str] = field(default_factory=dict)
    hidden: dict[int, list[tuple[RangeSet, str]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def note_broken(self, file: LakeFile, why: str) -> None:
        """The object cannot be read whole."""
        self.broken[file.listed.name], self.why[file.listed.name] = file, why


def verify_sample(request: VerifyRequest, records: int, seed: int, now: Clock) -> Verification:
    """Compare about so many records at random places that both the lake and Kafka still hold.

    Raises BrokerError when the broker cannot be asked.
    """
    scene, found = look(request, now()), _Found()
    candidates: dict[int, RangeSet] = {}
    for partition, held in scene.held().items():
        readable = scene.readable(partition)
        if isinstance(readable, OffsetRange):
            candidates[partition] = held.clip(readable.start, readable.end)
        else:
            found.problems.append(f"partition {partition} was left out of the sample: {readable}")
    for one in scene.broken:  # none of their records can be drawn
        found.note_broken(one.file, str(one.file.problem))
    windows = sample_windows(candidates, records, random.Random(seed).randrange)  # noqa: S311 - a sample, no secret
    return replace(_verify(request, scene, windows, found, now), seed=seed)


def verify_range(request: VerifyRequest, window: Window, now: Clock) -> Verification:
    """Compare every offset of the window. Raises BrokerError when the broker cannot be asked."""
    scene, number, wanted = look(request, now()), window.partition, RangeSet.of(window.range)
    there = scene.somewhere(number)
    found = _verify(request, scene, _parts(number, wanted.intersection(there)), _Found(), now)
    # what neither side has may be any number of offsets, and none of them is looked at
    nowhere = [Compared(number, unknown=scene.not_in_kafka(number, one)) for one in wanted.difference(there)]
    return replace(found, windows=(window,), compared=(*found.compared, *nowhere))


def keep(request: VerifyRequest, found: Verification) -> Verification:
    """Add what was found to the ledger, so that later reports tell it; with a problem when that cannot be done."""
    if request.state is None or not found.compared:
        return found
    known = request.state.read()
    ours = Incarnation(found.cluster_id, found.topic_id)
    if known.head is None or known.state.incarnation is None or not same_topic(known.state.incarnation, ours):
        text = "later reports will not tell of it, since no audit has seen this topic yet: run `lineage audit`"
        return replace(found, problems=(*found.problems, *(known.problems or (text,))))
    event = Verified(found.verified_at, found.verdict, found.records, found.same(), found.differing())
    try:
        stored = request.state.append(known, [event], request.rules.settle, request.rules.max_delay)
        if stored.head is not None:
            request.state.put_head(stored.head)
    except (StoreError, LedgerError) as error:
        text = f"what was found could not be stored, so later reports will not tell of it: {error}"
        return replace(found, problems=(*found.problems, text))
    return found


def _verify(
    request: VerifyRequest, scene: Scene, windows: tuple[Window, ...], found: _Found, now: Clock
) -> Verification:
    first = list(_compared(request, scene, windows, found))
    second = _second_look(request, scene, _lacking(first), found, now)
    compared = [*(replace(one, lacking=EMPTY) for one in first), *second]
    problems = request.lake.look_again([one.listed for one in found.broken.values()], scene.at)
    after = request.broker.snapshot(request.index.topic)
    if (after.cluster_id, after.topic_id) != (scene.snapshot.cluster_id, scene.snapshot.topic_id):
        raise BrokerError(f"topic {request.index.topic} was recreated while it was read: verify again")
    return Verification(
        topic=request.index.topic,
        cluster_id=scene.snapshot.cluster_id,
        topic_id=scene.snapshot.topic_id,
        verified_at=scene.at,
        seed=None,
        windows=windows,
        compared=tuple(compared),
        broken=tuple(BrokenObject(*name, found.why[name]) for name in found.broken),
        objects=len(found.whole),
        problems=tuple(dict.fromkeys((*scene.problems, *found.problems, *problems))),
    )


def _compared(request: VerifyRequest, scene: Scene, windows: Sequence[Window], found: _Found) -> Iterator[Compared]:
    with request.reader.open(request.index.topic, request.isolation) as reader:
        done = 0
        for group in _groups(windows):
            rows = _from_lake(request, scene, group, found)
            for window in group:
                yield compare(_reading(request, reader, scene, window, (rows, found)))
                done += 1
                request.progress(done, len(windows))


def _second_look(
    request: VerifyRequest, scene: Scene, lacking: Mapping[int, RangeSet], found: _Found, now: Clock
) -> Iterator[Compared]:
    """What comes of records of which the first look found no row.

    The lake is listed after the index was read, so no index row is newer than the listing. The job's sinks commit one
    after the other all the same: only after a wait does a row that is not there count as absent.
    """
    if not lacking:
        return
    indexed = _indexed(request, scene, found)
    suspected = {number: ranges.intersection(indexed.get(number, EMPTY)) for number, ranges in lacking.items()}
    text = "neither in the lake nor in the index: `lineage audit` tells whether it is due"
    for number, ranges in lacking.items():
        yield not_compared(number, ranges.difference(suspected[number]), text)
    windows = [one for number, ranges in suspected.items() for one in _parts(number, ranges)]
    if not windows:
        return
    if request.wait is not None:
        request.wait(request.rules.settle)
    later = look(request, now())
    found.problems += later.problems
    compared = list(_compared(request, later, windows, found))
    yield from (replace(one, lacking=EMPTY) for one in compared)
    text = f"indexed, and in no object yet: with --wait a look {request.rules.settle:g} s later decides"
    for number, ranges in _lacking(compared).items():
        yield not_compared(number, ranges, text) if request.wait is None else absent(number, ranges)


def _lacking(compared: Sequence[Compared]) -> dict[int, RangeSet]:
    found: dict[int, RangeSet] = {}
    for one in compared:
        if len(one.lacking):
            found[one.partition] = found.get(one.partition, EMPTY).union(one.lacking)
    return found


def _parts(partition: int, ranges: RangeSet) -> tuple[Window, ...]:
    """The ranges as windows whose rows can be held."""
    return tuple(
        Window(partition, OffsetRange(start, min(start + GROUP, one.end)))
        for one in ranges
        for start in range(one.start, one.end, GROUP)
    )


def _groups(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows whose rows are held at the same time."""
    group: list[Window] = []
    held = 0
    for one in windows:
        if group and held + len(one.range) > GROUP:
            yield group
            group, held = [], 0
        group.append(one)
        held += len(one.range)
    if group:
        yield group


def _from_lake(request: VerifyRequest, scene: Scene, windows: Sequence[Window], found: _Found) -> _Rows:
    """The rows at the windows, from every object that holds any of them."""
    parts: dict[int, list[OffsetRange]] = {}
    for one in windows:
        parts.setdefault(one.partition, []).append(one.range)
    wanted = {number: RangeSet.of(*ranges) for number, ranges in parts.items()}
    for former in scene.broken:
        hidden = {number: ranges.intersection(wanted.get(number, EMPTY)) for number, ranges in former.held.items()}
        if any(len(ranges) for ranges in hidden.values()):
            found.note_broken(former.file, str(former.file.problem))
            _hide(found, hidden, f"{shown(former.file.listed)} held them and cannot be read whole")
    rows: _Rows = {}
    for file, held in _holding(scene.manifest, wanted):
        name = file.listed.name
        try:
            for partition, offset, row in rows_within(
                request.lake.tables[file.listed.table], file.listed, request.lake.layout, wanted
            ):
                rows.setdefault((partition, offset), []).append(row)
            found.whole.add(name)
        except LakeFileError as error:
            found.note_broken(file, str(error))
            _hide(found, held, f"{shown(file.listed)} holds them and cannot be read whole")
        except StoreError as error:
            found.problems.append(str(error))
            _hide(found, held, f"{shown(file.listed)} could not be read")
    return rows


def _holding(manifest: LakeManifest, wanted: Mapping[int, RangeSet]) -> Iterator[tuple[LakeFile, dict[int, RangeSet]]]:
    """Objects with any of the wanted offsets, and which of them each has."""
    held: dict[int, dict[int, RangeSet]] = {}
    for partition, runs in manifest.chosen(lambda one: one.left is None).by_partition():
        offsets = wanted.get(partition, EMPTY)
        touching = runs.where(offsets.overlaps(runs.starts, runs.ends) > 0)
        for index in sorted(set(touching.files.tolist())):
            mine = touching.where(touching.files == index).ranges().intersection(offsets)
            held.setdefault(index, {})[partition] = mine
    for index in sorted(held):
        yield manifest.files[index], held[index]


def _hide(found: _Found, held: Mapping[int, RangeSet], why: str) -> None:
    for partition, ranges in held.items():
        found.hidden.setdefault(partition, []).append((ranges, why))


def _reading(
    request: VerifyRequest, reader: OpenRangeReader, scene: Scene, window: Window, lake: tuple[_Rows, _Found]
) -> Reading:
    (rows, found), number, wanted = lake, window.partition, window.range
    unknown = [
        Unknown(number, part, why)
        for ranges, why in found.hidden.get(number, ())
        for part in ranges.clip(wanted.start, wanted.end)
    ]
    there = RangeSet.from_pairs((one, one + 1) for one in range(wanted.start, wanted.end) if (number, one) in rows)
    left = scene.manifest.retired.get(number, EMPTY).clip(wanted.start, wanted.end).difference(there)
    unknown += [Unknown(number, part, "left the lake, as retention.data_days allows") for part in left]
    readable = scene.readable(number)
    if isinstance(readable, str):
        return Reading(window, {}, EMPTY, {}, scene.not_in_kafka(number, wanted))
    unknown += scene.not_in_kafka(number, wanted)
    start = min(max(wanted.start, readable.start), wanted.end)
    end = max(start, min(wanted.end, readable.end))
    expected, reached, why = _from_kafka(request, reader, number, OffsetRange(start, end))
    if reached < end:
        unknown.append(Unknown(number, OffsetRange(reached, end), why))
    return Reading(
        window=window,
        expected=expected,
        passed=RangeSet.of(OffsetRange(start, reached)),
        lake={offset: rows[number, offset] for offset in range(wanted.start, wanted.end) if (number, offset) in rows},
        unknown=tuple(unknown),
        doubt=scene.doubt,
        compacted=scene.snapshot.compacted,
        replayed=scene.replayed.get(number, EMPTY),
    )


def _from_kafka(
    request: VerifyRequest, reader: OpenRangeReader, partition: int, wanted: OffsetRange
) -> tuple[dict[int, ExpectedRow], int, str]:
    """What the decoder makes of the records, how far they were read, and why not further."""
    if not len(wanted):
        return {}, wanted.end, ""
    rows = RowMaker(request.schema, request.fetch)
    schema = request.schema
    tables = {"data": TableWriter(data_schema(schema)), "quarantine": TableWriter(quarantine_schema(schema))}
    reading = reader.read(partition, wanted)
    for record in reading:
        row = rows.row(partition, record)
        tables[row.table].add(row.values)
    # through Parquet and back, so that both sides have been through the same types
    expected = {
        int(row["kafka_offset"]): ExpectedRow(table, row)
        for table, writer in tables.items()
        for row in plain_rows_of(writer.finish())
    }
    return expected, reading.reached, reading.stopped.text if reading.stopped else ""


def _indexed(request: VerifyRequest, scene: Scene, found: _Found) -> dict[int, RangeSet]:
    """The offsets with an index row of the topic that is now."""
    try:
        return indexed_now(request, scene)
    except StoreError as error:
        found.problems.append(f"the offset index could not be read: {error}")
        return {}
