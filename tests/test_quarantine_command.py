"""`lineage quarantine` and its replay from the command line, over a lake in a directory."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage
from tests.books.index_files import day, parquet
from tests.books.index_files import put as place
from tests.books.index_files import run as row
from tests.books.lake_tables import data_file, hour, span
from tests.repair_world import BAD, SCHEMA, TOPIC, RepairWorld, payload
from tests.test_quarantine import BROKEN


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Four records in quarantine, one of them truly bad; lineage.yaml has the mended schema."""
    world = RepairWorld({0: [payload("x", 0), BAD, payload("<b>", 2), payload("x", 3)], 1: [payload("x", 0)]})
    world.wrote((0, 0, 4), record=BROKEN)
    world.wrote((1, 0, 1), name="part-0")
    for table, name in (("output", "output"), ("quarantine", "quarantine"), ("index", "offset-index")):
        for key, (data, _, _) in world.stores[table].objects.items():
            path = tmp_path / "lake" / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    (tmp_path / "right.avsc").write_text(SCHEMA, encoding="utf-8")
    settings = {
        "lake": str(tmp_path / "lake"),
        "topics": [{"name": TOPIC, "format": "avro", "schema": "right.avsc", "settle": 1}],
    }
    (tmp_path / "lineage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return tmp_path


def run(lake: Path, *arguments: str) -> Result:
    config = ["--config", str(lake / "lineage.yaml")]
    return CliRunner().invoke(lineage, [*arguments, *config], env={"KAFKA_TOPIC": None, "LINEAGE_CONFIG": None})


def said(lake: Path, *arguments: str) -> Any:
    done = run(lake, *arguments, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_the_list_is_for_people_and_for_programs(lake: Path) -> None:
    shown = run(lake, "quarantine")
    assert shown.exit_code == 0
    assert "orders: 4 records in 1 quarantine files" in shown.output
    assert "trailing-bytes" in shown.output
    assert "partition 0 offset 1" in shown.output
    assert "b'\\xff'" in shown.output
    found = said(lake, "quarantine", "--class", "truncated")
    assert [(one["class"], one["records"]) for one in found["classes"]] == [("truncated", 1)]
    assert said(lake, "quarantine", "--offsets", "2", "4", "--examples", "0")["records"] == 2
    assert said(lake, "quarantine", "--since", "2999-01-01T00:00:00Z")["records"] == 0


def test_a_replay_is_planned_carried_out_and_remembered(lake: Path) -> None:
    planned = run(lake, "quarantine", "replay")
    assert planned.exit_code == 0, planned.output
    assert "3 quarantined records decode now, 1 do not" in planned.output
    assert "nothing was written: --execute writes the rows" in planned.output
    assert said(lake, "sql", "SELECT count(*) AS n FROM data") == [{"n": 1}]
    done = run(lake, "quarantine", "replay", "--execute", "--by", "Ada, INC-42")
    assert done.exit_code == 0, done.output
    assert "written: 3 records to data, in 1 objects" in done.output
    assert said(lake, "sql", "SELECT count(*) AS n FROM data") == [{"n": 4}]
    assert said(lake, "sql", "SELECT kafka_offset AS o FROM quarantine_open") == [{"o": 1}]
    again = said(lake, "quarantine", "replay", "--execute")
    assert (again["written"], again["replayed_before"], again["undecodable"]) == (0, 3, 1)
    assert "Ada, INC-42" in run(lake, "quarantine", "replay", "--history").output
    listed = run(lake, "quarantine").output
    assert "4 records in 1 quarantine files, 3 of them replayed to data" in listed
    assert ", replayed: trailing-bytes" in listed


def test_the_history_tells_of_a_replay_that_was_killed_what_is_there(lake: Path) -> None:
    run(lake, "quarantine", "replay", "--execute", "--by", "Ada")
    assert "not noted" not in run(lake, "quarantine", "replay", "--history").output
    notes = sorted((lake / "lake" / "offset-index" / "_replays" / TOPIC / "attempts").iterdir())
    (finished,) = [one for one in notes if "finished" in one.read_text()]
    finished.unlink()
    assert "not noted as finished; 1 of its 1 data objects are there" in run(
        lake, "quarantine", "replay", "--history"
    ).output  # fmt: skip
    (written,) = (lake / "lake" / "output").rglob("replay-*.parquet")
    written.unlink()
    assert "0 of its 1 data objects are there" in run(lake, "quarantine", "replay", "--history").output


def test_what_forbids_a_replay_is_said_and_ends_with_3(lake: Path) -> None:
    (lake / "lake" / "output" / f"kafka_topic={TOPIC}" / "torn").write_bytes(b"PAR1 torn PAR1")
    done = run(lake, "quarantine", "replay", "--execute")
    assert done.exit_code == 3
    assert "nothing can be replayed now: the evidence is not whole" in done.output
    assert "torn" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quarantine", "--partition", "0", "replay"), "give the options behind `replay`"),
        (("quarantine", "--offsets", "4", "2"), "above START"),
        (("quarantine", "--since", "yesterday"), "--since 'yesterday' is no ISO 8601 time"),
        (("quarantine", "replay", "--since", "2026-11-22T00:00:00"), "names no time zone"),
    ],
)
def test_a_mistake_is_one_sentence(lake: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(lake, *arguments)
    assert done.exit_code != 0
    assert words in done.output + str(done.exception)


def test_a_lake_that_others_laid_out_is_listed_and_not_replayed(lake: Path) -> None:
    settings = yaml.safe_load((lake / "lineage.yaml").read_text(encoding="utf-8"))
    settings["topics"][0]["lake_files"] = {"quarantine": "kafka_topic={topic}/**"}
    (lake / "lineage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert said(lake, "quarantine")["records"] == 4
    done = run(lake, "quarantine", "replay")
    assert "another writer laid out" in str(done.exception)


@pytest.mark.parametrize("command", [("quarantine",), ("quarantine", "replay")])
@pytest.mark.parametrize(
    ("topic", "paths", "words"),
    [
        (TOPIC, {"quarantine": "nowhere"}, "but the index counts 4 records there: check QUARANTINE_PATH"),
        (TOPIC, {"quarantine": "nowhere", "offset_index": "nowhere"}, "does not tell that nothing went there"),
        ("order", {}, "no index file of order is at"),
    ],
)
def test_a_quarantine_that_is_not_where_it_was_looked_for_is_no_empty_one(
    lake: Path, command: tuple[str, ...], topic: str, paths: dict[str, str], words: str
) -> None:
    settings = yaml.safe_load((lake / "lineage.yaml").read_text(encoding="utf-8"))
    settings["topics"][0] |= {"name": topic, "paths": {name: str(lake / path) for name, path in paths.items()}}
    (lake / "lineage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = run(lake, *command)
    assert done.exit_code == 3, done.output
    assert words in " ".join(done.output.split())


@pytest.mark.parametrize(("age", "exit_code"), [(40, 0), (20, 3)])
def test_a_quarantine_whose_files_all_left_by_retention_is_an_empty_one(lake: Path, age: int, exit_code: int) -> None:
    emitted = datetime.now(timezone.utc) - timedelta(days=age)
    rows = [row(0, 0, 10, quarantined_count=3, window_end=round(emitted.timestamp() * 1000))]
    place(lake / "old" / "offset-index", day(TOPIC, "p"), parquet(rows))
    place(lake / "old" / "output", hour(TOPIC, "p"), data_file([(0, 0), *span(0, 4, 10)]))
    topic = {"name": TOPIC, "schema": "right.avsc", "retention": {"data_days": 30}}
    settings = {"lake": str(lake / "old"), "topics": [topic]}
    (lake / "lineage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    for command in (("quarantine",), ("quarantine", "replay")):
        done = run(lake, *command)
        assert done.exit_code == exit_code, done.output
        assert ("the index counts 3 records there" in " ".join(done.output.split())) is (exit_code == 3)


def test_a_quarantine_that_is_empty_and_whose_index_says_so_is_one(lake: Path) -> None:
    place(lake / "empty" / "offset-index", day(TOPIC, "p"), parquet([row(0, 0, 10)]))
    place(lake / "empty" / "output", hour(TOPIC, "p"), data_file(span(0, 0, 10)))
    settings = {"lake": str(lake / "empty"), "topics": [{"name": TOPIC, "schema": "right.avsc"}]}
    (lake / "lineage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert said(lake, "quarantine")["records"] == 0
