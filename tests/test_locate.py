"""Where an offset is: found with its row and file, not found with its class, or honestly not known."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.deployment import Deployment, deployment_key
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.locate import Location, locate_offset
from lineage_pipeline.locate_command import locate_command
from tests.books.index_files import ORIGINAL_SCHEMA, day, parquet, put, run

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    rows = [run(9, 1900, 2000), run(9, 2010, 2050), run(9, 2020, 2030)]
    put(tmp_path, day("lineage-input", "part-1"), parquet(rows))
    return tmp_path


def locate(root: Path, partition: int, offset: int) -> Location:
    return locate_offset(IndexPath(open_store(str(root), {}), "lineage-input"), partition, offset, AuditRules(), NOW)


def test_an_offset_is_found_with_its_row_and_its_file(index: Path) -> None:
    found = locate(index, 9, 1909)
    assert (found.found, found.offset_class, found.exit_code) == (True, "indexed", 0)
    shown = found.to_json()
    assert shown["index_file"] == day("lineage-input", "part-1")
    assert (shown["index"]["min_offset"], shown["index"]["max_offset"]) == (1900, 1999)
    assert shown["index"]["window_start"] == "2026-11-22T22:00:00.000Z"
    assert list(shown) == ["found", "class", "index", "index_file", "data_files", "record"]


@pytest.mark.parametrize("offset", [1900, 1999])
def test_the_first_and_the_last_offset_of_a_row_are_in_it(index: Path, offset: int) -> None:
    assert locate(index, 9, offset).found


def test_an_offset_written_twice_is_found_in_both_rows(index: Path) -> None:
    found = locate(index, 9, 2025)
    assert (found.exit_code, len(found.rows)) == (0, 2)
    assert "more than once" in found.why


def test_a_lost_offset_is_not_found_and_called_missing(index: Path) -> None:
    found = locate(index, 9, 2005)
    assert (found.found, found.offset_class, found.exit_code) == (False, "missing", 1)


@pytest.mark.parametrize(("partition", "offset"), [(9, 2050), (9, 1899), (8, 1909)])
def test_an_offset_outside_of_everything_indexed_is_not_found_and_has_no_class(
    index: Path, partition: int, offset: int
) -> None:
    found = locate(index, partition, offset)
    assert (found.found, found.offset_class, found.exit_code) == (False, None, 1)


def test_an_inexact_window_cannot_tell(index: Path) -> None:
    put(index, "old/part-2", parquet([run(9, 3000, 3010, record_count=8)], ORIGINAL_SCHEMA))
    found = locate(index, 9, 3005)
    assert (found.found, found.offset_class, found.exit_code) == (False, "unknown", 3)
    assert found.to_json()["index"]["record_count"] == 8


def test_beside_a_refused_file_not_finding_proves_nothing(index: Path) -> None:
    put(index, day("lineage-input", "part-2"), b"PAR1")
    assert locate(index, 9, 1909).exit_code == 0
    hole = locate(index, 9, 2005)
    assert (hole.offset_class, hole.exit_code) == ("unknown", 3)
    assert locate(index, 8, 5).exit_code == 3


def test_a_missing_index_cannot_tell(tmp_path: Path) -> None:
    found = locate(tmp_path / "nowhere", 0, 0)
    assert (found.found, found.offset_class, found.exit_code) == (False, "unknown", 3)


def run_locate(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        locate_command, list(arguments), env={"OFFSET_INDEX_PATH": str(root), "KAFKA_TOPIC": None}
    )


def test_after_an_audit_of_a_mistyped_path_locate_still_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_PATH", str(tmp_path / "audit"))
    monkeypatch.setenv("OFFSET_INDEX_PATH", str(tmp_path / "mistyped"))
    for _ in range(2):
        assert CliRunner().invoke(audit_command, ["--books", "index"]).exit_code == 3
        assert run_locate(tmp_path / "mistyped", "0", "5").exit_code == 3
    assert (tmp_path / "audit").exists()
    assert not (tmp_path / "mistyped").exists()


@pytest.fixture(autouse=True)
def away_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_answers_in_json_without_a_broker(index: Path) -> None:
    done = run_locate(index, "9", "1909", "--json")
    assert (done.exit_code, json.loads(done.stdout)["found"]) == (0, True)
    assert run_locate(index, "9", "2005", "--json").exit_code == 1


def test_the_command_answers_in_words(index: Path) -> None:
    done = run_locate(index, "9", "1909")
    assert "offset 1909 of partition 9: found" in done.stdout
    assert f"{index}/{day('lineage-input', 'part-1')}" in done.stdout
    assert "not found (missing)" in run_locate(index, "9", "2005").stdout
    assert "cannot tell" in run_locate(index / "nowhere", "9", "1").stdout


@pytest.mark.parametrize("arguments", [("9", "-5"), ("9", str(2**63)), ("x", "1"), ("9",)])
def test_what_is_no_offset_is_a_usage_error(index: Path, arguments: tuple[str, ...]) -> None:
    assert run_locate(index, *arguments).exit_code == 2


def test_where_nothing_is_indexed_yet_no_range_is_named(index: Path) -> None:
    record = Deployment("job-1", "lineage-input", "c", "t", "g", {9: 1900, 3: 7}, "read_committed", 20.0, "p", NOW)
    put(index, deployment_key("job-1"), record.to_json().encode())
    found = locate(index, 3, 7)
    assert (found.offset_class, found.exit_code) == (None, 1)
    assert found.why == "partition 3 is audited from 7 on, and the index has no row there yet"
    assert locate(index, 9, 2050).why == "partition 9 is audited from 1900 to 2049"
