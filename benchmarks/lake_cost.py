"""What it costs to know which offsets the lake's files hold, beside `count(distinct offset)` in DuckDB, in turn.

`first`: an audit by index and lake that looks at every file and writes the manifest. `second`: the same audit again,
which only lists. `distinct`: what a user would run instead; it gives counts, not ranges. Rows are interleaved over ten
partitions, a million in a file; `python -m benchmarks lake_cost` takes LAKE_ROWS from the environment (100 million).
"""

from __future__ import annotations

import json
import os
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
from lineage_pipeline.books.table_files import index_bytes
from lineage_pipeline.core.offset_index import IndexRow
from lineage_pipeline.settings import load_settings

PARTITIONS = 10
FILE_ROWS = 1_000_000
ROWS = int(os.environ.get("LAKE_ROWS", "100_000_000"))
ROUNDS = 3
GOAL_FIRST = 2.0  # of the time of count(distinct): exact ranges for at most twice what the counts cost
GOAL_MIB = 1024.0
GOAL_SECOND = 0.1  # of the first audit


def run() -> bool:
    """Write the files, run the three in turn, print and judge."""
    files = max(1, ROWS // FILE_ROWS)
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder:
        size = write_lake(Path(folder), files, FILE_ROWS)
        print(f"lake cost: {files:,} files of {FILE_ROWS:,} rows, {size / 2**20:,.0f} MiB, {ROUNDS} rounds", flush=True)
        figures = in_turn("benchmarks.lake_cost", [(name, folder) for name in ("first", "second", "distinct")], ROUNDS)
    first, second, distinct = (median_seconds(one) for one in figures)
    memory = max(one.peak_mib for one in figures[0])
    return all(
        [
            judge("first audit (exact ranges, manifest) against count(distinct)", first / distinct, GOAL_FIRST),
            judge("memory of the first audit", memory, GOAL_MIB, " MiB"),
            judge("second audit (listing only) against the first", second / first, GOAL_SECOND),
        ]
    )


def write_lake(root: Path, files: int, rows: int) -> int:
    """Data files as the job writes them, and one index file that accounts for all; returns the bytes of the data."""
    data = root / "data" / "kafka_topic=bench" / "dt=2026-01-01"
    data.mkdir(parents=True)
    partitions = pa.array(np.tile(np.arange(PARTITIONS, dtype=np.int32), rows // PARTITIONS))
    step = np.repeat(np.arange(rows // PARTITIONS, dtype=np.int64), PARTITIONS)
    payload = pa.array(np.random.default_rng(1).integers(0, 2**62, rows))
    size = 0
    for number in range(files):
        offsets = number * (rows // PARTITIONS) + step
        table = pa.table(
            {
                "event_id": payload,
                "kafka_partition": partitions,
                "kafka_offset": offsets,
                "kafka_timestamp": pa.array(1_795_384_800_000 + offsets).cast(pa.timestamp("ms")),
            }
        )
        path = data / f"part-{number:05}"
        pq.write_table(table, path, compression="zstd", row_group_size=rows // 4)
        size += path.stat().st_size
    index = root / "index" / "kafka_topic=bench" / "dt=2026-01-01"
    index.mkdir(parents=True)
    end = files * (rows // PARTITIONS)
    (index / "part-0").write_bytes(
        index_bytes(IndexRow(one, 0, end - 1, end, 0, 0, 0, 0, 0, "bench") for one in range(PARTITIONS))
    )
    return size


def one(what: str, root: str) -> None:
    """Run one of the three and print its figures. A first go over one small file keeps imports out of them."""
    measured = {"first": _first, "second": _second, "distinct": _distinct}[what]
    with tempfile.TemporaryDirectory() as warm_up:
        write_lake(Path(warm_up), 1, 4 * PARTITIONS)
        if what == "second":
            _first(warm_up)
        measured(warm_up)
    before, read = time.process_time(), _bytes_read()
    seconds = measured(root)
    peak, cpu = peak_mib(), time.process_time() - before
    mib = (_bytes_read() - read) / 2**20
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "cpu": cpu, "mib_read": mib}))


def _bytes_read() -> int:
    """What this process has read so far, from the disk or its cache."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


def _first(root: str) -> float:
    for left in (Path(root) / "audit").rglob("*"):
        if left.is_file():
            left.unlink()
    witness = Path(root) / "index" / "_audits"
    for left in witness.glob("*"):
        left.unlink()
    return _audit(root)


def _second(root: str) -> float:
    return _audit(root)


def _audit(root: str) -> float:
    places = {"OUTPUT_PATH": "data", "OFFSET_INDEX_PATH": "index", "AUDIT_PATH": "audit"}
    settings = load_settings({"KAFKA_TOPIC": "bench", **{name: f"{root}/{place}" for name, place in places.items()}})
    request = audit_request(settings, settings.topic(), ("index", "lake"))
    started = time.monotonic()
    report = audit_topic(request, lambda: datetime.now(timezone.utc))
    seconds = time.monotonic() - started
    assert report.verdict == "complete", (report.verdict, report.problems)
    assert report.books["lake"] == "read"
    return seconds


def _distinct(root: str) -> float:
    connection = duckdb.connect()
    started = time.monotonic()
    found = connection.execute(
        "SELECT kafka_partition, count(distinct kafka_offset), min(kafka_offset), max(kafka_offset)"
        f" FROM read_parquet('{root}/data/**/part-*') GROUP BY ALL"
    ).fetchall()
    seconds = time.monotonic() - started
    assert len(found) == PARTITIONS
    assert all(count == high - low + 1 for _, count, low, high in found)
    return seconds


if __name__ == "__main__":
    one(*sys.argv[1:])
