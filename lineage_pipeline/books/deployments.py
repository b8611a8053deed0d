"""Deployment records in an object store: one small JSON object per start of a writer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lineage_pipeline.books.object_store import ObjectStore, read_many
from lineage_pipeline.core.deployment import (
    FOLDER,
    Deployment,
    Isolation,
    by_jobs,
    deployment_key,
    in_order,
    parse_deployment,
)
from lineage_pipeline.errors import IndexFileError, StoreError


@dataclass(frozen=True)
class DeploymentBook:
    """Readable records of one topic, oldest first (see `in_order`), and a sentence for each that was refused."""

    deployments: tuple[Deployment, ...]
    problems: tuple[str, ...]

    @property
    def latest(self) -> Deployment | None:
        """The newest record; None when there is none."""
        return self.deployments[-1] if self.deployments else None


def read_deployments(store: ObjectStore, topic: str) -> DeploymentBook:
    """The records of `topic` below the offset index root `store`; records of other topics are left out.

    A record that cannot be read or parsed becomes a problem: whose it is cannot be known. Raises StoreError when they
    cannot be listed.
    """
    taken = {info.key: info.last_modified for info in store.list(FOLDER) if info.key.endswith(".json")}
    found: list[Deployment] = []
    problems: list[str] = []
    for key, content in read_many(store, sorted(taken)):
        if isinstance(content, StoreError):
            problems.append(f"deployment record {key} could not be read: {content}")
            continue
        try:
            deployment = parse_deployment(key, content.decode("utf-8", errors="replace"))
        except IndexFileError as error:
            problems.append(str(error))
            continue
        if deployment.topic == topic:
            found.append(replace(deployment, stored_at=taken[key]))
    return DeploymentBook(in_order(found), tuple(problems))


def writer_isolation(store: ObjectStore, topic: str, otherwise: Isolation) -> Isolation:
    """The isolation level of the job's newest start, or `otherwise` without a record. Raises StoreError."""
    jobs = by_jobs(read_deployments(store, topic).deployments) if store.exists() else ()
    return jobs[-1].isolation if jobs else otherwise


def write_deployment(store: ObjectStore, deployment: Deployment) -> str:
    """Store the record, whole or not at all, and return its key. Raises StoreError."""
    key = deployment_key(deployment.writer)
    store.put(key, deployment.to_json().encode())
    return key
