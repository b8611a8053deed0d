"""A partition that is idle for longer than the index remembers only starts a new run."""

from __future__ import annotations

import time

import pytest

from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline, wait_until

pytestmark = pytest.mark.e2e

STATE_TTL_SECONDS = 2.0


def test_partitions_idle_for_longer_than_the_state_lives_are_indexed_exactly_again_and_again(
    pipeline: Pipeline,
) -> None:
    pipeline.start("--state-ttl", str(STATE_TTL_SECONDS))
    with pipeline.producing(rate_per_sec=200, partition=2) as busy:
        for burst in range(3):
            if burst:
                _wait_until_forgotten()
            for partition in (0, 1):
                pipeline.produce(500, partition=partition, poison_fraction=0.02)
            total = 1000 * (burst + 1)
            wait_until(lambda total=total: _idle_partitions_moved(pipeline) >= total, f"burst {burst} in the index")
    busy.finish()
    produced = pipeline.readable()
    pipeline.wait_moved(len(produced))
    pipeline.stop()
    assert_exact(pipeline, produced)


def _idle_partitions_moved(pipeline: Pipeline) -> int:
    index = pipeline.rows("offset-index").to_pylist()
    return sum(run["record_count"] for run in index if run["kafka_partition"] != 2)


def _wait_until_forgotten() -> None:
    """The one place where time itself is waited for: how old state is, is what is tested."""
    forgotten = time.monotonic() + 1.5 * STATE_TTL_SECONDS
    wait_until(lambda: time.monotonic() > forgotten, "the state to expire")
