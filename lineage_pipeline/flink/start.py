"""A start of the job: gather the facts, let `core.job_start` decide, carry the decision out, declare the deployment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from lineage_pipeline.books.broker_book import BrokerBook
from lineage_pipeline.books.checkpoints import newest_restore_point
from lineage_pipeline.books.deployments import read_deployments, write_deployment
from lineage_pipeline.books.index_ends import index_ends
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.deployment import Deployment, by_jobs
from lineage_pipeline.core.job_start import (
    LastDeployment,
    RestorePoint,
    Start,
    StartFacts,
    StartRequest,
    decide_start,
    deployment_chain,
)
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.errors import BrokerError, StartRefusedError
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings


@dataclass(frozen=True)
class TopicStores:
    """The two places a start looks at: the offset index and the checkpoints."""

    offset_index: ObjectStore
    checkpoints: ObjectStore

    @classmethod
    def of(cls, settings: Settings, topic: TopicSettings) -> TopicStores:
        """Open both; nothing is touched yet."""
        return cls(
            open_store(topic.paths.offset_index, settings.aws), open_store(topic.paths.checkpoints, settings.aws)
        )


def prepare_start(
    settings: Settings, topic: TopicSettings, broker: BrokerBook, request: StartRequest, plan_hash: str
) -> tuple[Start, Deployment]:
    """Decide how the job starts, write the group's offsets where needed, and store the deployment record.

    After this the job must be started, from `start.restore_from` or from the group's offsets. Raises
    StartRefusedError when a person has to decide, BrokerError or StoreError when something could not be looked at.
    """
    stores = TopicStores.of(settings, topic)
    chain = _history(stores.offset_index, topic.name)
    seeded = not chain and request.baseline == "seeded"
    snapshot = broker.snapshot(topic.name, topic.group if seeded else None)
    logs = _logs(topic.name, snapshot)
    point = newest_restore_point(stores.checkpoints, topic.name, chain)
    last = chain[-1] if chain else None
    unknown = _unknown_to(point, chain)
    resumes = last is not None and point is not None and (point.writer, point.plan_hash) == (last.writer, plan_hash)
    ends, writers = _index_facts(stores.offset_index, topic.name, request, resumes=resumes)
    facts = StartFacts(
        topic=topic.name,
        cluster_id=snapshot.cluster_id,
        topic_id=snapshot.topic_id,
        plan_hash=plan_hash,
        partitions=logs,
        last=None
        if last is None
        else LastDeployment(
            last.writer, last.cluster_id, last.topic_id, _starts(chain), not writers.isdisjoint(unknown)
        ),
        restore_point=point,
        index_end=ends,
        group_offsets={p: o.committed for p, o in snapshot.partitions.items() if o.committed is not None},
    )
    start = decide_start(facts, request)
    if start.offsets is not None:
        broker.commit_group_offsets(topic.group, topic.name, start.offsets)
    deployment = Deployment(
        writer=new_writer_id(),
        topic=topic.name,
        cluster_id=snapshot.cluster_id,
        topic_id=snapshot.topic_id,
        group=topic.group,
        start_offsets=dict(start.offsets) if start.offsets is not None else _restored_starts(chain, logs),
        isolation=topic.isolation,
        checkpoint_interval=settings.checkpoint_interval,
        plan_hash=plan_hash,
        started_at=datetime.now(timezone.utc),
        previous=last.writer if last else None,
        reason=start.reason,
        skipped={partition: (gap,) for partition, gap in start.skipped.items()},
    )
    write_deployment(stores.offset_index, deployment)
    return start, deployment


def new_writer_id() -> str:
    """An id that sorts by time and is never given twice."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def _logs(topic: str, snapshot: BrokerSnapshot) -> dict[int, OffsetRange]:
    logs = {}
    for partition, offsets in snapshot.partitions.items():
        if offsets.error is not None or offsets.log_start is None or offsets.high_watermark is None:
            raise BrokerError(
                f"the offsets of partition {partition} of {topic} are not known ({offsets.error}): the job cannot be"
                " started without them; try again when the partition has a leader"
            )
        logs[partition] = OffsetRange(offsets.log_start, offsets.high_watermark)
    return logs


def _history(store: ObjectStore, topic: str) -> tuple[Deployment, ...]:
    if not store.exists():
        return ()
    book = read_deployments(store, topic)
    if book.problems:
        raise StartRefusedError(
            f"{book.problems[0]}: it may be the newest deployment, so where to go on is unknown. Restore that file or"
            " move it away if it is another topic's"
        )
    return deployment_chain(by_jobs(book.deployments))


def _index_facts(
    store: ObjectStore, topic: str, request: StartRequest, *, resumes: bool
) -> tuple[Mapping[int, int], frozenset[str]]:
    """Ends and writers of the index; a run that resumes its own state needs neither, and they cost a request a file."""
    if resumes and not request.skip_expired and not request.from_index_end:
        return {}, frozenset()
    return index_ends(store, topic) if store.exists() else ({}, frozenset())


def _unknown_to(point: RestorePoint | None, chain: tuple[Deployment, ...]) -> set[str]:
    """Writers of the newest deployments whose rows the restore point cannot know: restoring it would repeat them."""
    unknown: set[str] = set()
    for deployment in reversed(chain):
        if point is not None and deployment.writer == point.writer:
            break
        unknown.add(deployment.writer)
        if deployment.reason != "restored":
            break
    return unknown


def _starts(chain: tuple[Deployment, ...]) -> dict[int, int]:
    """Where the topic's reading began: per partition, the start of the newest deployment that began without state."""
    starts: dict[int, int] = {}
    for deployment in chain:
        starts.update(deployment.start_offsets)
    return starts


def _restored_starts(chain: tuple[Deployment, ...], logs: Mapping[int, OffsetRange]) -> dict[int, int]:
    starts = _starts(chain)
    return {partition: starts.get(partition, 0) for partition in logs}
