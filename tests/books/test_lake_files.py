"""One look at one object: its offsets, whatever the encoding; or why they are not known."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineage_pipeline.books.lake_files import look_at
from lineage_pipeline.books.lake_records import RecordFile
from lineage_pipeline.books.lake_rows import rows_within
from lineage_pipeline.books.object_store import ObjectInfo
from lineage_pipeline.books.ranged_file import TAIL
from lineage_pipeline.core.lake_layout import Columns, LakeLayout
from lineage_pipeline.core.lake_manifest import LakeObject, LookedAt
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from tests.books.lake_tables import data_file, span, written

TOPIC = "orders"


class OneObject:
    """A store that holds one object's bytes."""

    uri = "memory"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.requests: list[tuple[int, int]] = []
        self.threads: set[int] = set()

    def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:  # noqa: ARG002 - the port's
        self.requests.append((start, end))
        self.threads.add(threading.get_ident())
        return self.data[start:end]


def look(data: bytes, *, columns: Columns | None = None, every_page: bool = False) -> LookedAt:
    listed = LakeObject("data", "part-1", len(data), "tag", 0.0)
    layout = LakeLayout(TOPIC, columns=columns or Columns())
    return look_at(OneObject(data), listed, layout, 0.0, every_page=every_page).looked  # type: ignore[arg-type]


def held(looked: LookedAt) -> dict[int, list[str]]:
    return {partition: [str(one) for one in coverage.exact] for partition, coverage in looked.coverage.items()}


def table(offsets: Any, partitions: Any = None, **more: Any) -> pa.Table:
    given = pa.array([0] * len(offsets), pa.int32()) if partitions is None else partitions
    return pa.table({"kafka_partition": given, "kafka_offset": offsets, **more})


OFFSETS = [*range(5, 300), *range(400, 410)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (pa.int64(), {"use_dictionary": ["kafka_offset"]}),
        (pa.int64(), {"use_dictionary": False, "column_encoding": {"kafka_offset": "DELTA_BINARY_PACKED"}}),
        (pa.int64(), {"use_dictionary": False, "column_encoding": {"kafka_offset": "BYTE_STREAM_SPLIT"}}),
        (pa.int64(), {"data_page_version": "2.0", "compression": "snappy"}),
        (pa.uint64(), {}),
        (pa.uint32(), {"version": "1.0"}),
        (pa.int32(), {"row_group_size": 7, "compression": "gzip"}),
        (pa.uint16(), {"compression": "lz4"}),
        (pa.dictionary(pa.int8(), pa.int64()), {"row_group_size": 50}),
    ],
)
def test_offsets_are_read_whatever_their_type_and_encoding(kind: pa.DataType, options: dict[str, Any]) -> None:
    if pa.types.is_dictionary(kind):
        offsets = pa.chunked_array([pa.array(OFFSETS[at : at + 50]).dictionary_encode() for at in range(0, 305, 50)])
    else:
        offsets = pa.array(OFFSETS, kind)
    try:
        content = written(table(offsets), **options)
    except (OSError, pa.ArrowException) as error:
        if "BYTE_STREAM_SPLIT" not in str(options):
            raise
        pytest.skip(f"this pyarrow does not write it: {error}")
    looked = look(content)
    assert (looked.file.fault, looked.file.rows, held(looked)) == (None, 305, {0: ["[5, 300)", "[400, 410)"]})
    assert held(look(content, every_page=True)) == held(looked)


def test_repeated_offsets_are_counted_and_empty_files_hold_nothing() -> None:
    looked = look(written(table(pa.array([1, 2, 2, 2, 3]))))
    assert [(one.starts.tolist(), one.depths.tolist()) for one in (looked.coverage[0].repeats,)] == [([2], [3])]
    empty = look(data_file([]))
    assert (empty.file.fault, empty.file.rows, empty.coverage) == (None, 0, {})
    assert look(data_file([]), every_page=True).file.fault is None


@pytest.mark.parametrize(
    ("content", "columns", "text"),
    [
        (table(pa.array([1, None, 3], pa.int64())), None, "kafka_offset holds a null"),
        (table(pa.array([1, 2]), pa.array([0, None], pa.int32())), None, "kafka_partition holds a null"),
        (table(pa.array([2**64 - 1], pa.uint64())), None, "above 2**63 - 1"),
        (table(pa.array([-1, 4])), None, "holds -1, which Kafka cannot have"),
        (table(pa.array([2**63 - 1])), None, "which Kafka cannot have"),
        (table(pa.array([1]), pa.array([2**31])), None, "holds 2147483648"),
        (table(pa.array([1.0, 2.0])), None, "kafka_offset is double"),
        (table(pa.array(["1", "2"])), None, "kafka_offset is string"),
        (table(pa.array([[1], [2]])), None, "kafka_offset is list"),
        (table(pa.array([{"n": 1}])), None, "kafka_offset is struct"),
        (table(pa.array([None, None])), None, "kafka_offset is null"),
        (pa.table({"kafka_offset": [1]}), None, "no column kafka_partition (its columns: kafka_offset)"),
        (table(pa.array([1])), Columns(topic="topic"), "no column topic"),
        (table(pa.array([1, 2]), topic=pa.array([TOPIC, None])), Columns(topic="topic"), "topic holds a null"),
        (table(pa.array([1, 2]), topic=pa.array([1, 2])), Columns(topic="topic"), "topic is int64"),
    ],
)
def test_a_file_that_does_not_tell_its_offsets_is_unsuitable_and_says_why(
    content: pa.Table, columns: Columns | None, text: str
) -> None:
    looked = look(written(content), columns=columns)
    assert (looked.file.fault, looked.coverage) == ("unsuitable", {})
    assert "data file part-1 is unsuitable" in str(looked.file.problem)
    assert text in str(looked.file.problem)


def test_rows_of_other_topics_are_skipped_whatever_their_offsets() -> None:
    content = table(pa.array([7, None, 8, -4]), topic=pa.array([TOPIC, "other", TOPIC, "other"]))
    looked = look(written(content), columns=Columns(topic="topic"))
    assert (looked.file.fault, looked.file.rows, held(looked)) == (None, 2, {0: ["[7, 9)"]})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1PAR1", b"PAR1" + bytes(40) + b"PAR1", bytes(500)])
def test_what_is_no_parquet_file_is_broken(content: bytes) -> None:
    looked = look(content)
    assert (looked.file.fault, looked.coverage) == ("broken", {})


def forged(seed: int, count: int) -> Counter[str | None]:
    """Files whose footers were changed at random: what the looks say."""
    chance = random.Random(seed)
    originals = [
        data_file(span(0, 0, 50)),
        data_file(span(0, 0, 400), compression="none", use_dictionary=False, row_group_size=100),
    ]
    found: Counter[str | None] = Counter()
    for _ in range(count):
        content = bytearray(chance.choice(originals))
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(footer, len(content))] ^= 1 << chance.randrange(8)
        found[look(bytes(content), every_page=chance.random() < 0.3).file.fault] += 1
    return found


def test_no_footer_ends_the_audit() -> None:
    """In a process of its own: Arrow believes a footer, and a number in it that is wrong could end the process."""
    code = "import sys; from tests.books.test_lake_files import forged; print(forged(int(sys.argv[1]), 300).total())"
    done = subprocess.run([sys.executable, "-c", code, SEED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "300"), done.stderr[-2000:]


def test_a_footer_that_contradicts_itself_is_broken_and_says_about_what() -> None:
    content = data_file(span(0, 0, 50))
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    missing = {": the row groups do not add up to the rows", " about column kafka_offset"}
    for place in range(footer, len(content) - 8):
        changed = bytearray(content)
        changed[place] ^= 0b1000
        missing.discard((look(bytes(changed)).file.problem or "").rpartition("contradicts itself")[2])
        if not missing:
            return
    pytest.fail(f"nowhere: {missing}")


SEED = "6"  # with it Arrow died before the footer was checked


def test_no_thread_of_arrows_reads_an_object() -> None:
    """It would hold Python's objects, and a process that ends before it has let go is aborted: `locate` was."""
    store = OneObject(large())
    listed = LakeObject("data", "part-1", len(store.data), "tag", 0.0)
    look_at(store, listed, LakeLayout(TOPIC), 0.0, every_page=True)  # type: ignore[arg-type]
    rows_within(store, listed, LakeLayout(TOPIC), {0: RangeSet.of(OffsetRange(5, 6))})  # type: ignore[arg-type]
    (found,) = RecordFile(store, listed, LakeLayout(TOPIC)).find(0, 70_001, record=True)  # type: ignore[arg-type]
    assert (found.row, found.record and found.record["kafka_offset"]) == (70_001, 70_001)
    assert store.threads == {threading.get_ident()}


def test_a_large_object_costs_its_footer_and_a_request_for_each_row_group() -> None:
    store = OneObject(large())
    listed = LakeObject("data", "part-1", len(store.data), "tag", 0.0)
    looked = look_at(store, listed, LakeLayout(TOPIC), 0.0, every_page=False)  # type: ignore[arg-type]
    assert held(looked.looked) == {0: ["[0, 80000)"]}
    assert len(store.requests) == 1 + 3, store.requests  # the last row group came with the footer
    assert looked.fetched == sum(end - start for start, end in store.requests) < len(store.data) / 4
    store.requests.clear()
    assert look_at(store, listed, LakeLayout(TOPIC), 0.0, every_page=True).fetched <= len(store.data) + TAIL  # type: ignore[arg-type]


def large() -> bytes:
    """80,000 rows in four row groups, most of it a payload that no look at offsets needs."""
    payload = np.random.default_rng(1).bytes(80_000 * 24)
    cells = pa.array([payload[at : at + 24] for at in range(0, len(payload), 24)])
    offsets = pa.array(np.arange(80_000))
    return written(
        pa.table({"payload": cells, "kafka_partition": pa.array(np.zeros(80_000, np.int32)), "kafka_offset": offsets}),
        row_group_size=20_000,
    )


def test_a_row_of_another_topic_in_the_same_file_is_no_row_of_ours() -> None:
    content = written(table(pa.array([7, 7]), topic=pa.array(["other", TOPIC]), value=pa.array(["theirs", "ours"])))
    listed = LakeObject("data", "part-1", len(content), "tag", 0.0)
    layout = LakeLayout(TOPIC, columns=Columns(topic="topic"))
    rows = rows_within(OneObject(content), listed, layout, {0: RangeSet.of(OffsetRange(7, 8))})  # type: ignore[arg-type]
    assert [row.values["value"] for _, _, row in rows] == ["ours"]


def test_a_huge_count_of_rows_in_a_footer_is_no_memory() -> None:
    """A look at 3,000,000 rows in one row group holds batches, not the file."""
    content = written(table(pa.array(np.arange(3_000_000)), pa.array(np.zeros(3_000_000, dtype=np.int32))))
    looked = look(content)
    assert held(looked) == {0: ["[0, 3000000)"]}
