"""Pure: the metadata of a Flink checkpoint or savepoint, read as far as the positions of Kafka sources need it.

Formats 3 (Flink 1.11) to 7. All of a file is walked through, since nothing in it says where an operator begins; of the
states only those that source readers keep are given back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lineage_pipeline.core.big_endian import BigEndian
from lineage_pipeline.errors import CheckpointError

MAGIC: Final = 0x4960672D
READER_STATE: Final = "SourceReaderState"  # what Flink calls the splits of a source's readers
_VERSIONS: Final = range(3, 8)
_NAMED, _REFERRED = 5, 7  # from these formats on operators have names, subtasks a reference
_MASTER: Final = 0xC96B1696
_DEEPEST: Final = 4  # a changelog holds key groups, never another changelog
# kinds of state handles, as Flink numbers them
_NULL, _BYTES, _FILE, _KEY_GROUPS, _PARTITIONABLE = 0, 1, 2, 3, 4
_INCREMENTAL, _RELATIVE, _SAVEPOINT_KEY_GROUPS = 5, 6, 7
_CHANGELOG, _CHANGELOG_BYTES, _CHANGELOG_FILES = 8, 9, 10
_INCREMENTAL_V2, _KEY_GROUPS_V2, _CHANGELOG_FILES_V2, _CHANGELOG_V2 = 11, 12, 13, 14
# sentinels of KafkaPartitionSplit: where a reader will begin that has read nothing yet
EARLIEST, LATEST, COMMITTED = -2, -1, -3


@dataclass(frozen=True)
class StateFile:
    """A state that is in a file of its own: the path as Flink wrote it, or relative to the checkpoint."""

    path: str


@dataclass(frozen=True)
class ReaderState:
    """The splits of one source reader: where each begins in the state's bytes."""

    operator: str
    offsets: tuple[int, ...]
    state: bytes | StateFile


@dataclass(frozen=True)
class CheckpointMetadata:
    """What a checkpoint holds: its id, the names of its operators (empty before Flink 2), the states of readers."""

    checkpoint_id: int
    operators: tuple[str, ...]
    readers: tuple[ReaderState, ...]


@dataclass(frozen=True, order=True)
class SourcePosition:
    """The offset that a source reads next; below 0 one of EARLIEST, LATEST and COMMITTED."""

    topic: str
    partition: int
    offset: int


def parse_metadata(data: bytes) -> CheckpointMetadata:
    """The metadata. Raises CheckpointError for anything else, and for states of a kind that is not known here."""
    found = BigEndian(data)
    if found.u32() != MAGIC:
        raise CheckpointError("it is not Flink checkpoint metadata")
    version = found.i32()
    if version not in _VERSIONS:
        raise CheckpointError(f"it has metadata format {version}, and 3 to 7 are read here")
    checkpoint_id = found.i64()
    for _ in range(found.count()):
        if found.u32() != _MASTER:
            raise CheckpointError("its states of hooks are damaged")
        found.skip(found.count())
    walk = _Walk(found, version)
    for _ in range(found.count()):
        walk.operator()
    return CheckpointMetadata(checkpoint_id, tuple(walk.operators), tuple(walk.readers))


def kafka_positions(state: bytes, offsets: tuple[int, ...]) -> list[SourcePosition]:
    """The positions in a reader's state. Raises CheckpointError when its splits are none of the Kafka connector."""
    found = []
    for offset in offsets:
        whole = BigEndian(state)
        whole.skip(offset)
        split = BigEndian(whole.take(whole.count()))
        version = split.i32()
        payload = BigEndian(split.take(split.count()))
        if version != 0 or split.left:
            raise CheckpointError(f"a source has splits of version {version}, and those of Kafka have 0")
        topic, partition, position = payload.text(), payload.i32(), payload.i64()
        payload.i64()  # where a bounded read would stop
        if payload.left or partition < 0 or position < COMMITTED:
            raise CheckpointError("a source has splits that are not those of the Kafka connector")
        found.append(SourcePosition(topic, partition, position))
    return found


class _Walk:
    """Walks over operators and their states, each as long as its kind says."""

    def __init__(self, found: BigEndian, version: int) -> None:
        self._found = found
        self._version = version
        self.operators: list[str] = []
        self.readers: list[ReaderState] = []

    def operator(self) -> None:
        found = self._found
        name = ""
        if self._version >= _NAMED:
            name = found.text()
            found.text()  # the uid
        if name:
            self.operators.append(name)
        found.skip(16 + 8)  # the id, parallelism, maximal parallelism
        self._stream()  # the coordinator's
        for _ in range(max(0, found.i32())):  # -1: all of it has finished
            if found.i32() >= 0:  # below: this subtask has finished
                self._subtask(name)

    def _subtask(self, name: str) -> None:
        found = self._found
        if found.i32():
            self._operator_state(name)
        if found.i32():
            self._operator_state("")  # raw
        self._keyed(0)
        self._keyed(0)  # raw
        if found.i32() or found.i32():
            raise CheckpointError("it holds records in flight (an unaligned checkpoint), which are not read here")
        if self._version >= _REFERRED and found.u8():
            found.i64()

    def _operator_state(self, name: str) -> None:
        found = self._found
        kind = found.u8()
        if kind == _NULL:
            return
        if kind != _PARTITIONABLE:
            raise CheckpointError(f"it has an operator state of kind {kind}, which is not read here")
        reader: tuple[int, ...] | None = None
        for _ in range(found.count()):
            state = found.text()
            found.u8()  # how it is distributed
            offsets = tuple(found.i64() for _ in range(found.count(8)))
            reader = offsets if state == READER_STATE else reader
        content = self._stream()
        if reader and content is not None:
            self.readers.append(ReaderState(name, reader, content))

    def _stream(self) -> bytes | StateFile | None:
        found = self._found
        kind = found.u8()
        if kind == _NULL:
            return None
        if kind == _BYTES:
            found.text()
            return found.take(found.count())
        if kind == _FILE:
            found.i64()
            return StateFile(found.text())
        if kind == _RELATIVE:
            path = found.text()
            found.i64()
            return StateFile(path)
        if kind == _KEY_GROUPS:
            self._key_groups()
            return self._stream()
        raise CheckpointError(f"it has a state of kind {kind}, which is not read here")

    def _key_groups(self) -> None:
        self._found.i32()
        self._found.skip(8 * self._found.count(8))

    def _keyed(self, depth: int) -> None:
        kind = self._found.u8()
        if kind == _NULL:
            return
        walks: dict[int, Callable[[], None]] = {
            _KEY_GROUPS: self._grouped,
            _SAVEPOINT_KEY_GROUPS: self._grouped,
            _KEY_GROUPS_V2: lambda: self._named(self._grouped),
            _INCREMENTAL: lambda: self._incremental(sized=False),
            _INCREMENTAL_V2: lambda: self._named(lambda: self._incremental(sized=True)),
            _CHANGELOG: lambda: self._named(lambda: self._changelog(depth, ids=1)),
            _CHANGELOG_V2: lambda: self._named(lambda: self._changelog(depth, ids=2)),
            _CHANGELOG_BYTES: lambda: self._named(self._changes),
            _CHANGELOG_FILES: lambda: self._named(self._change_files),
            _CHANGELOG_FILES_V2: lambda: self._named(lambda: self._named(self._change_files)),
        }
        if kind not in walks or depth > _DEEPEST:
            raise CheckpointError(f"it has a keyed state of kind {kind}, which is not read here")
        walks[kind]()

    def _named(self, walk: Callable[[], None]) -> None:
        """A state with a text behind it: the id of its handle, the name of its storage."""
        walk()
        self._found.text()

    def _grouped(self) -> None:
        self._key_groups()
        self._stream()

    def _incremental(self, *, sized: bool) -> None:
        found = self._found
        found.i64()
        found.text()
        found.skip(16 if sized else 8)  # the range of key groups, and the size
        self._stream()
        for _ in range(2):  # shared and private files
            for _ in range(found.count()):
                found.text()
                self._stream()

    def _changelog(self, depth: int, *, ids: int) -> None:
        found = self._found
        found.skip(16)
        for _ in range(2):  # materialised, and not
            for _ in range(found.count()):
                self._keyed(depth + 1)
        found.skip(8 * ids)

    def _changes(self) -> None:
        found = self._found
        found.skip(24)
        for _ in range(found.count()):
            found.i32()
            found.skip(found.count())

    def _change_files(self) -> None:
        found = self._found
        found.skip(8)
        for _ in range(found.count()):
            found.i64()
            self._stream()
        found.skip(16)
