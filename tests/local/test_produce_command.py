"""`lineage produce` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.produce_command import produce_command


def environment(broker: KafkaBroker, topic: str) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "KAFKA_TOPIC": topic}


@pytest.mark.e2e
def test_its_json_is_the_acknowledged_truth(broker: KafkaBroker, topic_name: Callable[[], str]):
    topic = topic_name()
    arguments = "--count 1000 --rate max --poison 0.1 --transaction-size 100 --abort-every 4 --partitions 3 --seed 1"
    done = CliRunner().invoke(produce_command, [*arguments.split(), "--json"], env=environment(broker, topic))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["seconds"] > 0
    assert {**said, "seconds": 0} == {
        "topic": topic,
        "delivered": 800,
        "partitions": {"0": 267, "1": 266, "2": 267},
        "poisoned": said["poisoned"],
        "aborted": 200,
        "transactions": 8,
        "seed": 1,
        "seconds": 0,
    }
    assert 0 < said["poisoned"] < 800


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_by_a_signal_it_still_tells_what_was_delivered(
    broker: KafkaBroker, topic_name: Callable[[], str], number: signal.Signals
):
    script = (
        "import threading; from lineage_pipeline.local import produce_command as c; real = c.produce\n"
        "def told(plan, *, stop, progress):\n"
        "    return real(plan, stop=stop, progress=lambda sent: print('sent', sent, flush=True))\n"
        "c.produce = told; c.produce_command(['--rate', '200'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(broker, topic_name())},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("sent")
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "records delivered to test_ended_by_a_signal" in rest.splitlines()[-1]


def test_its_help_has_an_example():
    assert "lineage produce --count 10000" in CliRunner().invoke(produce_command, ["--help"]).stdout


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_a_senseless_rate_is_a_usage_error(rate: str):
    done = CliRunner().invoke(produce_command, ["--rate", rate])
    assert done.exit_code == 2
    assert f"{rate!r} is neither a number above 0 nor `max`" in done.stderr


def test_a_missing_settings_file_is_named(tmp_path: Path):
    done = CliRunner().invoke(produce_command, ["--config", str(tmp_path / "absent.yaml")])
    assert isinstance(done.exception, SettingsError)
