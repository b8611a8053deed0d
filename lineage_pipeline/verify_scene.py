"""Use case, the half of a verification that looks: the lake's objects of the topic that is now, and the broker's word.

Files of a topic of the same name that is no more are not held against the records of this one. Of a file that cannot
be read nobody knows what it holds, so it is named: a comparison that leaves it out proves less than it seems to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.broker_book import BrokerBook, RangeReader
from lineage_pipeline.books.deployments import DeploymentBook, read_deployments
from lineage_pipeline.books.index_merge import read_index_onto
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.deployment import Isolation, by_jobs, topic_now
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.lake_comparison import Doubt, file_doubts
from lineage_pipeline.core.lake_manifest import LakeFile, LakeManifest
from lineage_pipeline.core.ledger import LedgerState, same_topic
from lineage_pipeline.core.ledger_events import Incarnation
from lineage_pipeline.core.offsets import EMPTY, MAX_END, OffsetRange, RangeSet
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.core.value_comparison import Unknown

Progress = Callable[[int, int], None]  # windows compared, and how many there are


@dataclass(frozen=True)
class VerifyRequest:
    """What to compare. `isolation` is the writer's. `progress` is told how far the reading is.

    `fetch`: schemas of a registry, see payload_decoder.

    `state`: where audits are remembered, so that their reports tell what was found; None: nowhere. `wait`: lets so many
    seconds pass before a second look decides what is absent; None: nothing is waited for, and that stays open.
    """

    index: IndexPath
    lake: LakeBook
    broker: BrokerBook
    reader: RangeReader
    schema: RecordSchema
    isolation: Isolation
    state: AuditState | None = None
    rules: AuditRules = field(default_factory=AuditRules)
    progress: Progress = lambda _done, _all: None
    fetch: FetchSchema | None = None
    wait: Callable[[float], None] | None = None


@dataclass(frozen=True)
class BrokenBefore:
    """An object that an earlier look found broken, and what it held before, by partition."""

    file: LakeFile
    held: Mapping[int, RangeSet]


@dataclass(frozen=True)
class Scene:
    """Both sides as they are looked at.

    `doubt`: why a row that no object seems to hold may be in one all the same; empty when every object was read.
    `since`: when the topic that is now began (epoch seconds), if another of its name was before.
    """

    at: datetime
    manifest: LakeManifest
    problems: tuple[str, ...]
    doubt: str
    broken: tuple[BrokenBefore, ...]
    snapshot: BrokerSnapshot
    isolation: Isolation
    replayed: Mapping[int, RangeSet]
    since: float | None = None

    def readable(self, partition: int) -> OffsetRange | str:
        """What Kafka gives a reader of that isolation level; or why nobody knows."""
        seen = self.snapshot.partitions.get(partition)
        if seen is None or seen.log_start is None or seen.last_stable is None or seen.high_watermark is None:
            return (seen and seen.error) or "the partition is not among the broker's"
        end = seen.last_stable if self.isolation == "read_committed" else seen.high_watermark
        return OffsetRange(seen.log_start, end)

    def not_in_kafka(self, partition: int, wanted: OffsetRange) -> tuple[Unknown, ...]:
        """Those of the offsets that Kafka does not give, and why."""
        readable, ranges = self.readable(partition), RangeSet.of(wanted)
        if isinstance(readable, str):
            return (Unknown(partition, wanted, readable),)
        before, behind = ranges.clip(0, readable.start), ranges.clip(readable.end, MAX_END)
        expired = [Unknown(partition, one, "expired: Kafka has removed them") for one in before]
        return (*expired, *(Unknown(partition, one, f"Kafka's log ends at {readable.end}") for one in behind))

    def held(self) -> Mapping[int, RangeSet]:
        """By partition, the offsets in objects that can be read."""
        there = self.manifest.chosen(lambda one: one.left is None)
        return {partition: runs.ranges() for partition, runs in there.by_partition()}

    def somewhere(self, partition: int) -> RangeSet:
        """The offsets that Kafka or an object has, or had before it broke."""
        found, readable = self.held().get(partition, EMPTY), self.readable(partition)
        for one in self.broken:
            found = found.union(one.held.get(partition, EMPTY))
        return found if isinstance(readable, str) else found.union(RangeSet.of(readable))


def look(request: VerifyRequest, at: datetime) -> Scene:
    """Read both sides. Raises BrokerError when the broker cannot be asked, StoreError when something is not listed."""
    reading = request.lake.read(at)
    snapshot = request.broker.snapshot(request.index.topic)
    since, problems = _began(request, Incarnation(snapshot.cluster_id, snapshot.topic_id))
    if since is None and problems:  # whose files these are is not known, so none is held against these records
        manifest = LakeManifest()
    else:
        manifest = reading.manifest.without(lambda one: since is not None and one.listed.modified < since)
    replayed = reading.claimed(since)
    doubts, _ = file_doubts(manifest, replayed)
    unread = [*(one.text for one in reading.doubts), *(one.text for one in doubts if one.of_lost), *problems]
    return Scene(
        at=at,
        manifest=manifest,
        problems=tuple(dict.fromkeys((*unread, *reading.problems))),
        doubt=unread[0] if unread else "",
        broken=tuple(_broken_before(manifest, doubts)),
        snapshot=snapshot,
        isolation=request.isolation,
        replayed=replayed,
        since=since,
    )


def _began(request: VerifyRequest, current: Incarnation) -> tuple[float | None, list[str]]:
    """Since when files are of the topic that is now (epoch seconds), if another was before; or why nobody knows."""
    store = request.index.store
    book = read_deployments(store, request.index.topic) if store.exists() else DeploymentBook((), ())
    if book.problems:
        return None, [*book.problems]
    now = topic_now(book.deployments)
    if now.cluster_id is not None and not same_topic(Incarnation(now.cluster_id, now.topic_id), current):
        text = (
            f"the job's newest start declares cluster {now.cluster_id}, topic id {now.topic_id}, and the broker has"
            f" cluster {current.cluster_id}, topic id {current.topic_id}: whose files the lake has is not known"
        )
        return None, [text]
    known = request.state.read().state if request.state is not None else LedgerState()
    if now.since is not None or not known.sealed:
        return now.since, []
    ours = [one.files_since for one in by_jobs(book.deployments) if not known.is_sealed(Incarnation(*one.incarnation))]
    if not ours:
        return None, ["the topic was recreated, and no deployment record says since when files are of the one now"]
    return min(ours), []


def indexed_now(request: VerifyRequest, scene: Scene) -> dict[int, RangeSet]:
    """By partition, the offsets with an index row of the topic that is now. Raises StoreError.

    Rows whose writer has no record count only where no other topic of the name was before.
    """
    fold = read_index_onto(request.index, None, scene.at.date(), frozenset(), full=True).fold
    current = Incarnation(scene.snapshot.cluster_id, scene.snapshot.topic_id)
    ours = [
        one
        for one in fold.coverage
        if (same_topic(one, current) if isinstance(one, Incarnation) else scene.since is None)
    ]
    return {partition: one.exact for partition, one in fold.of(ours).items()}


def _broken_before(manifest: LakeManifest, doubts: list[Doubt]) -> list[BrokenBefore]:
    """Objects that broke after they had been looked at, of which not everything is in others by now."""
    texts = {one.text for one in doubts if not one.of_lost}
    found = []
    for one in manifest.files:
        if one.left is None and one.fault is not None and str(one.problem) in texts:
            name = one.listed.name
            former = manifest.chosen(lambda other: other.left is not None and other.listed.name == name)  # noqa: B023 - called at once
            found.append(BrokenBefore(one, {number: runs.ranges() for number, runs in former.by_partition()}))
    return found
