"""Signs of life of the job that writes a topic: whether a hole may still be filled by files it holds back."""

from __future__ import annotations

from datetime import datetime, timezone

from lineage_pipeline.books.checkpoints import newest_restore_point, writer_root
from lineage_pipeline.books.deployments import read_deployments
from lineage_pipeline.books.index_store import IndexPath, list_index
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.core.deployment import Deployment, by_jobs
from lineage_pipeline.core.held_back import JobSigns
from lineage_pipeline.core.index_rebuild import WRITER
from lineage_pipeline.core.job_start import deployment_chain
from lineage_pipeline.core.repair_claim import WRITER_PREFIX
from lineage_pipeline.errors import LineageError

_NOT_THE_JOBS = (WRITER_PREFIX, f"{WRITER}-")  # beginnings of names of index files


def job_signs(index: IndexPath, checkpoints: ObjectStore, interval: float, *, told_gone: bool) -> JobSigns:
    """What index and checkpoints tell of the job. Never raises: what cannot be read is in `problem`.

    `interval`: seconds between checkpoints, where no deployment record says it. A writer without records, such as a job
    of another make, is judged by its newest index file.
    """
    try:
        book = read_deployments(index.store, index.topic)
        if book.problems:
            return JobSigns(told_gone=told_gone, problem=book.problems[0])
        chain = deployment_chain(by_jobs(book.deployments))
        if not chain:
            return JobSigns(alive_at=_newest_file(index), interval=interval, told_gone=told_gone)
        point = newest_restore_point(checkpoints, index.topic, chain) if checkpoints.exists() else None
        return JobSigns(
            finished=point is not None and point.clean,
            alive_at=_newest_checkpoint(checkpoints, index.topic, chain[-1]),
            interval=chain[-1].checkpoint_interval,
            told_gone=told_gone,
        )
    except LineageError as error:
        return JobSigns(told_gone=told_gone, problem=str(error))


def _newest_checkpoint(store: ObjectStore, topic: str, newest: Deployment) -> datetime | None:
    """When the newest start of the job completed its last checkpoint."""
    if not store.exists():
        return None
    listed = store.list(f"{writer_root(topic, newest.writer)}/checkpoints", hidden=True)
    return _moment(max((one.last_modified for one in listed if one.key.endswith("/_metadata")), default=None))


def _newest_file(index: IndexPath) -> datetime | None:
    """When the newest index file came that neither a repair nor a rebuild wrote."""
    files = list_index(index).files
    times = (one.last_modified for one in files if not one.key.rpartition("/")[2].startswith(_NOT_THE_JOBS))
    return _moment(max(times, default=None))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
