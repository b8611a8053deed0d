"""SIGKILL at any point loses nothing and doubles nothing: a plain start resumes from the last checkpoint."""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter
from collections.abc import Collection

import pytest
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from lineage_pipeline.core.flink_metadata import COMMITTED
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline

pytestmark = pytest.mark.e2e


def test_three_kills_at_random_points_while_producing_lose_and_double_nothing(pipeline: Pipeline) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    points = random.Random(seed)
    pipeline.start()
    with pipeline.producing(rate_per_sec=500, poison_fraction=0.01) as producing:
        for end in (pipeline.kill_jvm, pipeline.kill, pipeline.kill_jvm):
            # At least one checkpoint of this run, then anywhere within the next few.
            pipeline.wait_moved(pipeline.moved() + 1)
            producing.wait_sent(producing.sent + points.randrange(1, 1500))
            said = end()
            assert said is None or "has died without a word" in said
            pipeline.start()
            assert pipeline.job.last_words().startswith("it gave no reason")
    result = producing.finish()
    produced = pipeline.readable()
    assert len(produced) == result.total
    pipeline.wait_moved(len(produced))
    pipeline.stop()
    assert_exact(pipeline, produced)
    assert pipeline.rows("quarantine").num_rows == result.poisoned
    assert [one["reason"] for one in pipeline.deployments] == ["first", "restored", "restored", "restored"]
    assert_positions(pipeline, produced)


def assert_positions(pipeline: Pipeline, produced: Collection[tuple[int, int]]) -> None:
    """`lineage checkpoint` of each checkpoint left: what restoring it would write again, counted in the lake's rows."""
    paths = sorted((pipeline.lake / "checkpoints").rglob("_metadata"), key=lambda path: path.stat().st_mtime)
    assert len(paths) >= 4  # one of each start at least
    for path in paths:
        done = CliRunner().invoke(lineage, ["checkpoint", str(path), "--json", "--config", str(pipeline.config)])
        told = json.loads(done.stdout)
        (topic,) = told["topics"]
        again = {
            one["partition"]: sum(part["end"] - part["start"] for part in one["repeats"]) for one in topic["partitions"]
        }
        positions = {one["partition"]: one["position"] for one in topic["partitions"]}
        # Made before anything was read, a checkpoint holds no offset: what the group has committed by then will count.
        untold = {partition for partition, position in positions.items() if position == COMMITTED}
        assert {one["partition"] for one in topic["partitions"] if one["doubt"]} == untold
        counted = Counter(
            partition
            for partition, offset in produced
            if partition not in untold and offset >= (positions[partition] or 0)
        )
        assert again == {partition: counted[partition] for partition in again}
        assert all(one["skips"] == [] for one in topic["partitions"])
        assert (done.exit_code, told["exact"]) == (1 if counted else 3 if untold else 0, not (counted or untold))
        assert told["writer"] in {one["writer"] for one in pipeline.deployments}
    assert done.exit_code == 0  # the savepoint is the newest
