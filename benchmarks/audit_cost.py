"""What an exact audit of the index costs, beside the naive count query in DuckDB over the same files, in turn.

`files`: 1,000 small files as a job writes them. `rows`: 10 million rows in big files. The audit gives exact ranges; the
count gives a number that can lie.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rounds import in_turn, judge, median_seconds, peak_mib
from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.settings import load_settings

PARTITIONS = 10
SMALL_FILES = 1_000
BIG_ROWS = 10_000_000
BIG_FILES = 10
RUN = 100  # offsets a row
ROUNDS = 5
GOAL = 5.0
GOAL_MIB = 1536.0


def run() -> bool:
    """Write the index files, run audit and count in turn, print and judge."""
    met = []
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder:
        for case, files, rows in (("files", SMALL_FILES, PARTITIONS), ("rows", BIG_FILES, BIG_ROWS // BIG_FILES)):
            root = Path(folder) / case
            write_index(root, files, rows)
            print(f"audit cost: {files:,} files of {rows:,} rows, {ROUNDS} rounds", flush=True)
            figures = in_turn("benchmarks.audit_cost", [("audit", str(root)), ("count", str(root))], ROUNDS)
            ratio = median_seconds(figures[0]) / median_seconds(figures[1])
            met.append(judge(f"exact audit of {case} against the naive count", ratio, GOAL))
            met.append(
                judge(f"memory of the audit of {case}", max(one.peak_mib for one in figures[0]), GOAL_MIB, " MiB")
            )
    return all(met)


def write_index(root: Path, files: int, rows: int) -> None:
    """Index files in which each partition's runs follow one another without a gap, in the format of the job."""
    folder = root / "kafka_topic=bench" / "dt=2026-01-01"
    folder.mkdir(parents=True)
    per_partition = rows // PARTITIONS
    partitions = np.tile(np.arange(PARTITIONS, dtype=np.int32), per_partition)
    step = np.repeat(np.arange(per_partition, dtype=np.int64), PARTITIONS)
    zero = pa.array(np.zeros(rows, dtype=np.int64))
    moment = pa.array(np.zeros(rows, dtype=np.int64)).cast(pa.timestamp("ms"))
    for number in range(files):
        starts = (number * per_partition + step) * RUN
        table = pa.table(
            {
                "kafka_partition": partitions,
                "min_offset": starts,
                "max_offset": starts + RUN - 1,
                "record_count": np.full(rows, RUN, dtype=np.int64),
                "window_start": moment,
                "quarantined_count": zero,
                "window_end": moment,
                "max_timestamp": moment,
                "leader_epoch": pa.array(np.zeros(rows, dtype=np.int32)),
                "writer": pa.array(["bench"] * rows).dictionary_encode().cast(pa.string()),
            }
        )
        pq.write_table(table, folder / f"part-{number:05}", compression="zstd")


def one(what: str, root: str) -> None:
    """Run one of the two and print its figures. A first go over one small file keeps imports out of them."""
    measured = _audit if what == "audit" else _count
    with tempfile.TemporaryDirectory() as warm_up:
        write_index(Path(warm_up), 1, PARTITIONS)
        measured(warm_up)
    seconds = measured(root)
    peak = peak_mib()
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


def _audit(root: str) -> float:
    settings = load_settings({"KAFKA_TOPIC": "bench", "OFFSET_INDEX_PATH": root})
    request = audit_request(settings, settings.topic(), ("index",))
    started = time.monotonic()
    report = audit_topic(request, lambda: datetime.now(timezone.utc))
    seconds = time.monotonic() - started
    assert report.verdict == "complete", report.verdict
    return seconds


def _count(root: str) -> float:
    connection = duckdb.connect()
    started = time.monotonic()
    gaps = connection.execute(
        "SELECT kafka_partition, max(max_offset) - min(min_offset) + 1 - sum(record_count) AS gaps"
        f" FROM read_parquet('{root}/**/part-*') GROUP BY ALL"
    ).fetchall()
    seconds = time.monotonic() - started
    assert [gap for _, gap in gaps] == [0] * PARTITIONS
    return seconds


if __name__ == "__main__":
    one(*sys.argv[1:])
