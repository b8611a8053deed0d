"""`lineage job run` as a process: it ends when the job has ended, whatever threads are left."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAVE = """
import sys, threading
from lineage_pipeline.job_command import leave_surely
threading.Thread(target=threading.Event().wait).start()  # as Beam's, once the JVM it talks to is gone
leave_surely({code}, within=0.1)
sys.exit({code})
"""


@pytest.mark.parametrize("code", [0, 4])
def test_a_thread_that_never_ends_cannot_keep_the_command_alive(code: int) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE.format(code=code)], timeout=60, check=False)
    assert done.returncode == code
