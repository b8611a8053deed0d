"""One owner per state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineage_pipeline.errors import SetupError
from lineage_pipeline.local.processes import ManagedProcess
from lineage_pipeline.local.state_lock import StateLock

HOLD = """
import sys, time
from pathlib import Path
from lineage_pipeline.local.state_lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

# The command ends late: it ignores TERM, so only the guard's KILL after the grace ends it.
HOLD_WITH_CHILD = """
import sys, time
from pathlib import Path
from lineage_pipeline.local.processes import ManagedProcess
from lineage_pipeline.local.state_lock import StateLock
folder = Path(sys.argv[1])
script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
lock = StateLock(folder).acquire()
process = ManagedProcess.start([sys.executable, "-c", script], folder / "log", hold=[lock.fileno()], grace=0.5)
process.wait_ready(lambda: "up" in (folder / "log").read_text(), 60)
print(process.pid, flush=True)
time.sleep(600)
"""


def hold(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)


def test_a_second_owner_is_refused_and_told_who_holds_it(tmp_path: Path):
    with hold(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SetupError, match=rf"{tmp_path} is in use by process {holder.pid}: stop that one first"):
            StateLock(tmp_path).acquire()
        holder.kill()


def test_a_crash_leaves_no_lock_behind(tmp_path: Path):
    with hold(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    with StateLock(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_the_next_owner_waits_for_the_processes_of_a_killed_one(tmp_path: Path):
    with hold(HOLD_WITH_CHILD, tmp_path) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.kill()
    with StateLock(tmp_path), pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_released_lock_can_be_taken_again_by_the_same_process(tmp_path: Path):
    lock = StateLock(tmp_path / "new")
    for _ in range(2):
        with lock:
            ManagedProcess.start([sys.executable, "-c", ""], tmp_path / "log", hold=[lock.fileno()]).stop()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file/state cannot be used"):
        StateLock(tmp_path / "file" / "state").acquire()
