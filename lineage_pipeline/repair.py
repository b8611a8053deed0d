"""Use case: put lost records back. Look at earlier repairs, audit, plan; claim, replay, note; the caller audits again.

The order makes two repairs at once safe: what others have claimed is read before the audit, and a claim takes the next
number, which is given once. So nothing that another repair has taken on since is planned from an audit before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from lineage_pipeline.audit_topic import AuditRequest
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.claim_log import Note, begun
from lineage_pipeline.books.deployments import writer_isolation
from lineage_pipeline.books.index_store import locate_rows
from lineage_pipeline.books.job_signs import job_signs
from lineage_pipeline.books.object_store import ObjectStore, present
from lineage_pipeline.books.repair_log import RepairLog
from lineage_pipeline.books.table_files import schema_conflict, unasked_columns
from lineage_pipeline.core.deployment import Isolation, deployment_key
from lineage_pipeline.core.held_back import seen_missing
from lineage_pipeline.core.lake_comparison import file_doubts
from lineage_pipeline.core.ledger_json import time_text
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.offsets import EMPTY, RangeSet
from lineage_pipeline.core.quarantine_replay import is_current
from lineage_pipeline.core.repair_claim import RepairClaim, Task
from lineage_pipeline.core.repair_decision import PlanFacts, UnfinishedRepair, plan_repair
from lineage_pipeline.core.repair_plan import RepairPlan, Resumed, object_width
from lineage_pipeline.core.replay_claim import claimed_offsets
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import LineageError, RepairError, UsageError
from lineage_pipeline.quarantine import claims_of, read_topic_now
from lineage_pipeline.replay import Cluster, Lake, Progress, Replay, Replayed

_SAMPLED_RANGES, _SAMPLED_RECORDS = 20, 100
_TOLD_DUPLICATES = 5


@dataclass(frozen=True)
class RepairRequest:
    """What to repair and with what. `audit` reads the broker and remembers; `interval`: seconds between checkpoints.

    `by`: who does it. `job_is_gone`: a person says that the state of the stopped job will never be restored.
    """

    audit: AuditRequest
    lake: Lake
    cluster: Cluster
    checkpoints: ObjectStore
    interval: float
    by: str
    job_is_gone: bool = False

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.audit.index.topic


@dataclass(frozen=True)
class Sample:
    """Some of the records to be written: how many, and the bytes of their payloads altogether."""

    records: int = 0
    payload_bytes: int = 0

    def estimate(self, records: int) -> int | None:
        """Payload bytes of so many records, about; None when none was sampled."""
        return self.payload_bytes * records // self.records if self.records else None


@dataclass(frozen=True)
class Prepared:
    """A plan, and the audit it comes from. `number`: what the next claim would be called."""

    report: AuditReport
    plan: RepairPlan
    sample: Sample
    number: int
    isolation: Isolation


def prepare(request: RepairRequest, audit: Callable[[], AuditReport]) -> Prepared:
    """The plan, from a fresh `audit` that stores what it saw. Writes nothing else.

    Raises UsageError when audits are not remembered, LedgerError when an earlier repair's claim cannot be read,
    StoreError or BrokerError when something could not be looked at.
    """
    state = _state(request)
    log = RepairLog(request.lake.offset_index, request.topic)
    claims = log.claims()
    unfinished = tuple(one for one in (_unfinished(request, log, claim) for claim in claims) if one.chunks)
    report = audit()
    known = state.read().state
    memory = known.memory()
    facts = PlanFacts(
        report=report,
        signs=job_signs(request.audit.index, request.checkpoints, request.interval, told_gone=request.job_is_gone),
        seen={
            one.partition: seen_missing(one.partition, memory.observations, known.history) for one in report.partitions
        },
        unfinished=unfinished,
        harmless=_harmless(request, memory),
        replayable=_replayable(request),
    )
    plan = _with_writers(request, _with_schema(request, plan_repair(facts)))
    isolation = writer_isolation(request.lake.offset_index, request.topic, request.audit.rules.isolation)
    return Prepared(report, plan, _sample(request, plan, isolation), len(claims) + 1, isolation)


def execute(
    request: RepairRequest, prepared: Prepared, now: Callable[[], datetime], progress: Progress
) -> tuple[Replayed, ...]:
    """Carry the plan out: earlier repairs first, then what is new. The caller audits afterwards.

    Raises RepairError when the plan must not be carried out, or another repair began since it was made; BrokerError or
    StoreError on failure, after which another repair goes on where this one was.
    """
    plan = prepared.plan
    if plan.obstacles:
        raise RepairError(f"nothing is repaired, since {plan.obstacles[0]}")
    log = RepairLog(request.lake.offset_index, request.topic)
    jobs = list(plan.resumed)
    if plan.planned:
        claim = _claim(request, prepared, now())
        if not log.take(claim):
            raise RepairError(
                f"another repair of {request.topic} began at the same time: let it end, then run this one again"
            )
        jobs.append(Resumed(claim, tuple(Task(chunk, chunk.offsets) for chunk in claim.chunks())))
    done: list[Replayed] = []
    for job in jobs:
        done += _run(request, log, job, now, progress)
    return tuple(done)


def _run(
    request: RepairRequest, log: RepairLog, job: Resumed, now: Callable[[], datetime], progress: Progress
) -> list[Replayed]:
    """One claim's tasks, with a note before and after."""
    claim, done = job.claim, list[Replayed]()
    log.note(begun(claim.number, request.by, now()))
    record = claim.deployment()
    request.lake.offset_index.put_new(deployment_key(record.writer), record.to_json().encode())
    try:
        for one in Replay(claim, request.lake, request.cluster, progress).run(job.tasks):
            done.append(one)
    except LineageError as error:
        log.note(Note(claim.number, time_text(now()), request.by, "failed", f"{_told(done)}; then: {error}"))
        raise
    what = "failed" if log.unfinished(claim) else "finished"
    log.note(Note(claim.number, time_text(now()), request.by, what, _told(done)))
    return done


def _told(done: list[Replayed]) -> str:
    written = [one for one in done if one.written]
    data, quarantined = sum(one.data for one in written), sum(one.quarantined for one in written)
    absent = sum(one.expired.total + one.gone.total for one in done)
    lost = f", {absent} not readable any more" if absent else ""
    return f"{data} records to data, {quarantined} to quarantine{lost}"


def _claim(request: RepairRequest, prepared: Prepared, at: datetime) -> RepairClaim:
    report = prepared.report
    assert report.cluster_id is not None  # else the plan has an obstacle
    return RepairClaim(
        number=prepared.number,
        topic=request.topic,
        cluster_id=report.cluster_id,
        topic_id=report.topic_id,
        lost=prepared.plan.ranges("lost"),
        damaged=prepared.plan.ranges("damaged"),
        width=object_width(prepared.sample.records, prepared.sample.payload_bytes),
        isolation=prepared.isolation,
        group=request.audit.group or "none",
        checkpoint_interval=request.interval,
        at=at,
        by=request.by,
    )


def _unfinished(request: RepairRequest, log: RepairLog, claim: RepairClaim) -> UnfinishedRepair:
    chunks = log.unfinished(claim)
    data = present(request.lake.output, [claim.data_key(one) for one in chunks])
    quarantine = present(request.lake.quarantine, [claim.quarantine_key(one) for one in chunks])
    begun_ones = [one for one in chunks if claim.data_key(one) in data or claim.quarantine_key(one) in quarantine]
    return UnfinishedRepair(claim, chunks, frozenset(begun_ones))


def _sample(request: RepairRequest, plan: RepairPlan, isolation: Isolation) -> Sample:
    """The first records of some of the planned ranges."""
    records = size = 0
    if not plan.planned or plan.obstacles:
        return Sample()
    with request.cluster.reader.open(request.topic, isolation) as reader:
        step = -(-len(plan.planned) // _SAMPLED_RANGES)
        for one in plan.planned[::step]:
            for record in islice(reader.read(one.partition, one.range), _SAMPLED_RECORDS):
                records += 1
                size += len(record.payload or b"")
    return Sample(records, size)


def _with_writers(request: RepairRequest, plan: RepairPlan) -> RepairPlan:
    """The plan, with the writers of the first duplicated ranges: each costs a look into every index file."""
    told = []
    for one in plan.duplicated[:_TOLD_DUPLICATES]:
        rows = locate_rows(request.audit.index, one.partition, one.range.start).rows
        told.append(replace(one, writers=tuple(row.row.writer or "unknown" for row in rows)))
    return replace(plan, duplicated=(*told, *plan.duplicated[_TOLD_DUPLICATES:]))


def _with_schema(request: RepairRequest, plan: RepairPlan) -> RepairPlan:
    """The plan, with an obstacle when the table that is there was written with other types, or has more of a record."""
    store, schema = request.lake.output, request.lake.schema
    listed = store.list(f"kafka_topic={request.topic}") if plan.records and store.exists() else ()
    objects = sorted((one for one in listed if one.size), key=lambda one: one.key)
    if not objects:
        return plan
    found = []
    conflict = schema_conflict(schema, store, objects[0])
    if conflict is not None:
        found.append(f"the data table has another schema ({conflict}): set `format` and `schema` as the job has them")
    lacking = unasked_columns(schema, store, objects[-1])
    if lacking:
        found.append(
            f"the newest data object has {', '.join(lacking)}, and what these settings write would not: set"
            " `key_format`, `key_schema`, `headers` and `unknown_fields` as the job has them"
        )
    return replace(plan, obstacles=(*plan.obstacles, *found))


def _harmless(request: RepairRequest, memory: Memory) -> frozenset[str]:
    """Problems that hide no record: wrong values, and files broken later, whose offsets are known from before."""
    wrong = memory.verified.problem if memory.verified else None
    doubts = file_doubts(request.audit.lake.kept().manifest)[0] if request.audit.lake else []
    return frozenset([*(one.text for one in doubts if not one.of_lost), *([wrong] if wrong else [])])


def _replayable(request: RepairRequest) -> dict[int, RangeSet]:
    """What replays of the topic that is now took on and quarantine files hold. Raises LedgerError or StoreError."""
    lake = request.audit.lake
    if lake is None:
        return {}
    now, _ = read_topic_now(request.lake.offset_index, request.topic)
    claimed = claimed_offsets(claims_of(lake, now))
    if not claimed:
        return {}
    in_quarantine = lake.kept().manifest.chosen(
        lambda one: one.listed.table == "quarantine" and is_current(one, now.since)
    )
    return {
        partition: runs.ranges().intersection(claimed.get(partition, EMPTY))
        for partition, runs in in_quarantine.by_partition()
    }


def _state(request: RepairRequest) -> AuditState:
    if request.audit.plan is None:
        raise UsageError("a repair needs audits that are remembered, since a loss takes two looks: set AUDIT_PATH")
    if not request.audit.plan.store:
        raise UsageError("a repair needs audits that are remembered: leave --no-store out")
    return request.audit.plan.state
