"""The views over the three tables, and the two queries that come with the tool."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.errors import UsageError
from lineage_pipeline.lake_sql import LakeSql, named_query
from lineage_pipeline.settings import load_settings


def write_runs(folder: Path, runs: list[tuple[int, int, int]], name: str = "part-0") -> None:
    """Index rows (partition, first, last), both inclusive."""
    path = folder / "offset-index" / "kafka_topic=t" / "dt=2026-01-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partitions, first, last = zip(*runs, strict=True)
    counts = [end - start + 1 for start, end in zip(first, last, strict=True)]
    columns = {"kafka_partition": pa.array(partitions, pa.int32()), "min_offset": first, "max_offset": last}
    pq.write_table(pa.table({**columns, "record_count": counts}), path)


def lake_at(folder: Path) -> LakeSql:
    paths = {
        name: str(folder / place) for name, place in (("OFFSET_INDEX_PATH", "offset-index"), ("OUTPUT_PATH", "output"))
    }
    settings = load_settings({"KAFKA_TOPIC": "t", "QUARANTINE_PATH": str(folder / "quarantine"), **paths})
    return LakeSql(settings, settings.topic())


def rows(lake: LakeSql, sql: str) -> list[tuple[object, ...]]:
    relation = lake.query(sql)
    assert relation is not None
    return relation.fetchall()


def test_uncommitted_and_hidden_files_are_never_read(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 9)])
    write_runs(tmp_path, [(0, 10, 19)], ".part-1.inprogress")
    write_runs(tmp_path, [(0, 10, 19)], "_part-2")
    assert lake_at(tmp_path).value("SELECT sum(record_count)::BIGINT FROM offset_index") == 10


def test_another_topics_files_are_not_in_the_view(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 9)])
    other = tmp_path / "offset-index" / "kafka_topic=other" / "part-0"
    other.parent.mkdir()
    other.write_bytes((tmp_path / "offset-index/kafka_topic=t/dt=2026-01-01/part-0").read_bytes())
    assert lake_at(tmp_path).value("SELECT count(*) FROM offset_index") == 1


def test_directory_names_become_columns(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 9)])
    assert rows(lake_at(tmp_path), "SELECT kafka_topic, dt::VARCHAR FROM offset_index") == [("t", "2026-01-01")]


def test_tables_without_files_are_empty_views_and_said_so(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    assert set(lake.empty) == {"offset_index", "data", "quarantine"}
    assert rows(lake, "SELECT error, payload FROM quarantine") == []


def test_the_count_query_sees_no_gap_where_one_is_lost_and_one_doubled(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 99), (0, 110, 199), (0, 150, 159)])
    lake = lake_at(tmp_path)
    assert [row[-1] for row in rows(lake, named_query("count-gaps"))] == [0]
    assert rows(lake, named_query("islands")) == [
        (0, 0, 100, 1, "indexed"),
        (0, 100, 110, 0, "gap"),
        (0, 110, 150, 1, "indexed"),
        (0, 150, 160, 2, "duplicated"),
        (0, 160, 200, 1, "indexed"),
    ]


def test_islands_sees_through_nested_and_repeated_runs(tmp_path: Path) -> None:
    write_runs(tmp_path, [(1, 0, 9), (1, 0, 9), (1, 2, 3), (1, 10, 19), (2, 5, 5)])
    assert rows(lake_at(tmp_path), named_query("islands")) == [
        (1, 0, 2, 2, "duplicated"),
        (1, 2, 4, 3, "duplicated"),
        (1, 4, 10, 2, "duplicated"),
        (1, 10, 20, 1, "indexed"),
        (2, 5, 6, 1, "indexed"),
    ]


def test_a_bad_query_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no_such_table"):
        lake_at(tmp_path).query("FROM no_such_table")
