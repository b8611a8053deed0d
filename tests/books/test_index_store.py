"""The index of one topic in a directory: which files are its own, what a bad one costs, and what was not looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lineage_pipeline.books.deployments import read_deployments, write_deployment
from lineage_pipeline.books.index_store import IndexPath, list_index, locate_rows, read_index
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.deployment import deployment_key
from lineage_pipeline.core.evidence import IndexEvidence
from lineage_pipeline.errors import StoreError
from tests.books.index_files import ORIGINAL_SCHEMA, day, parquet, put, run
from tests.books.memory_store import MemoryStore
from tests.core.test_deployment import RECORD


def path_of(root: Path, topic: str = "t", sole: bool = True) -> IndexPath:
    return IndexPath(open_store(str(root), {}), topic, sole)


def covered(evidence: IndexEvidence) -> dict[int, list[tuple[int, int]]]:
    return {p: [(one.start, one.end) for one in coverage.exact] for p, coverage in evidence.coverage.items()}


def test_all_files_of_the_topic_are_read_in_any_depth(tmp_path: Path) -> None:
    put(tmp_path, day("t", "part-1"), parquet([run(0, 0, 10), run(1, 0, 5)]))
    put(tmp_path, "kafka_topic=t/part-2.parquet", parquet([run(0, 10, 20)]))
    put(tmp_path, "v2/kafka_topic=t/a/b/c/part-3", parquet([run(0, 20, 30)], ORIGINAL_SCHEMA))
    found = read_index(path_of(tmp_path))
    assert (found.status, found.problems, found.files) == ("read", (), 3)
    assert covered(found) == {0: [(0, 30)], 1: [(0, 5)]}
    assert found.newest is not None


def test_files_of_other_topics_and_hidden_names_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, day("t", "part-1"), parquet([run(0, 0, 10)]))
    put(tmp_path, day("other", "part-1"), b"whatever it is, it is not ours")
    for hidden in ("_SUCCESS", ".part-1.inprogress.77", "_tmp/part-9", ".staging/part-9"):
        put(tmp_path, f"kafka_topic=t/{hidden}", b"not an index file")
    found = read_index(path_of(tmp_path))
    assert (found.problems, found.files) == ((), 1)


def test_a_file_without_a_topic_directory_is_of_the_only_topic(tmp_path: Path) -> None:
    put(tmp_path, "2026/11/22/part-1", parquet([run(0, 0, 10)], ORIGINAL_SCHEMA))
    assert covered(read_index(path_of(tmp_path))) == {0: [(0, 10)]}


def test_where_topics_share_a_path_such_a_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "2026/part-1", parquet([run(0, 0, 10)], ORIGINAL_SCHEMA))
    put(tmp_path, day("t", "part-2"), parquet([run(0, 0, 10)]))
    found = read_index(path_of(tmp_path, sole=False))
    assert covered(found) == {0: [(0, 10)]}
    assert len(found.problems) == 1
    assert "2026/part-1" in found.problems[0]


def test_a_path_inside_a_topics_directory_is_that_topics(tmp_path: Path) -> None:
    put(tmp_path, day("t", "part-1"), parquet([run(0, 0, 10)]))
    inside = tmp_path / "kafka_topic=t"
    assert covered(read_index(path_of(inside, sole=False))) == {0: [(0, 10)]}
    assert read_index(path_of(inside, topic="other")).status == "unreadable"


def test_a_refused_file_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    put(tmp_path, day("t", "part-1"), parquet([run(0, 0, 10)]))
    put(tmp_path, day("t", "part-2"), parquet([run(0, 10, 20), run(0, 30, 25)]))
    put(tmp_path, day("t", "part-3"), b"")
    put(tmp_path, day("t", "part-4"), parquet([run(0, 20, 30)]))
    found = read_index(path_of(tmp_path))
    assert covered(found) == {0: [(0, 10), (20, 30)]}
    assert [day("t", "part-2") in found.problems[0], day("t", "part-3") in found.problems[1]] == [True, True]
    assert len(found.problems) == 2


def test_a_file_refused_in_its_last_batch_adds_nothing(tmp_path: Path) -> None:
    rows = [run(0, start, start + 1) for start in range(140_000)]
    rows[-1]["record_count"] = 0
    put(tmp_path, day("t", "part-1"), parquet(rows, row_group_size=10_000))
    found = read_index(path_of(tmp_path))
    assert (found.coverage, len(found.problems)) == ({}, 1)


def test_a_missing_path_is_unreadable_and_an_empty_one_is_read(tmp_path: Path) -> None:
    missing, empty = read_index(path_of(tmp_path / "nowhere")), read_index(path_of(tmp_path))
    assert (missing.status, len(missing.problems)) == ("unreadable", 1)
    assert "nowhere" in missing.problems[0]
    assert (empty.status, empty.problems, empty.coverage, empty.newest) == ("read", (), {}, None)


@pytest.mark.parametrize("note", ["_audits/t.json", "_repairs/t/claims/000001.json", "_kept/kafka_topic=t/_head.json"])
def test_what_audits_repairs_and_ledgers_leave_at_a_path_makes_no_index_of_it(tmp_path: Path, note: str) -> None:
    s3 = MemoryStore("s3://b/index")
    s3.place(note, b"{}")
    put(tmp_path, f"index/{note}", b"{}")
    for store in (s3, open_store(str(tmp_path / "index"), {})):
        found = read_index(IndexPath(store, "t"))
        assert (found.status, len(found.problems)) == ("unreadable", 1)
        assert f"nothing is at {store.uri}: check the path" in found.problems[0]
        write_deployment(store, RECORD)
        assert read_index(IndexPath(store, "t")).status == "read"


def test_a_path_that_is_a_file_is_unreadable(tmp_path: Path) -> None:
    put(tmp_path, "a-file", b"x")
    assert read_index(path_of(tmp_path / "a-file")).status == "unreadable"


def test_deployment_records_are_ordered_and_of_one_topic(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), {})
    later = type(RECORD)(**{**RECORD.__dict__, "writer": "a", "started_at": RECORD.started_at.replace(year=2027)})
    other = type(RECORD)(**{**RECORD.__dict__, "writer": "b", "topic": "another"})
    for record in (later, RECORD, other):
        write_deployment(store, record)
    put(tmp_path, "_deployments/.w9.json.tmp", b"half")
    put(tmp_path, "_deployments/broken.json", b"{")
    book = read_deployments(store, RECORD.topic)
    assert [one.writer for one in book.deployments] == [RECORD.writer, "a"]
    taken = {one.key: one.last_modified for one in store.list("_deployments")}
    assert [one.stored_at for one in book.deployments] == [taken[deployment_key(one)] for one in (RECORD.writer, "a")]
    assert book.latest is not None
    assert book.latest.writer == "a"
    assert len(book.problems) == 1
    assert "broken.json" in book.problems[0]
    found = read_index(path_of(tmp_path, RECORD.topic))
    assert (len(found.deployments), len(found.deployment_problems), found.problems) == (2, 1, ())


def test_without_records_there_is_no_latest(tmp_path: Path) -> None:
    assert read_deployments(open_store(str(tmp_path), {}), "t").latest is None


def test_a_record_is_stored_as_the_contract_names_it(tmp_path: Path) -> None:
    assert write_deployment(open_store(str(tmp_path), {}), RECORD) == f"_deployments/{RECORD.writer}.json"
    assert json.loads((tmp_path / "_deployments" / f"{RECORD.writer}.json").read_text())["writer"] == RECORD.writer


def test_rows_that_span_an_offset_are_found_oldest_first_with_their_files(tmp_path: Path) -> None:
    put(tmp_path, day("t", "part-a"), parquet([run(0, 0, 10, window_start=2000)]))
    put(tmp_path, day("t", "part-b"), parquet([run(0, 5, 10, window_start=1000)]))
    put(tmp_path, day("t", "part-c"), b"broken")
    found = locate_rows(path_of(tmp_path), 0, 7)
    assert [(one.key.rsplit("/", 1)[-1], one.row.min_offset) for one in found.rows] == [("part-b", 5), ("part-a", 0)]
    assert len(found.problems) == 1
    with pytest.raises(StoreError, match="nowhere"):
        list_index(path_of(tmp_path / "nowhere"))
