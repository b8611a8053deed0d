"""`lineage checkpoint`: positions of a checkpoint, and what restoring it would do to the lake beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage
from lineage_pipeline.errors import CheckpointError, LineageError
from tests.books.index_files import day, parquet, put
from tests.books.index_files import run as row
from tests.checkpoint_files import (
    Positions,
    checkpoint_of,
    in_file,
    metadata,
    operator,
    operator_state,
    put_checkpoint,
    splits,
    subtask,
)

GOLDEN = Path(__file__).parent / "golden" / "savepoint"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An index of two partitions; in partition 1 the offsets 5 to 7 are lost."""
    put(tmp_path / "offset-index", day("orders", "a"), parquet([row(0, 0, 10), row(0, 10, 30), row(1, 0, 5)]))
    put(tmp_path / "offset-index", day("orders", "b"), parquet([row(1, 8, 20)]))
    (tmp_path / "lineage.yaml").write_text(f"lake: {tmp_path}\ntopics: [{{name: orders}}]\n", encoding="utf-8")
    return tmp_path


def checkpoint(lake: Path, path: str | Path, *options: str) -> Result:
    return CliRunner().invoke(lineage, ["checkpoint", str(path), *options, "--config", str(lake / "lineage.yaml")])


def told(lake: Path, positions: Positions) -> tuple[int, Any]:
    done = checkpoint(lake, put_checkpoint(lake / "chk-7", checkpoint_of(positions)), "--json")
    return done.exit_code, json.loads(done.stdout)


def failed(lake: Path, path: str | Path) -> str:
    done = checkpoint(lake, path)
    assert isinstance(done.exception, LineageError), done.output
    assert done.exception.exit_code == 4
    return str(done.exception)


def test_a_position_at_the_end_of_a_whole_index_is_exact(lake: Path) -> None:
    put(lake / "offset-index", day("orders", "c"), parquet([row(1, 5, 8)]))
    code, found = told(lake, {("orders", 0): 30, ("orders", 1): 20})
    assert (code, found["exact"], found["checkpoint_id"], found["format"]) == (0, True, 7, "lineage-checkpoint/1")
    assert [(one["position"], one["index_end"]) for one in found["topics"][0]["partitions"]] == [(30, 30), (20, 20)]


def test_what_would_be_repeated_and_skipped_is_told_range_by_range(lake: Path) -> None:
    code, found = told(lake, {("orders", 0): 25, ("orders", 1): 20})
    first, second = found["topics"][0]["partitions"]
    assert code == 1
    assert (first["repeats"], first["skips"]) == ([{"start": 25, "end": 30}], [])
    assert second["repeats"] == []
    assert [(one["start"], one["end"], one["class"]) for one in second["skips"]] == [(5, 8, "missing")]
    shown = checkpoint(lake, lake / "chk-7").output
    assert "orders: restoring it writes 5 records once more and skips 3" in shown
    assert "partition 0: offsets 25 to 29 are in the index, and would be written once more" in shown
    assert "partition 1: offsets 5 to 7 would not be read: missing (unresolved)" in shown


def test_a_position_behind_the_index_cannot_be_told(lake: Path) -> None:
    put(lake / "offset-index", day("orders", "c"), parquet([row(1, 5, 8)]))
    code, found = told(lake, {("orders", 0): 33, ("orders", 1): 20})
    assert code == 3
    assert [(one["start"], one["end"]) for one in found["topics"][0]["partitions"][0]["skips"]] == [(30, 33)]


def test_a_partition_that_only_the_index_knows_is_told_too(lake: Path) -> None:
    _, found = told(lake, {("orders", 0): 30})
    assert found["topics"][0]["partitions"][1]["position"] is None
    assert found["topics"][0]["partitions"][1]["repeats"] == [{"start": 0, "end": 5}, {"start": 8, "end": 20}]


def test_a_topic_that_is_not_configured_cannot_be_told(lake: Path) -> None:
    done = checkpoint(lake, GOLDEN)
    assert done.exit_code == 3
    assert "lineage-input: what restoring it would repeat or skip cannot be told" in done.output
    assert "22000" in done.output
    assert "set KAFKA_TOPIC" in done.output


def test_an_index_that_cannot_be_read_is_never_exact(lake: Path) -> None:
    put(lake / "offset-index", day("orders", "c"), b"no parquet")
    put(lake / "offset-index", day("orders", "d"), parquet([row(1, 5, 8)]))
    assert told(lake, {("orders", 0): 30, ("orders", 1): 20})[0] == 3
    shutil.rmtree(lake / "offset-index")
    assert told(lake, {("orders", 0): 0, ("orders", 1): 0})[0] == 3


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/_metadata", "file://{}"])
def test_the_path_may_be_written_as_people_do(lake: Path, spelling: str) -> None:
    put_checkpoint(lake / "chk-7", checkpoint_of({("orders", 0): 30}))
    assert checkpoint(lake, spelling.format(lake / "chk-7")).exit_code == 1


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("scheme", ["file:", "file://", ""])
def test_a_state_in_a_file_of_its_own_is_found_also_after_a_move(lake: Path, scheme: str, moved: bool) -> None:
    state, offsets = splits({("orders", 0): 30, ("orders", 1): 20})
    elsewhere = put(lake, "states/5a59d937", state)
    reader = subtask(operator_state("SourceReaderState", in_file(f"{scheme}{elsewhere}"), offsets))
    path = put_checkpoint(lake / "chk-9", metadata([operator("Source: kafka", [reader])]))
    if moved:
        elsewhere.rename(path / elsewhere.name)
    assert checkpoint(lake, path, "--json").exit_code == 1
    (path if moved else lake / "states").joinpath("5a59d937").unlink()
    assert "5a59d937 cannot be read" in failed(lake, path)


def test_what_is_no_checkpoint_is_one_sentence(lake: Path) -> None:
    assert "nowhere/_metadata cannot be read (No such file or directory): check the path" in failed(
        lake, lake / "nowhere"
    )
    put_checkpoint(lake / "jobs" / "chk-1", checkpoint_of({("orders", 0): 30}))
    assert "is no checkpoint itself" in failed(lake, lake / "jobs")
    assert "name one, such as" in failed(lake, lake / "jobs")
    torn = put_checkpoint(lake / "torn", (GOLDEN / "_metadata").read_bytes()[:900])
    assert f"{torn} cannot be read as a Flink checkpoint: it is cut off" in failed(lake, torn)
    other = put_checkpoint(lake / "other", metadata([operator("Source: files", [subtask(None)])]))
    assert "holds no position of a Kafka source (operators: Source: files, ...)" in failed(lake, other)
    twice = metadata([operator("a", [subtask(_reader())]), operator("b", [subtask(_reader())])])
    with pytest.raises(CheckpointError, match="has a partition twice"):
        raise checkpoint(lake, put_checkpoint(lake / "twice", twice)).exception or AssertionError


def _reader() -> bytes:
    state, offsets = splits({("orders", 0): 30})
    return operator_state("SourceReaderState", b"\x01\x00\x00" + len(state).to_bytes(4, "big") + state, offsets)
