"""SIGKILL at any point loses nothing and doubles nothing: a plain start resumes from the last checkpoint."""

from __future__ import annotations

import random
import secrets

import pytest

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
