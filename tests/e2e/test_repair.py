"""Lost records are put back from a real broker: exactly, once, whatever kills the repair in between."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage
from tests.e2e.exactness import assert_exact
from tests.e2e.lossy_lake import stopped_job
from tests.e2e.pipeline import Pipeline, Place

pytestmark = pytest.mark.e2e


def run(pipeline: Pipeline, *arguments: str) -> Result:
    return CliRunner().invoke(lineage, [*arguments, "--config", str(pipeline.config)], env={"KAFKA_TOPIC": None})


def last_of_each(readable: dict[Place, Any]) -> set[Place]:
    ends = {partition: max(offset for one, offset in readable if one == partition) for partition, _ in readable}
    return set(ends.items())


def test_a_loss_is_planned_then_put_back_and_the_audit_says_complete(pipeline: Pipeline) -> None:
    pipeline.configure(settle=1)
    pipeline.produce(3_000, poison_fraction=0.02, transaction_size=40, abort_every=5)
    readable = pipeline.readable()
    stopped_job(pipeline, last_of_each(readable))
    planned = run(pipeline, "repair", "--wait")
    print(planned.output)
    assert planned.exit_code == 1, planned.output
    assert len(pipeline.files("output")) == 1
    done = run(pipeline, "repair", "--execute", "--by", "Ada")
    print(done.output)
    assert done.exit_code == 0, done.output
    assert_exact(pipeline, readable)
