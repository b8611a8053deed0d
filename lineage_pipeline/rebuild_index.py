"""Use case: index rows for what the lake holds and the index does not: of an index that was lost, or that never was.

The index is read first and the lake after it, so that a row that comes in between is never written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lineage_pipeline.audit_topic import AuditRequest, Clock, gather
from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, has_index, list_index, topic_of
from lineage_pipeline.books.table_files import index_bytes
from lineage_pipeline.core.deployment import topic_now
from lineage_pipeline.core.evidence import AuditEvidence, IndexEvidence
from lineage_pipeline.core.index_rebuild import WRITER, Rebuild, RebuildRules, RebuiltFile, rebuild
from lineage_pipeline.core.lake_evidence import lake_evidence
from lineage_pipeline.errors import StoreError
from lineage_pipeline.remembering import Remembering

FORMAT = "lineage-index-rebuild/1"


@dataclass(frozen=True)
class RebuildPlan:
    """What would be written, and what keeps it from being all. `files`: how many objects the lake has."""

    topic: str
    root: str
    rebuild: Rebuild
    problems: tuple[str, ...]
    files: int
    tail: bool

    @property
    def exit_code(self) -> int:
        """0 unless something could not be looked at: then 3."""
        return 3 if self.problems else 0

    def key(self, file: RebuiltFile) -> str:
        """Where an index file goes."""
        own = topic_of(self.root) == self.topic
        return f"{'' if own else f'{TOPIC_DIRECTORY}{self.topic}/'}dt={file.day}/{file.name}"

    def to_json(self, *, executed: bool) -> dict[str, Any]:
        """The object that `lineage index rebuild --json` prints."""
        return {
            "format": FORMAT,
            "topic": self.topic,
            "executed": executed,
            "objects": self.files,
            "files": [
                {"key": self.key(one), "rows": len(one.rows), "records": one.records} for one in self.rebuild.files
            ],
            "left": [
                {"partition": partition, "start": one.start, "end": one.end, "why": why}
                for why, ranges in (("young", self.rebuild.young), ("behind-the-index", self.rebuild.behind))
                for partition in sorted(ranges)
                for one in ranges[partition]
            ],
            "problems": list(self.problems),
        }


def plan_rebuild(request: AuditRequest, now: Clock, *, tail: bool = False) -> RebuildPlan:
    """What the index lacks of what the lake holds; `request` has a lake book. Nothing is written but the manifest.

    Raises StoreError when index or lake cannot be listed.
    """
    assert request.lake is not None
    evidence = _index(request, now)
    reading = request.lake.read_whole(now)
    if reading.status != "read":
        raise StoreError(reading.problems[0])
    memory = evidence.memory
    if memory.lake_since is None:  # no audit has asked the broker since the topic was created anew, or nobody remembers
        memory = replace(memory, lake_since=topic_now(evidence.index.deployments).since)
    lake = lake_evidence(reading, evidence.index.coverage, memory)
    if evidence.index.status != "read":
        raise StoreError(evidence.index.problems[0])
    index = evidence.index
    foreign = not (index.deployments or index.problems or _rows_of_a_job(request))
    rules = RebuildRules(
        before=evidence.audited_at.timestamp() - request.rules.settle,
        tail=tail or foreign,
        since=memory.lake_since,
        replayed=reading.claimed(memory.lake_since),
    )
    unknown = tuple(
        f"nothing is written, since whose the files are is not known: {one}" for one in index.deployment_problems
    )
    found = Rebuild() if unknown else rebuild(reading.manifest, evidence.index.coverage, rules)
    problems = (*unknown, *evidence.index.problems, *lake.problems)
    never = tuple(text for table, text in reading.never_seen if table == "data")
    files = len(reading.manifest.present())
    own = tuple(dict.fromkeys((*problems, *never)))
    return RebuildPlan(request.index.topic, request.index.store.uri, found, own, files, rules.tail)


def write_rebuild(request: AuditRequest, plan: RebuildPlan, tell: Callable[[int], None] = lambda _: None) -> None:
    """Write the plan's files, one by one; a second run after a crash writes what is left. Raises StoreError."""
    for one in plan.rebuild.files:
        request.index.store.put(plan.key(one), index_bytes(one.rows))
        tell(one.records)


def _index(request: AuditRequest, now: Clock) -> AuditEvidence:
    """The index as it is, by the memory of earlier audits; an index that is not there is empty."""
    if not has_index(request.index.store):
        return AuditEvidence(request.index.topic, now(), IndexEvidence("read"), rules=request.rules)
    alone = replace(request, lake=None, broker=None, reader=None)
    if request.plan is None:
        return gather(alone, now)
    plan = replace(request.plan, full=True, store=False)
    return gather(alone, now, remembering=Remembering(plan, request.index, request.rules), closed_days=True)


def _rows_of_a_job(request: AuditRequest) -> bool:
    """Whether there are or were index files that no rebuild wrote: a job may still commit rows for what it read."""
    files = list_index(request.index).files if has_index(request.index.store) else ()
    if files:
        return not all(one.key.rpartition("/")[2].startswith(f"{WRITER}-") for one in files)
    if request.plan is None:
        return False
    stored = request.plan.state.read()
    return bool(stored.problems or stored.state.index_ends or stored.state.writers)
