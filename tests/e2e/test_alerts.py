"""From a real loss to a real message: broker, running job, Dagster with its sensors, and somebody who is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from lineage_pipeline.local.careless_reset import MODULE as CARELESS_RESET
from lineage_pipeline.local.dagster_process import DagsterProcess
from lineage_pipeline.local.ports import free_ports
from tests.e2e.pipeline import Pipeline, wait_until
from tests.lineage_dagster.receiver import Receiver

pytestmark = pytest.mark.e2e

# Each run in Dagster is a process to start, some seconds of processor time, beside a broker, Flink and a daemon.
PATIENCE = 400.0
LOST = 30  # the first records of partition 1
TICKS = """query Ticks($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
  sensorState { ticks(limit: 50) { status } } } } }"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def watched(pipeline: Pipeline, receiver: Receiver) -> Iterator[DagsterProcess]:
    """Dagster over the pipeline's topic, calling the receiver; not started yet."""
    pipeline.configure(settle=1, owners=["team:orders"], audit={"books": ["index", "broker"], "every": 10})
    address = pipeline.directory / "hook-address"
    address.write_text(receiver.url)
    settings = yaml.safe_load(pipeline.config.read_text())
    hook = {"name": "oncall", "webhook": {"file": str(address)}, "allow_private": True}
    pipeline.config.write_text(yaml.safe_dump({**settings, "alerts": {"channels": [hook]}}))
    home, log = pipeline.directory / "dagster", pipeline.directory / "log"
    process = DagsterProcess(pipeline.config, home, log, free_ports(1)[0], os.environ)
    yield process
    process.stop()


def repair(pipeline: Pipeline) -> None:
    arguments = ["repair", "--execute", "--wait", "--json", "--config", str(pipeline.config)]
    done = CliRunner().invoke(lineage, arguments, env={"KAFKA_TOPIC": None})
    assert done.exit_code == 0, done.output


def alert_ticks(dagster: DagsterProcess) -> int:
    """How many ticks of the alert sensor have ended well."""
    selector = {"repositoryLocationName": "lineage_dagster", "repositoryName": "__repository__", "sensorName": "alerts"}
    state = dagster._ask(TICKS, {"sensor": selector})["sensorOrError"]["sensorState"]
    return sum(1 for tick in state["ticks"] if tick["status"] in {"SKIPPED", "SUCCESS"})


@pytest.mark.timeout(1_500)
def test_a_loss_is_told_once_with_its_range_and_its_repair_once_though_the_receiver_was_down(
    pipeline: Pipeline, watched: DagsterProcess, receiver: Receiver
) -> None:
    receiver.status = 503
    pipeline.produce(3_000)
    with ThreadPoolExecutor(1) as beside:
        started = beside.submit(watched.start)
        # somebody has reset the group by hand: the job begins behind the first records of partition 1
        pipeline.job.start(("--shift", f"1:{LOST}"), entry=(CARELESS_RESET,))
        started.result()
    pipeline.wait_moved(3_000 - LOST)
    wait_until(lambda: receiver.refused > 0, "an attempt to tell the loss while nobody listened", PATIENCE)
    receiver.status = 200
    wait_until(lambda: len(receiver.got) > 0, "the loss to be told once somebody listened", PATIENCE)
    opened = receiver.got[0]
    assert (opened["kind"], opened["level"], opened["topic"]) == ("opened", "loss", pipeline.topic)
    assert opened["ranges"] == [{"partition": 1, "start": 0, "end": LOST}]
    assert (opened["lost"], opened["owners"]) == (LOST, ["team:orders"])

    repair(pipeline)
    pipeline.produce(100)  # the job runs on, and its new files call for the next audits
    wait_until(lambda: len(receiver.got) > 1, "the repair to be told", PATIENCE)
    ticks = alert_ticks(watched)
    wait_until(lambda: alert_ticks(watched) >= ticks + 2, "two more looks of the alert sensor", PATIENCE)
    assert [one["kind"] for one in receiver.got] == ["opened", "resolved"]
    assert receiver.got[1]["dedup_key"] == opened["dedup_key"]
    assert pipeline.runs
