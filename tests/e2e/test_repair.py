"""Lost records are put back from a real broker: exactly, once, whatever kills the repair in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage
from lineage_pipeline.local.broker import KafkaBroker
from tests.e2e.exactness import assert_exact
from tests.e2e.lossy_lake import stopped_job
from tests.e2e.pipeline import Pipeline, Place, new_topic

pytestmark = pytest.mark.e2e

PARTITIONS = 12  # each gives an object of its own to every table


@pytest.fixture
def wide(broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path) -> Pipeline:
    """A topic of many partitions; the job is never started."""
    made = Pipeline(
        broker.bootstrap_servers,
        new_topic(broker.bootstrap_servers, topic_name(), PARTITIONS),
        tmp_path,
        os.environ,
    )
    made.configure(settle=1)
    return made


def run(pipeline: Pipeline, *arguments: str) -> Result:
    return CliRunner().invoke(lineage, [*arguments, "--config", str(pipeline.config)], env={"KAFKA_TOPIC": None})


def last_of_each(readable: dict[Place, Any]) -> set[Place]:
    ends = {partition: max(offset for one, offset in readable if one == partition) for partition, _ in readable}
    return set(ends.items())


def killed(pipeline: Pipeline, number: int, when: str) -> None:
    """A repair that is killed at its `number`-th object."""
    command = [sys.executable, "-m", "tests.e2e.killed_repair", str(number), when]
    arguments = ["repair", "--execute", "--config", str(pipeline.config)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_loss_is_planned_put_back_through_five_kills_and_the_audit_says_complete(wide: Pipeline) -> None:
    wide.produce(9_000, poison_fraction=0.02, transaction_size=40, abort_every=5)
    readable = wide.readable()
    stopped_job(wide, last_of_each(readable))
    planned = run(wide, "repair", "--wait")
    assert planned.exit_code == 1, planned.output
    assert len(wide.files("output")) == 1
    choose = random.Random(1909)
    for _ in range(5):
        killed(wide, choose.randint(1, 7), choose.choice(["before", "after"]))
    done = run(wide, "repair", "--execute", "--by", "Ada")
    assert done.exit_code == 0, done.output
    assert "COMPLETE" in done.output
    assert_exact(wide, readable)
    again = run(wide, "repair", "--execute")
    assert (again.exit_code, "nothing to repair" in again.output) == (0, True), again.output
