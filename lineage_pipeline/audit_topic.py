"""Use case: audit one topic. Gather (index listing first, then lake, then broker, then holes), decide (pure), report.

Reads books, never the environment; the clock and waiting are passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.broker_book import BrokerBook, HoleReader
from lineage_pipeline.books.copy_writers import MAX_RANGES, trace_writers
from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, IndexPath, list_index, read_index
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.books.shared_places import is_shared
from lineage_pipeline.core.audit import audit, lake_observation, observation
from lineage_pipeline.core.audit_events import Look, needs_closed_days
from lineage_pipeline.core.copies import untraced
from lineage_pipeline.core.evidence import AuditEvidence, AuditRules, BrokerEvidence, LakeEvidence
from lineage_pipeline.core.hole_reading import HoleBudget
from lineage_pipeline.core.lake_evidence import LakeReading, lake_evidence, with_told_once
from lineage_pipeline.core.ledger_events import Event
from lineage_pipeline.core.memory import Memory
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import BrokerError, StoreError, UsageError
from lineage_pipeline.lake_request import lake_book
from lineage_pipeline.lake_retention import by_retention
from lineage_pipeline.reading_again import Rereading
from lineage_pipeline.remembering import LATEST, Remembering, StatePlan
from lineage_pipeline.settings import DEFAULT_LAKE, Settings
from lineage_pipeline.topic_settings import TopicSettings

BOOKS = ("index", "broker", "lake")
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class AuditRequest:
    """What to audit and by which rules. `broker` is None for an audit without it, and so is `lake`.

    Without `reader` holes are not read again, so their cause stays open. Without `plan` nothing is remembered from one
    audit to the next.
    """

    index: IndexPath
    broker: BrokerBook | None = None
    group: str | None = None
    rules: AuditRules = field(default_factory=AuditRules)
    reader: HoleReader | None = None
    budget: HoleBudget = field(default_factory=HoleBudget)
    plan: StatePlan | None = None
    lake: LakeBook | None = None


def audit_request(settings: Settings, topic: TopicSettings, books: Iterable[str]) -> AuditRequest:
    """The request that the settings describe, with these `books` (of index, broker and lake).

    Raises UsageError for books that cannot be audited by.
    """
    chosen = set(books)
    if "index" not in chosen or chosen - set(BOOKS):
        shown = ",".join(sorted(chosen)) or "none"
        raise UsageError(f"books {shown}: there are {', '.join(BOOKS)}, and the index is always one of them")
    rules = AuditRules(
        settings.settle_seconds(topic), topic.max_delay, topic.baseline, topic.isolation, topic.quarantine_limit
    )
    index, plan = index_path(settings, topic), state_plan(settings, topic)
    state = open_store(topic.paths.audit, settings.aws) if plan is not None else None
    lake = lake_book(settings, topic, state=state) if "lake" in chosen else None
    if "broker" not in chosen:
        return AuditRequest(index, None, topic.group, rules, plan=plan, lake=lake)
    # an index-only audit needs no client
    from lineage_pipeline.books.hole_reader import KafkaHoleReader  # noqa: PLC0415 - as said above
    from lineage_pipeline.books.kafka_offsets import KafkaBook  # noqa: PLC0415 - as said above

    kafka = (settings.kafka.bootstrap_servers, settings.kafka.properties)
    return AuditRequest(index, KafkaBook(*kafka), topic.group, rules, KafkaHoleReader(*kafka), plan=plan, lake=lake)


def index_path(settings: Settings, topic: TopicSettings) -> IndexPath:
    """Where the topic's index is, and whether another configured topic uses the same path."""
    uri = topic.paths.offset_index
    owned = tuple((one.name, one.paths.offset_index) for one in settings.topics)
    return IndexPath(open_store(uri, settings.aws), topic.name, sole=not is_shared(topic.name, uri, owned))


def state_plan(settings: Settings, topic: TopicSettings) -> StatePlan | None:
    """Where the topic's audits are remembered; None when nobody chose a place, though one was chosen for the index.

    So the index of another system is audited as it is, without a bucket that does not exist.
    """
    unset = topic.paths.audit == f"{DEFAULT_LAKE}/audit"
    if unset and topic.paths.offset_index != f"{DEFAULT_LAKE}/offset-index":
        return None
    index = index_path(settings, topic)
    return StatePlan(AuditState(open_store(topic.paths.audit, settings.aws), topic.name, index.store))


def audit_topic(request: AuditRequest, now: Clock, memory: Memory | None = None) -> AuditReport:
    """One audit. Books that cannot be read do not raise: they are in the report, which then is not complete.

    With a `plan` it continues the audits before and stores what it saw; `memory` is for audits without one.
    """
    if request.plan is not None:
        return _audit_and_keep(request, now)[0]
    return audit(gather(request, now, memory))


def audit_twice(
    request: AuditRequest, now: Clock, wait: Callable[[float], None], memory: Memory | None = None
) -> AuditReport:
    """An audit and, when it found a hole for the first time, a second one at least `settle` seconds later.

    `wait` is called with the seconds to wait, as often as needed.
    """
    if request.plan is not None:
        first, earlier = _audit_and_keep(request, now)
        if not suspects(first):
            return first
        _settle(now(), request, now, wait)
        second = replace(request, plan=replace(request.plan, told=None))
        return _audit_and_keep(second, now, earlier)[0]
    evidence = gather(request, now, memory)
    first = audit(evidence)
    finished_at = now()
    looked, lake = observation(evidence, first, finished_at), lake_observation(evidence, first, finished_at)
    if (looked is None and lake is None) or not suspects(first):
        return first
    _settle(finished_at, request, now, wait)
    before = memory or Memory()
    # what is explained stays so; a loss is read again, since the second look has to agree
    explained = [one for one in evidence.memory.resolutions if one.offset_class == "explained"]
    settled = tuple(dict.fromkeys((*before.resolutions, *explained)))
    seen = replace(
        before,
        observations=(*before.observations, *([looked] if looked else [])),
        lake=(*before.lake, *([lake] if lake else [])),
        resolutions=settled,
    )
    return audit_topic(request, now, seen)


def gather(
    request: AuditRequest,
    now: Clock,
    memory: Memory | None = None,
    remembering: Remembering | None = None,
    *,
    closed_days: bool = False,
) -> AuditEvidence:
    """Everything there is to know: index first, so that an index row is never newer than its object or the log's end.

    Then the lake, then the broker. Holes that are due are read again at last; what came of them is in the evidence's
    memory. With `remembering` only what is new is read, of closed days only when asked for.
    """
    audited_at = now()
    index = remembering.read_index(audited_at, closed_days=closed_days) if remembering else read_index(request.index)
    lake = _book(request, request.lake).read(audited_at) if request.lake else LakeReading("not-consulted")
    broker = _ask(request)
    if remembering is not None:
        index, memory = remembering.recall(audited_at, index, broker)
    memory = memory or Memory()
    if request.lake is not None:
        book = _book(request, request.lake)
        lake = by_retention(book, request.index, lake, index, memory, audited_at)
    evidence = AuditEvidence(
        topic=request.index.topic,
        audited_at=audited_at,
        index=index,
        broker=broker,
        rules=request.rules,
        memory=memory,
        lake=lake_evidence(lake, index.coverage, memory, audited_at.timestamp() - request.rules.settle),
    )
    evidence = _with_copy_writers(request, evidence, remembering)
    if request.broker is None or request.reader is None:
        return evidence
    return Rereading(request.broker, request.reader, request.budget).causes(evidence, now)


def store_report(store: ObjectStore, report: AuditReport) -> str:
    """Put the report's JSON beside the data, replacing the last one, and return its key. Raises StoreError."""
    key = f"{TOPIC_DIRECTORY}{report.topic}/{LATEST}"
    store.put(key, json.dumps(report.to_json()).encode())
    return key


@dataclass(frozen=True)
class _Earlier:
    """What an earlier look of the same audit leaves: facts that could not be stored, what it saw of the lake."""

    unstored: tuple[Event, ...] = ()
    lake: LakeEvidence | None = None


def _audit_and_keep(request: AuditRequest, now: Clock, earlier: _Earlier = _Earlier()) -> tuple[AuditReport, _Earlier]:
    """An audit that remembers, and what it leaves for a second one."""
    assert request.plan is not None
    remembering = Remembering(request.plan, request.index, request.rules, earlier.unstored)
    look = _look(request, now, remembering, earlier.lake)
    if needs_closed_days(look, remembering.state.judged):
        look = _look(request, now, remembering, look.evidence.lake, closed_days=True)
    report, unstored = remembering.keep(look)
    return report, _Earlier(unstored, look.evidence.lake)


def _look(
    request: AuditRequest,
    now: Clock,
    remembering: Remembering,
    lake: LakeEvidence | None,
    *,
    closed_days: bool = False,
) -> Look:
    """One look. `lake`: what the one before saw, of which the report has to tell what no later look sees again."""
    evidence = gather(request, now, remembering=remembering, closed_days=closed_days)
    if lake is not None:
        assert request.plan is not None
        evidence = replace(evidence, lake=with_told_once(evidence.lake, lake, stored=request.plan.store))
    finished_at = now()
    return Look(evidence, audit(evidence), finished_at, remembering.listing)


def _with_copy_writers(
    request: AuditRequest, evidence: AuditEvidence, remembering: Remembering | None
) -> AuditEvidence:
    """The evidence with the writers of what is in the index more than once, as far as that is not known yet."""
    memory = evidence.memory
    wanted = untraced(evidence.index.coverage, memory.copies, MAX_RANGES)
    if not wanted:
        return evidence
    try:
        path = request.index
        keys = remembering.files if remembering else [info.key for info in list_index(path).files]
    except StoreError:
        return evidence  # the copies are told all the same, without their writers
    traced = trace_writers(path.store, keys, wanted, evidence.index.sealed_writers)
    return replace(evidence, memory=replace(memory, copies=(*memory.copies, *traced)))


def suspects(report: AuditReport) -> bool:
    """Whether it holds something that was seen for the first time, so that a second look has to decide."""
    return any(
        partition.decision.short_suspected or any(one.cause == "suspected" for one in partition.ranges)
        for partition in report.partitions
    )


def _settle(since: datetime, request: AuditRequest, now: Clock, wait: Callable[[float], None]) -> None:
    while (left := request.rules.settle - (now() - since).total_seconds()) > 0:
        wait(left)


def _book(request: AuditRequest, lake: LakeBook) -> LakeBook:
    """The lake book as the plan wants it read and kept."""
    return lake if request.plan is None else replace(lake, again=request.plan.full, keep=request.plan.store)


def _ask(request: AuditRequest) -> BrokerEvidence:
    if request.broker is None:
        return BrokerEvidence("not-consulted")
    try:
        return BrokerEvidence("read", request.broker.snapshot(request.index.topic, request.group))
    except BrokerError as error:
        return BrokerEvidence("unreadable", problem=f"the broker could not be read: {error}")
