"""Checkpoint metadata: a real savepoint of our own job, every kind of state by hand, and damage of every kind."""

from __future__ import annotations

import contextlib
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.flink_metadata import SourcePosition, StateFile, kafka_positions, parse_metadata
from lineage_pipeline.errors import CheckpointError
from tests.checkpoint_files import (
    KEYED,
    MAGIC,
    checkpoint_of,
    in_file,
    inline,
    metadata,
    operator,
    operator_state,
    splits,
    subtask,
)

REAL = (Path(__file__).parents[1] / "golden" / "savepoint" / "_metadata").read_bytes()
POSITIONS = {("orders", 0): 120, ("orders", 1): 0, ("orders", 7): 2**62, ("clicks", 0): -3}


def positions(data: bytes) -> dict[tuple[str, int], int]:
    found: list[SourcePosition] = []
    for reader in parse_metadata(data).readers:
        assert isinstance(reader.state, bytes)
        found += kafka_positions(reader.state, reader.offsets)
    return {(one.topic, one.partition): one.offset for one in found}


def test_a_real_savepoint_of_the_job_gives_its_positions() -> None:
    found = parse_metadata(REAL)
    assert (found.checkpoint_id, len(found.operators)) == (10, 20)
    assert found.readers[0].operator.startswith("Source: KafkaSource")
    assert positions(REAL) == {("lineage-input", partition): 22_000 for partition in range(10)}


@pytest.mark.parametrize("keyed", KEYED.values(), ids=KEYED)
@pytest.mark.parametrize("version", [3, 4, 5, 6, 7])
def test_every_format_and_every_kind_of_state_is_walked_through(version: int, keyed: bytes) -> None:
    assert positions(checkpoint_of(POSITIONS, version, keyed)) == POSITIONS


@pytest.mark.parametrize("relative", [True, False])
def test_a_state_in_a_file_of_its_own_is_named(relative: bool) -> None:
    state = operator_state("SourceReaderState", in_file("name", relative=relative), [1, 2])
    (reader,) = parse_metadata(metadata([operator("source", [subtask(state)])])).readers
    assert (reader.state, reader.offsets) == (StateFile("name"), (1, 2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut off"),
        (b"PAR1 and more", "not Flink checkpoint metadata"),
        (pack(">Iiq", MAGIC, 2, 1), "format 2"),
        (pack(">Iiq", MAGIC, 8, 1), "format 8"),
        (pack(">Iiqi", MAGIC, 6, 1, -1), "announced where they cannot be"),
        (pack(">IiqiI", MAGIC, 6, 1, 1, 5), "hooks are damaged"),
        (metadata([operator("x", [subtask(None, in_flight=1)])]), "records in flight"),
        (metadata([operator("x", [subtask(b"\x09")])]), "operator state of kind 9"),
        (metadata([operator("x", [subtask(None, b"\x63")])]), "keyed state of kind 99"),
        (metadata([operator("x", [], coordinator=b"\x0f")]), "state of kind 15"),
        (metadata([operator("x", [subtask(None, b"\x0e" + pack(">iiqi", 0, 1, 1, 1)) * 40])]), "not read here|cut off"),
    ],
)
def test_what_is_no_metadata_or_not_known_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        parse_metadata(data)


def test_changelogs_within_changelogs_end() -> None:
    nested = (b"\x0e" + pack(">iiqi", 0, 1, 1, 1)) * 5_000
    with pytest.raises(CheckpointError, match="kind 14, which is not read here"):
        parse_metadata(metadata([operator("x", [subtask(None, nested)])]))


@pytest.mark.parametrize(
    ("state", "offsets"),
    [
        (splits({("t", 0): 1}, version=1)[0], [24]),
        (splits({("t", -1): 1})[0], [24]),
        (splits({("t", 0): -4})[0], [24]),
        (splits({("t", 0): 1})[0], [23]),
        (splits({("t", 0): 1})[0], [-1]),
        (splits({("t", 0): 1})[0], [2**40]),
        (b"", [0]),
    ],
)
def test_splits_of_another_connector_are_refused(state: bytes, offsets: list[int]) -> None:
    with pytest.raises(CheckpointError):
        kafka_positions(state, tuple(offsets))


def test_metadata_cut_off_anywhere_before_its_last_operator_ends_is_refused() -> None:
    whole = metadata([operator("s", [subtask(operator_state("SourceReaderState", inline(b"abc"), [0]))])])
    whole = whole.removesuffix(b"serialized properties")
    parse_metadata(whole)
    for size in range(len(whole)):
        with pytest.raises(CheckpointError):
            parse_metadata(whole[:size])


@given(st.data())
def test_damage_is_refused_or_read_and_never_anything_else(data: st.DataObject) -> None:
    damaged = bytearray(checkpoint_of(POSITIONS, keyed=KEYED["changelog"]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError, AssertionError):
        positions(bytes(damaged))
