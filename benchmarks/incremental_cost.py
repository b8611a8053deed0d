"""What an audit of 10,000 new index rows costs behind a short and a long history, side by side.

Both histories were audited before, so the fold holds them. The cost must follow what is new, not what was.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rounds import in_turn, judge, median_seconds, peak_mib
from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.settings import load_settings

HISTORIES = {"1M": 1_000_000, "10M": 10_000_000}
NEW_ROWS = 10_000  # also the rows of each file of the history
PARTITIONS = 10
FILES_A_DAY = 5  # a longer history is of more days
RUN = 100  # offsets a row
ROUNDS = 9
GOAL = 1.3


def run() -> bool:
    """Write and audit both histories, then add rows and audit in turn, print and judge."""
    print(f"incremental cost: {NEW_ROWS:,} new rows behind {' and '.join(HISTORIES)} rows, {ROUNDS} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder:
        for name, rows in HISTORIES.items():
            for number in range(rows // NEW_ROWS):
                write_file(Path(folder) / name, number)
            _audit(str(Path(folder) / name))
        figures = in_turn("benchmarks.incremental_cost", [(name, folder) for name in HISTORIES], ROUNDS)
    short, long = (median_seconds(one) for one in figures)
    return judge("audit of new rows behind 10 M against behind 1 M", long / short, GOAL)


def write_file(root: Path, number: int) -> None:
    """The file with that number; each partition's runs go on where the file before ended."""
    files = HISTORIES[root.name] // NEW_ROWS
    day = datetime.now(timezone.utc).date() - timedelta(days=max(0, files - number - 1) // FILES_A_DAY)
    folder = root / "index" / "kafka_topic=bench" / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    each = NEW_ROWS // PARTITIONS
    starts = (number * each + np.repeat(np.arange(each, dtype=np.int64), PARTITIONS)) * RUN
    table = pa.table(
        {
            "kafka_partition": np.tile(np.arange(PARTITIONS, dtype=np.int32), each),
            "min_offset": starts,
            "max_offset": starts + RUN - 1,
            "record_count": np.full(NEW_ROWS, RUN, dtype=np.int64),
            "window_start": pa.array(np.zeros(NEW_ROWS, dtype=np.int64)).cast(pa.timestamp("ms")),
        }
    )
    pq.write_table(table, folder / f"part-{number:06}", compression="zstd")


def one(name: str, folder: str) -> None:
    """Add a file of new rows, audit, and print the figures. A first audit of nothing new keeps imports out of them."""
    root = Path(folder) / name
    _audit(str(root))
    number = sum(1 for _ in (root / "index").rglob("part-*"))
    write_file(root, number)
    print(json.dumps({"seconds": _audit(str(root), number + 1), "peak_mib": peak_mib()}))


def _audit(root: str, files: int | None = None) -> float:
    """Seconds of an audit that must be complete and, when told, rest on exactly so many files."""
    environment = {"KAFKA_TOPIC": "bench", "OFFSET_INDEX_PATH": f"{root}/index", "AUDIT_PATH": f"{root}/audit"}
    settings = load_settings(environment)
    request = audit_request(settings, settings.topic(), ("index",))
    assert request.plan is not None
    started = time.monotonic()
    report = audit_topic(request, lambda: datetime.now(timezone.utc))
    seconds = time.monotonic() - started
    assert report.verdict == "complete", report.problems
    ends = {one.end for one in report.partitions}
    assert files is None or ends == {files * NEW_ROWS // PARTITIONS * RUN}, ends
    return seconds


if __name__ == "__main__":
    one(*sys.argv[1:])
