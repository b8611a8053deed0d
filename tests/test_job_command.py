"""`lineage job run` as a process: it ends when the job has ended, whatever threads are left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.cli import lineage

LEAVE = """
import atexit, sys, threading
from lineage_pipeline.job_command import SureExit
class Last:
    def __del__(self, wait=threading.Event().wait):
        wait()
leave = SureExit()
leave.code = {code}
{waits}
leave.within({seconds})
print("said", end="")
sys.exit({code})
"""
WAITS = {
    "a thread, as Beam's": ("threading.Thread(target=threading.Event().wait).start()", 0.1),
    "something at the exit": ("atexit.register(threading.Event().wait)", 0.1),
    # as gRPC: when no thread of Python's runs any more that could end the process
    "the end of the interpreter": ("last = Last()", 3),
}


@pytest.mark.parametrize("code", [0, 4])
@pytest.mark.parametrize("kind", WAITS)
def test_what_waits_for_a_jvm_that_is_gone_cannot_keep_the_command_alive(kind: str, code: int) -> None:
    waits, seconds = WAITS[kind]
    script = LEAVE.format(code=code, waits=waits, seconds=seconds)
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "said"), done.stderr


def planned(folder: Path, *arguments: str) -> Result:
    (folder / "lineage.yaml").write_text("topics: [{name: t, key_format: string, headers: true}]", encoding="utf-8")
    command = ["job", "plan", *arguments, "--config", str(folder / "lineage.yaml")]
    return CliRunner().invoke(lineage, command, env={"KAFKA_TOPIC": None})


def test_the_columns_are_told_without_compiling_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage_pipeline.job_command.compiled_plan", lambda *_: pytest.fail("it compiled"))
    done = planned(tmp_path, "--columns")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["value.timestamp", "long", "(timestamp-millis)", "timestamp", "timestamp(ms,", "UTC)"] in lines
    assert ["key", "bytes", "or", "null", "kafka_key", "binary"] in lines
    assert ["key", "string", "kafka_key_text", "string"] in lines
    assert ["headers", "name", "and", "bytes", "or", "null", "kafka_headers", "map<string,", "binary>"] in lines


def test_a_script_gets_the_plan_alone_on_stdout_and_the_columns_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineage_pipeline.job_command.compiled_plan", lambda *_: '{"nodes": []}')
    monkeypatch.setattr("lineage_pipeline.job_command.job_options", lambda *_: None)
    done = planned(tmp_path)
    assert (done.exit_code, done.stdout) == (0, '{"nodes": []}\n')
    assert "kafka_key_text" in done.stderr


def test_columns_and_plan_are_not_asked_for_at_once(tmp_path: Path) -> None:
    done = planned(tmp_path, "--columns", "--json")
    assert (done.exit_code, "leave --json out" in done.output) == (2, True)
