"""The views over the three tables, and the two queries that come with the tool."""

from __future__ import annotations

import json
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


def test_a_syntax_error_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        lake_at(tmp_path).query("SELEC 1")
    assert "syntax error" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_place_written_as_a_uri_is_the_directory_that_it_names(tmp_path: Path) -> None:
    write_runs(tmp_path / "we#ird 100%", [(0, 0, 9)])
    place = (tmp_path / "we#ird 100%" / "offset-index").as_uri()
    assert "%23" in place
    settings = load_settings({"KAFKA_TOPIC": "t", "OFFSET_INDEX_PATH": place})
    assert LakeSql(settings, settings.topic()).value("SELECT sum(record_count)::BIGINT FROM offset_index") == 10


def test_who_chose_a_place_for_the_index_alone_can_ask_it(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 9)])
    settings = load_settings({"KAFKA_TOPIC": "t", "OFFSET_INDEX_PATH": str(tmp_path / "offset-index")})
    lake = LakeSql(settings, settings.topic())
    assert lake.value("SELECT sum(record_count)::BIGINT FROM offset_index") == 10
    assert lake.empty == dict.fromkeys(("data", "quarantine"), "any place, since none is set")


def test_files_in_directories_of_different_names_are_one_table_all_the_same(tmp_path: Path) -> None:
    write_runs(tmp_path, [(0, 0, 9)])
    written = tmp_path / "offset-index" / "kafka_topic=t" / "dt=2026-01-01" / "part-0"
    written.rename(written.parents[1] / "part-0")
    write_runs(tmp_path, [(0, 10, 19)])
    assert lake_at(tmp_path).value("SELECT sum(record_count)::BIGINT FROM offset_index") == 20


def adopted(folder: Path, columns: dict[str, list[object]], **lake_files: str) -> LakeSql:
    """A lake of somebody else: one data file with these columns."""
    (folder / "output").mkdir()
    pq.write_table(pa.table(columns), folder / "output" / "part-0.parquet")
    paths = {"output": str(folder / "output"), "offset_index": str(folder / "offset-index")}
    topic = {"name": "t", "paths": paths, "lake_files": lake_files}
    (folder / "lineage.yaml").write_text(json.dumps({"topics": [topic]}), encoding="utf-8")
    settings = load_settings({"LINEAGE_CONFIG": str(folder / "lineage.yaml")})
    return LakeSql(settings, settings.topic())


def test_columns_of_other_names_give_each_record_once_too(tmp_path: Path) -> None:
    columns = {"part": [0, 0, 0], "off": [1, 1, 2], 'a "time"': [7, 7, 7]}
    names = {"partition_column": "part", "offset_column": "off", "timestamp_column": 'a "time"'}
    lake = adopted(tmp_path, columns, **names)
    assert rows(lake, "SELECT part, off FROM data_deduplicated ORDER BY off") == [(0, 1), (0, 2)]
    assert rows(lake, "FROM quarantine_open") == []
    assert lake.left_out == {}


def test_files_without_a_column_for_the_partition_leave_a_view_out_and_not_the_others(tmp_path: Path) -> None:
    lake = adopted(tmp_path, {"kafka_offset": [1, 2]})
    assert lake.value("SELECT count(*) FROM data") == 2
    assert "kafka_partition" in lake.left_out["data_deduplicated"]
