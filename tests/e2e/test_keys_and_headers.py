"""Keys, headers and tombstones through the real job: nothing lost, every value exact, and a loss put back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage
from tests.e2e.conftest import PARTITIONS
from tests.e2e.exactness import assert_index
from tests.e2e.pipeline import Pipeline
from tests.golden import keyed

pytestmark = pytest.mark.e2e

TIMES = 30  # how often the records are produced to a partition, in each of two batches
BATCH = TIMES * len(keyed.RECORDS)
TABLES = {"output": keyed.data_rows, "quarantine": keyed.quarantine_rows}


def run(pipeline: Pipeline, *arguments: str) -> Result:
    return CliRunner().invoke(lineage, [*arguments, "--config", str(pipeline.config)], env={"KAFKA_TOPIC": None})


def produce(pipeline: Pipeline) -> None:
    for partition in range(PARTITIONS):
        keyed.produce(pipeline.bootstrap_servers, pipeline.topic, partition, TIMES)


def table(pipeline: Pipeline, name: str) -> list[dict[str, Any]]:
    """The rows as they are on disk now."""
    read = [pq.read_table(path, partitioning=None) for path in pipeline.files(name)]
    return keyed.comparable(pa.concat_tables(read))


def expected(name: str) -> list[dict[str, Any]]:
    rows = [row for partition in range(PARTITIONS) for row in TABLES[name](partition, 2 * TIMES)]
    return keyed.expected(rows)


def offsets(path: Path, column: str) -> list[int]:
    return pq.read_table(path, partitioning=None)[column].to_pylist()


def lose_the_first_batch(pipeline: Pipeline) -> int:
    """Delete every file of the three tables that has records of it alone; returns how many."""
    lost = 0
    for name, column in (("output", "kafka_offset"), ("quarantine", "kafka_offset"), ("offset-index", "max_offset")):
        for path in pipeline.files(name):
            if max(offsets(path, column)) < BATCH:
                path.unlink()
                lost += 1
    return lost


def put_back(pipeline: Pipeline) -> None:
    """The audit tells a loss, a repair ends it, and every row of both tables is as the job wrote it."""
    assert run(pipeline, "audit", "--books", "index,broker,lake", "--wait").exit_code == 1
    repaired = run(pipeline, "repair", "--wait", "--execute")
    assert repaired.exit_code == 0, repaired.output
    assert "COMPLETE" in repaired.output
    for name in TABLES:
        assert table(pipeline, name) == expected(name)
    for partition in range(PARTITIONS):
        found = json.loads(run(pipeline, "verify", str(partition), "0", str(2 * BATCH), "--json").stdout)
        assert (found["verdict"], found["records"], found["partial"]) == ("complete", 2 * BATCH, 0), found


def test_keys_headers_and_tombstones_arrive_exactly_and_a_loss_is_put_back_as_it_was(pipeline: Pipeline) -> None:
    for name, text in keyed.FILES.items():
        (pipeline.directory / name).write_text(text, encoding="utf-8")
    pipeline.configure(settle=1, **keyed.SETTINGS)
    produce(pipeline)
    pipeline.start()
    pipeline.wait_moved(PARTITIONS * BATCH)
    produce(pipeline)
    pipeline.wait_moved(2 * PARTITIONS * BATCH)
    pipeline.stop()

    produced = set(pipeline.readable())
    assert len(produced) == 2 * PARTITIONS * BATCH
    refused = expected("quarantine")
    for name in TABLES:
        assert table(pipeline, name) == expected(name)
    assert len(table(pipeline, "output")) + len(refused) == len(produced)
    bad = {(row["kafka_partition"], row["kafka_offset"]) for row in refused}
    assert_index(pipeline.rows("offset-index"), produced, bad)
    # not remembered: index files that vanish behind an audit's back are unknown, and not yet a loss
    complete = run(pipeline, "audit", "--books", "index,broker,lake", "--no-store")
    assert complete.exit_code == 0, complete.output

    assert lose_the_first_batch(pipeline) >= 3
    assert table(pipeline, "output") != expected("output")
    put_back(pipeline)
    newest = max(pipeline.files("output"), key=lambda path: max(offsets(path, "kafka_offset")))
    newest.unlink()  # indexed still: damaged
    put_back(pipeline)
    located = json.loads(run(pipeline, "locate", "1", "2", "--record", "--json").stdout)
    assert located["record"] == {
        **dict.fromkeys(("amount", "note")),
        "kafka_partition": 1,
        "kafka_offset": 2,
        "kafka_timestamp": "2026-11-22T22:00:00.123Z",
        "kafka_key": keyed.key(1).hex(),
        **dict(zip(keyed.KEY_COLUMNS, ("é", 1, "2024-10-04", 0.5), strict=True)),
        "kafka_headers": {"why": b"deleted".hex()},
    }
