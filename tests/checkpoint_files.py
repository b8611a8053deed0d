"""Metadata of Flink checkpoints for tests, written byte by byte as Flink's own serializers document it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import pack

MAGIC = 0x4960672D
Positions = Mapping[tuple[str, int], int]


def text(value: str) -> bytes:
    data = value.encode()
    return pack(">H", len(data)) + data


def inline(data: bytes) -> bytes:
    return b"\x01" + text("handle") + pack(">i", len(data)) + data


def in_file(path: str, *, relative: bool = False) -> bytes:
    return b"\x06" + text(path) + pack(">q", 5) if relative else b"\x02" + pack(">q", 5) + text(path)


def splits(positions: Positions, *, version: int = 0) -> tuple[bytes, list[int]]:
    """A reader's state, and where each split begins in it."""
    state, offsets = b"some header of the state", []
    for (topic, partition), offset in positions.items():
        split = text(topic) + pack(">iqq", partition, offset, -(2**63))
        element = pack(">ii", version, len(split)) + split
        offsets.append(len(state))
        state += pack(">i", len(element)) + element
    return state, offsets


def operator_state(name: str, handle: bytes, offsets: Sequence[int]) -> bytes:
    others = text("other-state") + b"\x01" + pack(">iq", 1, 7)
    state = text(name) + b"\x00" + pack(f">i{len(offsets)}q", len(offsets), *offsets)
    return b"\x04" + pack(">i", 2) + others + state + handle


def key_groups(kind: int, handle: bytes) -> bytes:
    return pack(">B", kind) + pack(">iiqq", 0, 2, 10, 20) + handle + (text("id") if kind == 12 else b"")


KEYED = {
    "none": b"\x00",
    "heap": key_groups(12, inline(b"state")),
    "heap of before": key_groups(3, in_file("/a/b")),
    "savepoint": key_groups(7, in_file("b", relative=True)),
    "rocksdb": b"\x0b" + pack(">q", 3) + text("backend") + pack(">iiq", 0, 2, 99) + inline(b"meta")
    + pack(">i", 1) + text("000.sst") + in_file("/shared/000.sst") + pack(">i", 0) + text("id"),
    "rocksdb of before": b"\x05" + pack(">q", 3) + text("backend") + pack(">ii", 0, 2) + b"\x00" + pack(">ii", 0, 0),
    "changelog": b"\x0e" + pack(">iiqi", 0, 2, 9, 1) + key_groups(12, inline(b"x")) + pack(">i", 2)
    + b"\x09" + pack(">iiqqi", 0, 2, 1, 2, 1) + pack(">ii", 1, 3) + b"abc" + text("id")
    + b"\x0d" + pack(">iii", 0, 2, 1) + pack(">q", 4) + in_file("/log") + pack(">qq", 1, 1) + text("id")
    + text("filesystem")
    + pack(">qq", 5, 6) + text("id"),
}  # fmt: skip


def subtask(state: bytes | None, keyed: bytes = b"\x00", version: int = 6, in_flight: int = 0) -> bytes:
    """One subtask with an operator state, a raw one and keyed states."""
    managed = pack(">i", 0) if state is None else pack(">i", 1) + state
    reference = (b"\x01" + pack(">q", 3)) if version >= 7 else b""
    return managed + pack(">i", 1) + b"\x00" + keyed + b"\x00" + pack(">ii", in_flight, 0) + reference


def operator(name: str, subtasks: Sequence[bytes], version: int = 6, coordinator: bytes = b"\x00") -> bytes:
    """One operator; the last of its subtasks has finished."""
    named = text(name) + text("") if version >= 5 else b""
    listed = b"".join(pack(">i", index) + one for index, one in enumerate(subtasks))
    finished = pack(">i", -(len(subtasks) + 1))
    count = pack(">i", len(subtasks) + 1)
    return named + pack(">qqii", 1, 2, 4, 128) + coordinator + count + listed + finished


def metadata(operators: Sequence[bytes], version: int = 6, checkpoint_id: int = 7) -> bytes:
    hook = text("hook") + pack(">ii", 1, 2) + b"ab"
    hooks = pack(">iIi", 1, 0xC96B1696, len(hook)) + hook
    head = pack(">Iiq", MAGIC, version, checkpoint_id)
    return head + hooks + pack(">i", len(operators)) + b"".join(operators) + b"serialized properties"


def checkpoint_of(positions: Positions, version: int = 6, keyed: bytes = b"\x00") -> bytes:
    """A checkpoint whose source has two readers, each with a part of the positions."""
    listed = list(positions.items())
    readers = []
    for part in (listed[::2], listed[1::2]):
        state, offsets = splits(dict(part))
        readers.append(subtask(operator_state("SourceReaderState", inline(state), offsets), version=version))
    return metadata(
        [
            operator("calc", [subtask(None, keyed, version)], version),
            operator("Source: kafka", readers, version, inline(b"enumerator")),
            operator("sink", [subtask(operator_state("bucket-states", in_file("/x"), [3]), keyed, version)], version),
            _finished(version),
        ],
        version,
    )


def _finished(version: int) -> bytes:
    named = text("done") + text("") if version >= 5 else b""
    return named + pack(">qqii", 1, 2, 4, 128) + b"\x00" + pack(">i", -1)


def put_checkpoint(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_metadata").write_bytes(content)
    return folder
