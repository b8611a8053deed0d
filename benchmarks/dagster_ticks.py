"""What Dagster's ticks and audit runs cost with 1, 100 and 1,000 topics of 10 partitions each, on disk and SQLite.

Each size is one process. `load`: import of Dagster and the location, what starting a run costs before its first step.
`new`: the ticks of the index sensor until every topic with new files was asked for; `idle`: a tick with nothing new.
`run`: one audit run in a loaded process; above 20 topics 20 share one. Of all topics, most never audited yet: `alerts`,
a tick with nothing to tell; `verdicts`, one that finds no verdict changed and nothing to state again.

At last `idle` with the largest size on an S3 server of this machine, beside as many bare listings with as many at once.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr

from benchmarks.rounds import judge
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import find_java
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from lineage_pipeline.settings import Settings, load_settings

SIZES = (1, 100, 1_000)
PARTITIONS = 10
OFFSETS = 1_000  # of each partition
ROUNDS = 5
RUNS = 3  # of the many that a thousand topics ask for
IDLE_GOAL = 1.0  # seconds, the largest size
S3_GOAL = 1.5  # times the bare listings
COLUMNS = ("load", "new", "idle", "run", "alerts", "verdicts")

_T = TypeVar("_T")
Cost = tuple[float, float]  # seconds on the clock, seconds of processor time


def run() -> bool:
    """Measure each size, print the table, judge."""
    print(f"dagster ticks: {PARTITIONS} partitions a topic, seconds (seconds of processor time)", flush=True)
    print(f"  {'topics':>6}" + "".join(f"{name:>17}" for name in (*COLUMNS, "topics in the run")), flush=True)
    idle = 0.0
    for topics in SIZES:
        with tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.dagster_ticks", str(topics), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"benchmarks.dagster_ticks {topics} failed:\n{done.stderr[-3000:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        cells = [f"{found[name][0]:.2f} ({found[name][1]:.2f})" for name in COLUMNS]
        print(f"  {topics:>6,}" + "".join(f"{cell:>17}" for cell in (*cells, found["batch"])), flush=True)
        idle = found["idle"][0]
    met = judge(f"a tick with nothing new, {SIZES[-1]:,} topics on disk", idle, IDLE_GOAL, " s")
    return _beside_bare_listings() and met


def _beside_bare_listings() -> bool:
    """A tick with nothing new on S3 against the listings that it cannot do without, in turn."""
    cache = cache_folder(os.environ)
    with (
        tempfile.TemporaryDirectory(prefix="lineage-bench-") as folder,
        S3Server(Path(folder) / "s3", find_java(os.environ), fetch_jars("s3proxy", cache=cache)) as server,
    ):
        topics = [f"topic-{number:04}" for number in range(SIZES[-1])]
        write_lake(server.bucket_directory, topics)
        aws = {name: SecretStr(value) for name, value in server.environ.items()}
        settings = load_settings(server.environ, _config(Path(folder), f"s3://{BUCKET}", topics))
        tick, bare = _tick_on_s3(settings, Path(folder)), partial(_list_bare, aws, topics)
        tick(), bare()  # connections, imports
        rounds = [(_timed(tick)[1], _timed(bare)[1]) for _ in range(ROUNDS)]
    ticks, bares = zip(*rounds, strict=True)
    for name, costs in (("idle on S3", ticks), ("bare listings", bares)):
        print(f"  {name:<14}" + "".join(f"{clock:8.2f} ({cpu:.2f})" for clock, cpu in costs), flush=True)
    ratio = statistics.median(one[0] for one in ticks) / statistics.median(one[0] for one in bares)
    return judge(f"a tick with nothing new, {SIZES[-1]:,} topics on S3, against bare listings", ratio, S3_GOAL)


def _tick_on_s3(settings: Settings, folder: Path) -> Callable[[], Any]:
    """Ticks of the index sensor that remember every topic."""
    import dagster as dg  # noqa: PLC0415 - only a child process that measures it imports it else

    from lineage_dagster.auditor import SettingsAuditor  # noqa: PLC0415 - the same
    from lineage_dagster.triggers import index_sensor  # noqa: PLC0415 - the same

    (folder / "home").mkdir()
    instance = dg.DagsterInstance.local_temp(str(folder / "home"), {"telemetry": {"enabled": False}})
    auditor = SettingsAuditor(settings)

    def tick(cursor: str | None) -> Any:
        return index_sensor(settings)(dg.build_sensor_context(instance, cursor, resources={"auditor": auditor}))

    cursor, requests = _all_requests(tick)
    asked = sum(len(one.asset_selection) for one in requests)
    assert asked == SIZES[-1], f"the sensor asked for {asked} topics on S3"
    return lambda: tick(cursor)


def _list_bare(aws: dict[str, SecretStr], topics: list[str]) -> None:
    """As many listings as a tick needs: of today and of yesterday in each topic's directory."""
    now, store = datetime.now(timezone.utc), open_store(f"s3://{BUCKET}/offset-index", aws)
    days = [f"dt={now - timedelta(days=back):%Y-%m-%d}" for back in range(2)]
    folders = [f"kafka_topic={topic}/{day}" for topic in topics for day in days]
    with ThreadPoolExecutor(store.in_flight) as pool:
        found = sum(pool.map(lambda folder: len(list(store.list(folder))), folders))
    assert found == len(topics), f"{found} files were listed"


def write_lake(root: Path, topics: list[str]) -> None:
    """One index file a topic, with one whole run of offsets for each partition."""
    now = datetime.now(timezone.utc)
    count = PARTITIONS
    table = pa.table(
        {
            "kafka_partition": pa.array(range(count), pa.int32()),
            "min_offset": pa.array([0] * count, pa.int64()),
            "max_offset": pa.array([OFFSETS - 1] * count, pa.int64()),
            "record_count": pa.array([OFFSETS] * count, pa.int64()),
            "window_start": pa.array([now] * count, pa.timestamp("ms", tz="UTC")),
        }
    )
    for topic in topics:
        folder = root / "offset-index" / f"kafka_topic={topic}" / f"dt={now:%Y-%m-%d}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part-0")


def one(count: str, folder: str) -> None:
    """Measure one size and print its figures."""
    topics = [f"topic-{number:04}" for number in range(int(count))]
    root = Path(folder)
    write_lake(root / "lake", topics)
    _config(root, str(root / "lake"), topics)
    print(json.dumps(_figures(root)))


def _config(root: Path, lake: str, topics: list[str]) -> Path:
    path = root / "lineage.yaml"
    listed = [{"name": topic, "audit": {"books": ["index"]}} for topic in topics]
    path.write_text(json.dumps({"lake": lake, "topics": listed}))
    return path


def _figures(root: Path) -> dict[str, Any]:
    settings = load_settings({}, root / "lineage.yaml")
    definitions, load = _timed(lambda: _loaded(settings))
    import dagster as dg  # noqa: PLC0415 - the first import is a part of loading

    from lineage_dagster.alerts import alert_sensor  # noqa: PLC0415 - the same
    from lineage_dagster.triggers import AUDIT_JOB, index_sensor, summary_sensor  # noqa: PLC0415 - the same

    named = definitions.get_repository_def().get_top_level_resources()
    auditor, notifier = {"auditor": named["auditor"]}, {"notifier": named["notifier"]}
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    (root / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(root / "home"), {"telemetry": {"enabled": False}}) as instance:

        def tick(cursor: str | None) -> Any:
            return index_sensor(settings)(dg.build_sensor_context(instance, cursor, resources=auditor))

        def tell() -> None:
            alert_sensor(settings)(dg.build_sensor_context(instance, resources=notifier))

        def look(cursor: str | None) -> str | None:
            found: Any = summary_sensor(settings)(dg.build_sensor_context(instance, cursor))
            return str(found.cursor)

        asked, new = _timed(lambda: _all_requests(tick))
        cursor, requests = asked
        idle = min(_timed(lambda: tick(cursor))[1] for _ in range(ROUNDS))
        job = definitions.resolve_job_def(AUDIT_JOB)
        runs = [_timed(partial(_execute, job, request, instance))[1] for request in requests[:RUNS]]
        alerts = min(_timed(tell)[1] for _ in range(ROUNDS))
        seen = look(None)
        verdicts = min(_timed(lambda: look(seen))[1] for _ in range(ROUNDS))
    batch = len(requests[0].asset_selection)
    ticks = {"new": new, "idle": idle, "alerts": alerts, "verdicts": verdicts}
    return {"load": load, "run": min(runs), **ticks, "batch": batch}


def _loaded(settings: Settings) -> Any:
    from lineage_dagster.build import build_defs  # noqa: PLC0415 - its import is measured

    definitions = build_defs(settings)
    definitions.get_repository_def().load_all_definitions()
    return definitions


def _all_requests(tick: Callable[[str | None], Any]) -> tuple[str, list[Any]]:
    """Ticks until every topic was asked for: the cursor then, and the requests."""
    found, cursor = [], None
    while (result := tick(cursor)).run_requests:
        found += result.run_requests
        cursor = result.cursor
    return cursor or "", found


def _execute(job: Any, request: Any, instance: Any) -> None:
    ran = job.get_subset(asset_selection=set(request.asset_selection), asset_check_selection=set())
    result = ran.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success, "an audit of the benchmark is not complete"


def _timed(work: Callable[[], _T]) -> tuple[_T, Cost]:
    clock, processor = time.monotonic(), time.process_time()
    result = work()
    return result, (time.monotonic() - clock, time.process_time() - processor)


if __name__ == "__main__":
    one(*sys.argv[1:])
