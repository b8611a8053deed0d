"""Completed checkpoints and savepoints of a topic's deployments, and the note that a run was stopped cleanly.

Layout below CHECKPOINT_PATH: `<topic>/<writer>/checkpoints/<job id>/chk-N/_metadata`,
`<topic>/<writer>/savepoints/savepoint-*/_metadata`, `<topic>/<writer>/_stopped.json`, `<topic>/plans/<hash>.json`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.core.deployment import Deployment
from lineage_pipeline.core.job_start import RestorePoint
from lineage_pipeline.errors import JobError

# Header of Flink's checkpoint metadata: magic, format version, checkpoint id (MetadataV2V3SerializerBase).
_HEADER = struct.Struct(">iiq")
_MAGIC = 0x4960672D


def writer_root(topic: str, writer: str) -> str:
    """Key prefix of everything one deployment leaves below CHECKPOINT_PATH."""
    return f"{topic}/{writer}"


def newest_restore_point(store: ObjectStore, topic: str, history: Sequence[Deployment]) -> RestorePoint | None:
    """The completed checkpoint or savepoint with the highest id that continues the newest deployment.

    `history` is oldest first. A deployment that completed none but was itself restored hands over to the one it came
    from; one that began without state does not: whatever is older describes positions before its start.

    Raises StoreError when the listing fails and JobError when a metadata file is not Flink's.
    """
    for deployment in reversed(history):
        point = _newest_of(store, topic, deployment)
        if point is not None or deployment.reason != "restored":
            return point
    return None


def note_stopped(store: ObjectStore, topic: str, writer: str, savepoint: str) -> None:
    """Record that `writer` FINISHED with `savepoint`: its files are committed, the index's end is exact."""
    note = {"format": "lineage-stopped/1", "savepoint": savepoint}
    store.put(f"{writer_root(topic, writer)}/_stopped.json", json.dumps(note).encode())


def has_checkpoint(store: ObjectStore, topic: str, writer: str) -> bool:
    """Whether `writer` has completed a checkpoint of its own."""
    keys = (info.key for info in store.list(f"{writer_root(topic, writer)}/checkpoints", hidden=True))
    return any(key.endswith("/_metadata") for key in keys)


def _newest_of(store: ObjectStore, topic: str, deployment: Deployment) -> RestorePoint | None:
    root = writer_root(topic, deployment.writer)
    if not store.exists():
        return None
    keys = [info.key for info in store.list(root, hidden=True)]
    found = [(_checkpoint_id(store, key), key) for key in keys if key.endswith("/_metadata")]
    if not found:
        return None
    checkpoint_id, key = max(found)
    directory = key.removesuffix("/_metadata")
    stopped = f"{root}/_stopped.json"
    # The note counts only for the savepoint it names: anything newer was written by a run that went on.
    clean = stopped in keys and _stopped_with(store, stopped).rstrip("/").endswith(directory)
    return RestorePoint(directory, checkpoint_id, deployment.writer, deployment.plan_hash, clean)


def _stopped_with(store: ObjectStore, key: str) -> str:
    try:
        return str(json.loads(store.get(key))["savepoint"])
    except (ValueError, KeyError, TypeError):
        return ""  # an unreadable note is no proof of a clean stop


def _checkpoint_id(store: ObjectStore, key: str) -> int:
    data = store.get(key)
    try:
        magic, _, checkpoint_id = _HEADER.unpack_from(data)
    except struct.error:
        magic, checkpoint_id = 0, 0
    if magic != _MAGIC or checkpoint_id < 1:
        raise JobError(f"{store.uri}/{key} is not Flink checkpoint metadata: remove that directory if it is a leftover")
    return int(checkpoint_id)
