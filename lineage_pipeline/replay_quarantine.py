"""Use case: what is in quarantine and decodes by now is written to data. Claim, write, note; the plan is made before.

The claims are read before the lake, and a claim takes the next number, which is given once: so of two replays at once
one gives up. Quarantine and index stay as they are: the index counts these offsets already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lineage_pipeline.books.claim_log import Note, begun
from lineage_pipeline.books.quarantine_rows import QuarantinedRow
from lineage_pipeline.books.table_files import TableWriter, data_schema
from lineage_pipeline.core.key_schema import HEADERS_COLUMN
from lineage_pipeline.core.ledger_json import time_text
from lineage_pipeline.core.offsets import EMPTY
from lineage_pipeline.core.quarantine_classes import Example
from lineage_pipeline.core.quarantine_replay import Part, count
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.core.replay_claim import ReplayClaim
from lineage_pipeline.core.table_rows import RowMaker, TableRow
from lineage_pipeline.errors import LineageError, RepairError
from lineage_pipeline.quarantine_plan import Clock, Progress, ReplayPlan, ReplayRequest, error_of, example_of, rows_at
from lineage_pipeline.replay import put_same


@dataclass(frozen=True)
class Done:
    """What became of one part: how many rows are newly in data; claimed ones that do not decode any more, by class.

    `left`: the object is as it was, since it holds rows that cannot be written again. `gone`: how many claimed rows are
    neither in data nor in any quarantine file.
    """

    part: Part
    written: int
    failures: int = 0
    failed: Mapping[str, Example] = field(default_factory=dict)
    left: bool = False
    gone: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything that was claimed is in data now."""
        return not (self.failures or self.gone or self.left)


def execute(request: ReplayRequest, plan: ReplayPlan, now: Clock, progress: Progress) -> Iterator[Done]:
    """Carry the plan out part by part: what earlier replays left first, then what is new.

    Raises RepairError when the plan must not be carried out, or another replay began since it was made; StoreError or
    LakeFileError on failure, after which another replay goes on where this one was.
    """
    if plan.obstacles:
        raise RepairError(f"nothing is replayed, since {plan.obstacles[0]}")
    by_claim: dict[int, list[Part]] = {}
    for part in plan.standing.unfinished:
        by_claim.setdefault(part.claim.number, []).append(part)
    for listed in by_claim.values():
        yield from _run(request, plan, listed, now, progress)
    for number, portion in enumerate(plan.portions, plan.claims + 1):
        claim = ReplayClaim(number, request.topic, plan.now.cluster_id, plan.now.topic_id, portion, now(), request.by)
        if not request.log.take(claim):
            raise RepairError(
                f"another replay of {request.topic} began at the same time: let it end, then run this one again"
            )
        parts = [Part(claim, key, one, one) for key, one in zip(claim.object_keys(), claim.parts, strict=True)]
        yield from _run(request, plan, parts, now, progress)


def _run(
    request: ReplayRequest, plan: ReplayPlan, parts: Sequence[Part], now: Clock, progress: Progress
) -> Iterator[Done]:
    """The parts of one claim, with a note before and after."""
    number, done = parts[0].claim.number, list[Done]()
    request.log.note(begun(number, request.by, now()))
    try:
        for part in parts:
            done.append(_write(request, plan, part, progress))
            yield done[-1]
    except LineageError as error:
        text = f"{_written(done)}; then: {error}"
        request.log.note(Note(number, time_text(now()), request.by, "failed", text))
        raise
    failures, gone = sum(one.failures for one in done), sum(one.gone for one in done)
    text = _written(done) + (f", {failures} cannot be decoded any more" if failures else "")
    text += f", {gone} are in no quarantine file any more" if gone else ""
    text += ", an object is left as it was" if any(one.left for one in done) else ""
    what = "finished" if all(one.whole for one in done) else "failed"
    request.log.note(Note(number, time_text(now()), request.by, what, text))


def _written(done: Sequence[Done]) -> str:
    return f"{sum(one.written for one in done)} records to data"


def _write(request: ReplayRequest, plan: ReplayPlan, part: Part, progress: Progress) -> Done:
    """One data object, whole: all rows of the part that decode, in the order of partition and offset."""
    decoder, rows = RowMaker(request.schema, request.fetch), dict[tuple[int, int], TableRow]()
    failed: dict[str, Example] = {}
    failures, seen = 0, set[tuple[int, int]]()
    for file, row in rows_at(request, plan.reading.manifest, plan.now, part.offsets):
        place = (row.partition, row.record.offset)
        if place in rows:
            continue  # in quarantine twice: one row of it is enough
        result = decoder.row(row.partition, row.record)
        seen.add(place)
        if result.table == "data":
            rows[place] = _with_unknown_headers(result, request.schema, row)
            progress(1)
        else:
            failures += 1
            error = error_of(result)
            failed.setdefault(error.partition(":")[0], example_of(file, row, error))
    new = sum(1 for partition, offset in rows if offset in part.lacking.get(partition, EMPTY))
    gone = count(part.lacking) - sum(1 for one, offset in seen if offset in part.lacking.get(one, EMPTY))
    if not new:
        return Done(part, 0, failures, failed, gone=gone)
    if len(rows) - new < count(part.offsets) - count(part.lacking):
        # writing it again would take rows out of data
        return Done(part, 0, failures, failed, left=True, gone=gone)
    writer = TableWriter(data_schema(request.schema))
    for place in sorted(rows):
        writer.add(rows[place].values, rows[place].size)
    put_same(request.book.tables["data"], part.key, writer.finish(), again=part.begun)
    return Done(part, new, failures, failed, gone=gone)


def _with_unknown_headers(result: TableRow, schema: RecordSchema, row: QuarantinedRow) -> TableRow:
    """The row with NULL for headers that the quarantine file never had, instead of an empty map."""
    if not schema.headers or HEADERS_COLUMN not in row.lacks:
        return result
    return result._replace(values=(*result.values[:-1], None))
