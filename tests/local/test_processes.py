"""Real processes, really killed: nothing may stay behind, whoever ends first and however."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lineage_pipeline.errors import ProcessError
from lineage_pipeline.local import guard
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.processes import ManagedProcess, log_tail

# A command with a child, a grandchild that ignores TERM, and one that has left the group and lost its parent.
FAMILY = """
import os, signal, subprocess, sys, time
folder = sys.argv[1]
WAIT = "import os, sys, time; open(sys.argv[1] + '/' + str(os.getpid()), 'w').close(); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT
FORK = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]])"
subprocess.Popen([sys.executable, "-c", STUBBORN, folder])
subprocess.run([sys.executable, "-c", FORK, folder, WAIT], start_new_session=True)
exec(WAIT)
"""
MEMBERS = 3

OWNER = """
import json, signal, sys, time
from pathlib import Path
# what a suite hands down that runs under nohup or in a script's background, where these are ignored
for one, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_DFL),
                   (signal.SIGINT, signal.default_int_handler)):
    signal.signal(one, usual)
from lineage_pipeline.local.processes import ManagedProcess
script, folder, log = sys.argv[1:]
with ManagedProcess.start([sys.executable, "-c", script, folder], Path(log), grace=0.2) as process:
    process.wait_ready(lambda: len(list(Path(folder).iterdir())) == 3, 60)
    print(json.dumps([process.guard_pid, process.pid]), flush=True)
    time.sleep(600)
"""


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def until(seen: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not seen():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def start_family(tmp_path: Path) -> tuple[ManagedProcess, list[psutil.Process]]:
    folder = tmp_path / "family"
    folder.mkdir()
    process = ManagedProcess.start(python(FAMILY, folder), tmp_path / "log", grace=0.2)
    process.wait_ready(lambda: len(list(folder.iterdir())) == MEMBERS, 60)
    return process, members(folder)


def members(folder: Path) -> list[psutil.Process]:
    return [psutil.Process(int(path.name)) for path in folder.iterdir()]


def assert_all_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_outlives_an_owner_ended_by(tmp_path: Path, number: signal.Signals):
    folder = tmp_path / "family"
    folder.mkdir()
    with subprocess.Popen(
        python(OWNER, FAMILY, folder, tmp_path / "log"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        guard, child = json.loads(owner.stdout.readline())
        watched = [psutil.Process(guard), psutil.Process(child), *members(folder)]
        owner.send_signal(number)
    assert len(watched) == MEMBERS + 2
    assert_all_end(watched)


def test_nothing_outlives_an_owner_whose_pipe_a_forked_sibling_keeps_open(tmp_path: Path):
    fork_first = OWNER.replace("    time.sleep(600)", "    import os\n    os.fork()\n    time.sleep(600)")
    folder = tmp_path / "family"
    folder.mkdir()
    with subprocess.Popen(
        python(fork_first, FAMILY, folder, tmp_path / "log"), stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        guard, child = json.loads(owner.stdout.readline())
        until(lambda: len(psutil.Process(owner.pid).children()) == 2)
        sibling = next(each for each in psutil.Process(owner.pid).children() if each.pid != guard)
        watched = [psutil.Process(guard), psutil.Process(child), *members(folder)]
        owner.kill()
        assert_all_end(watched)
        sibling.kill()


def test_stop_ends_the_whole_family(tmp_path: Path):
    process, family = start_family(tmp_path)
    assert process.stop(grace=0.2) == -signal.SIGTERM
    assert_all_end(family)
    assert not psutil.pid_exists(process.guard_pid)


def test_a_command_is_ended_in_order_and_ends_its_children_by_itself(tmp_path: Path):
    child = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('told by a stranger', flush=True))\n"
        "print('ready', flush=True); sys.stdin.read(); print('told by its parent', flush=True)"
    )
    parent = (
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE)\n"
        "def end(*_):\n    child.communicate(); sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, end); signal.pause()"
    )
    process = ManagedProcess.start(python(parent, child), tmp_path / "log")
    process.wait_ready(lambda: "ready" in (tmp_path / "log").read_text(), 60)
    process.end_in_order(60)
    assert process.stop() == 5
    assert (tmp_path / "log").read_text() == "ready\ntold by its parent\n"


def test_who_does_not_end_in_order_is_ended_in_the_end(tmp_path: Path):
    process, family = start_family(tmp_path)
    process.end_in_order(0.1)
    process.stop(0.2)
    assert_all_end(family)
    process.end_in_order(60)  # of one that has ended: nothing


def test_stop_without_grace_kills_at_once(tmp_path: Path):
    process, family = start_family(tmp_path)
    assert process.stop(grace=0) == -signal.SIGKILL
    assert_all_end(family)
    assert process.stop() == -signal.SIGKILL, "a second stop says the same"


def test_a_killed_guard_takes_the_command_with_it(tmp_path: Path):
    process = ManagedProcess.start(python("import time; time.sleep(600)"), tmp_path / "log")
    command = psutil.Process(process.pid)
    os.kill(process.guard_pid, signal.SIGKILL)
    assert_all_end([command])
    until(lambda: process.poll() is not None)
    assert process.stop() == -signal.SIGKILL


def test_children_of_a_command_that_crashes_are_ended(tmp_path: Path):
    process, family = start_family(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    assert_all_end(family)
    until(lambda: process.poll() is not None)
    assert process.poll() == -signal.SIGKILL
    process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_guard_forwards(tmp_path: Path, number: signal.Signals):
    note = tmp_path / "got"
    script = (
        "import signal, sys, time\n"
        "def handle(number, frame):\n    open(sys.argv[1], 'w').write(str(number)); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, handle); signal.signal(signal.SIGINT, handle)\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    process = ManagedProcess.start(python(script, note), tmp_path / "log")
    process.wait_ready(lambda: "ready" in (tmp_path / "log").read_text(), 60)
    os.kill(process.guard_pid, number)
    until(lambda: process.poll() is not None)
    assert process.stop() == 7
    assert note.read_text() == str(int(number))


def test_exit_code_and_output_of_a_command_that_ends_by_itself(tmp_path: Path):
    process = ManagedProcess.start(
        python("import os, sys; print(os.environ['WORD'], os.getcwd()); sys.exit(3)"),
        tmp_path / "log",
        env={**os.environ, "WORD": "hello"},
        cwd=tmp_path,
    )
    until(lambda: process.poll() is not None)
    assert process.stop() == 3
    assert (tmp_path / "log").read_text() == f"hello {tmp_path}\n"


def test_temporary_files_go_with_the_command_however_it_ends(tmp_path: Path):
    script = "import tempfile, time; print(tempfile.mkdtemp(), flush=True); time.sleep(600)"
    usual = {**os.environ, "TMPDIR": str(tmp_path)}
    process = ManagedProcess.start(python(script), tmp_path / "log", env=usual)
    process.wait_ready(lambda: "\n" in (tmp_path / "log").read_text(), 60)
    made = Path((tmp_path / "log").read_text().strip())
    assert made.is_dir()
    assert made.parent.parent == tmp_path
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700, "nobody else reads what a job writes there"
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: process.poll() is not None)
    process.stop()
    assert not made.parent.exists()


def test_a_jvm_has_its_temporary_files_there_too_and_keeps_its_other_options(tmp_path: Path, java: Java):
    folder = tmp_path / "with a space"
    folder.mkdir()
    environ = {**os.environ, "TMPDIR": str(folder), "JDK_JAVA_OPTIONS": "-Dof.the.caller=kept"}
    show = [java.executable, "-XshowSettings:properties", "-version"]
    process = ManagedProcess.start(show, tmp_path / "log", env=environ)
    until(lambda: process.poll() is not None)
    assert process.stop() == 0
    said = (tmp_path / "log").read_text()
    assert re.search(rf"java\.io\.tmpdir = {re.escape(str(folder))}/lineage-\w+$", said, re.MULTILINE)
    assert "of.the.caller = kept" in said
    assert list(folder.iterdir()) == []


def test_where_no_temporary_folder_can_be_made_the_usual_one_is_kept(monkeypatch: pytest.MonkeyPatch):
    def disk_full(prefix: str) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", prefix)

    monkeypatch.setattr(guard, "mkdtemp", disk_full)
    before = dict(os.environ)
    with guard._own_temp():
        assert dict(os.environ) == before


def test_waiting_for_a_process_that_dies_fails_at_once_with_its_last_words(tmp_path: Path):
    process = ManagedProcess.start(python("import sys; sys.exit('no memory left')"), tmp_path / "log")
    with pytest.raises(ProcessError, match=r"(?s)the broker ended with code 1 before it was ready.*no memory left"):
        process.wait_ready(lambda: False, 600, "the broker")
    process.stop()


def test_waiting_ends_at_the_timeout(tmp_path: Path):
    with (
        ManagedProcess.start(python("import time; time.sleep(600)"), tmp_path / "log") as process,
        pytest.raises(ProcessError, match=r"the broker was not ready within 0 s \(its log .* is empty\)"),
    ):
        process.wait_ready(lambda: False, 0.1, "the broker")


def test_a_command_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ProcessError, match=r"nonsense could not be started: /no/nonsense: No such file"):
        ManagedProcess.start(["/no/nonsense"], tmp_path / "log")


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 6_000_000)
    ManagedProcess.start(python("print('new')"), log).stop()
    assert log.stat().st_size < 100
    assert (tmp_path / "log.1").stat().st_size == 6_000_000


def test_the_log_tail_is_the_last_lines_only(tmp_path: Path):
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(100)))
    assert log_tail(tmp_path / "log", 2).endswith(":\nline 98\nline 99")
