"""The positions of Kafka sources in a checkpoint or savepoint, wherever it lies: a directory, or its `_metadata`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pydantic import SecretStr

from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.core.flink_metadata import ReaderState, SourcePosition, StateFile, kafka_positions, parse_metadata
from lineage_pipeline.errors import CheckpointError, StoreError

METADATA = "_metadata"
_TOLD = 5


@dataclass(frozen=True)
class SourcePositions:
    """What a checkpoint says of the records that were read: its id, and a position for each partition, sorted."""

    uri: str
    checkpoint_id: int
    positions: tuple[SourcePosition, ...]


def read_positions(path: str, aws: Mapping[str, SecretStr]) -> SourcePositions:
    """The positions in the checkpoint at `path`; nothing is restored, and no Flink is started.

    Raises StoreError when there is none, or a file of it cannot be read, and CheckpointError when it is damaged, of a
    kind that is not read here, or without a Kafka source.
    """
    uri = _directory(path)
    store = open_store(uri, aws)
    try:
        metadata = parse_metadata(_metadata(store))
        found = [
            position
            for reader in metadata.readers
            for position in kafka_positions(_content(store, reader, aws), reader.offsets)
        ]
    except CheckpointError as error:
        raise CheckpointError(f"{uri} cannot be read as a Flink checkpoint: {error}") from None
    if not found:
        among = f" (operators: {', '.join(metadata.operators[:_TOLD])}, ...)" if metadata.operators else ""
        raise CheckpointError(
            f"{uri} holds no position of a Kafka source{among}: it is of another job, or read nothing"
        )
    if len({(one.topic, one.partition) for one in found}) < len(found):
        raise CheckpointError(f"{uri} has a partition twice: two sources read one topic, and are not told apart here")
    return SourcePositions(uri, metadata.checkpoint_id, tuple(sorted(found)))


def _directory(path: str) -> str:
    if path == METADATA:
        return "."
    return (path.removesuffix(f"/{METADATA}") or "/") if path.endswith(f"/{METADATA}") else path


def _metadata(store: ObjectStore) -> bytes:
    try:
        return store.get(METADATA)
    except StoreError as error:
        below = sorted(islice(_below(store), _TOLD))
        if not below:
            raise
        raise StoreError(
            f"{store.uri} is no checkpoint itself ({error}), but holds some: name one, such as {', '.join(below)}"
        ) from None


def _below(store: ObjectStore) -> Iterator[str]:
    try:
        if not store.exists():
            return
        for info in store.list(hidden=True):
            if info.key.endswith(f"/{METADATA}"):
                yield f"{store.uri.rstrip('/')}/{info.key.removesuffix(f'/{METADATA}')}"
    except StoreError:
        return  # what is said of the path itself stands


def _content(store: ObjectStore, reader: ReaderState, aws: Mapping[str, SecretStr]) -> bytes:
    if not isinstance(reader.state, StateFile):
        return reader.state
    # Beside the metadata first: names are unique, and the whole directory may have been moved.
    folder, _, name = reader.state.path.rpartition("/")
    try:
        return store.get(name)
    except StoreError:
        if not folder:
            raise
    return open_store(_with_slashes(folder), aws).get(name)


def _with_slashes(folder: str) -> str:
    """`file:/dir`, as Flink writes it, as everybody else does."""
    return f"file://{folder.removeprefix('file:')}" if folder.startswith("file:/") and "://" not in folder else folder
