"""Runs a command and outlives its owner just long enough to end it.

    python -m lineage_pipeline.local.guard [--grace SECONDS] [--cwd FOLDER] -- CMD...

The guard reads its standard input, a pipe whose other end only the owner holds. When the owner ends by any means,
kill -9 included, the kernel closes the pipe; the guard then ends CMD and everything CMD has started: TERM, and KILL
after the grace. A number written to the pipe before it is closed replaces the grace (0 means KILL at once).

CMD and its JVMs have a folder for temporary files that is removed after them: a Flink that is killed leaves its jars
there, up to a quarter of a gigabyte on a cluster.

On standard output the guard says two lines: `pid N` once CMD runs (or `failed TEXT`), and `exit CODE` at the end, the
way subprocess counts: negative for a signal. CMD's output goes to the guard's standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import mkdtemp
from types import FrameType

import psutil

DEFAULT_GRACE_SECONDS = 10.0
_OWNER_CHECK_SECONDS = 0.5  # a forked sibling may hold the pipe open; then the changed parent tells
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the command given after `--` until it ends, the owner ends, or a signal asks for it."""
    parser = argparse.ArgumentParser(prog="python -m lineage_pipeline.local.guard")
    parser.add_argument("--grace", type=float, default=DEFAULT_GRACE_SECONDS)
    parser.add_argument("--cwd")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)

    owner = os.getppid()
    wake = _wake_pipe()
    asked = _note_stop_signals()
    _adopt_orphans()
    with _own_temp():
        child = _start(options.command, options.cwd)
        if child is None:
            return 127
        grace = _wait(child, owner, wake, asked, options.grace)
        _end_group(child, asked[0] if asked else signal.SIGTERM, grace)
    _say(f"exit {child.returncode}")
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


@contextlib.contextmanager
def _own_temp() -> Iterator[None]:
    """While in it, temporary files of children go to a folder of their own. A JVM does not look at TMPDIR.

    Where none can be made, CMD has the usual one and tells by itself what is wrong with the disk.
    """
    try:
        folder = mkdtemp(prefix="lineage-")
    except OSError:
        yield
        return
    os.environ["TMPDIR"] = folder
    options = os.environ.get("JDK_JAVA_OPTIONS", "")
    os.environ["JDK_JAVA_OPTIONS"] = f'{options} "-Djava.io.tmpdir={folder}"'.strip()
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], cwd: str | None) -> subprocess.Popen[bytes] | None:
    """The running command, announced; None when it cannot be started, and that was said."""
    try:
        # The child gets its own session, so that it can be signalled as a group and no terminal reaches it.
        # preexec_fn is safe here: the guard has one thread.
        child = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True,
            preexec_fn=_die_with_guard,  # noqa: PLW1509  one thread, see above
        )  # fmt: skip
    except OSError as error:
        _say(f"failed {command[0]}: {error.strerror}")
        return None
    _say(f"pid {child.pid}")
    return child


def _wait(child: subprocess.Popen[bytes], owner: int, wake: int, asked: list[int], grace: float) -> float:
    """Return the grace to use, once the child has ended, a signal has come, or the owner has gone."""
    text = b""
    while child.poll() is None and not asked and os.getppid() == owner:
        readable, _, _ = select.select([sys.stdin.fileno(), wake], [], [], _OWNER_CHECK_SECONDS)
        if wake in readable:
            os.read(wake, 4096)
        if sys.stdin.fileno() in readable:
            chunk = os.read(sys.stdin.fileno(), 64)
            if not chunk:
                break
            text += chunk
    with contextlib.suppress(ValueError):
        return float(text)
    return grace


def _end_group(child: subprocess.Popen[bytes], first: int, grace: float) -> None:
    """End the child, its process group and every descendant, even those that left the group; return when all are gone.

    Descendants that were orphaned belong to the guard where the kernel can do that (Linux).
    """
    deadline = time.monotonic() + grace
    if grace > 0:
        _signal_all(child, first)
        while _alive(child) and time.monotonic() < deadline:
            time.sleep(0.02)
    while _alive(child):
        _signal_all(child, signal.SIGKILL)
        time.sleep(0.02)
    child.wait()


def _alive(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    _reap_adopted(child.pid)
    return bool(_descendants()) or _group_exists(child.pid)


def _descendants() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if not _is_zombie(process)]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reap_adopted(child: int) -> None:
    """Collect the zombies of adopted orphans; the child itself is left to subprocess, which wants its exit code."""
    for process in psutil.Process().children():
        if process.pid != child and _is_zombie(process):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def _signal_all(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            # The group has had the signal already: a second TERM makes some programs give up their clean end.
            if number == signal.SIGKILL or os.getpgid(process.pid) != child.pid:
                process.send_signal(number)


def _wake_pipe() -> int:
    """The end of a pipe that becomes readable with every signal, SIGCHLD too, so that select returns at once."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _note_stop_signals() -> list[int]:
    """The list that the numbers of stop signals go to, in the order they come."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return asked


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the group signal and the owner check have to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _adopt_orphans() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _die_with_guard() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner may be gone; that is no reason not to clean up
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
