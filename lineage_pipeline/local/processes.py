"""Child processes that never outlive their owner: each runs under a guard (see guard.py) and logs to a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, final

from lineage_pipeline.errors import ProcessError, SetupError
from lineage_pipeline.local.guard import DEFAULT_GRACE_SECONDS

LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 64_000
_LOG_LIMIT_BYTES = 5_000_000  # a log longer than that is put aside at the next start
_GUARD_START_SECONDS = 30.0
_KILL_SECONDS = 10.0  # after the grace: how long the kernel may take to end what was killed
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


@final
class ManagedProcess:
    """A running command and its guard. Made by `start`; a context manager that stops it.

    When the owner ends without calling stop, even by kill -9, the guard ends the command and all its descendants.
    """

    def __init__(self, guard: subprocess.Popen[str], pid: int, log_path: Path, grace: float) -> None:
        self._guard = guard
        self._grace = grace
        self._exit_code: int | None = None
        self.pid = pid  # of the command, which is also the id of its process group
        self.log_path = log_path
        # Its line is the only truth about the exit code: the guard's own code cannot say -15 and 143 apart.
        self._reader = threading.Thread(target=self._read_exit, name=f"guard-{pid}", daemon=True)
        self._reader.start()

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        log_path: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        hold: Sequence[int] = (),
        grace: float = DEFAULT_GRACE_SECONDS,
    ) -> ManagedProcess:
        """Start `command` with its output appended to `log_path`.

        `env` replaces the environment; `hold` are file descriptors that stay open until the command has ended
        (StateLock.fileno, so that the next owner waits for it); `grace` is how many seconds the command gets to end
        cleanly, also when the owner has gone without a word. Its temporary files are removed when it has ended.
        Raises ProcessError when it cannot be started and SetupError when the log cannot be written.
        """
        words = [str(word) for word in command]
        options = ["--grace", str(grace), *([] if cwd is None else ["--cwd", str(cwd)])]
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            _rotate(log_path)
            with log_path.open("ab") as log:
                guard = subprocess.Popen(
                    [sys.executable, "-m", "lineage_pipeline.local.guard", *options, "--", *words],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    env=None if env is None else dict(env), start_new_session=True, pass_fds=tuple(hold),
                )  # fmt: skip
        except OSError as error:
            raise SetupError(f"{words[0]} cannot be started with log {log_path} ({error.strerror})") from None
        assert guard.stdout is not None
        said = guard.stdout.readline().strip()
        if said.startswith("pid "):
            return cls(guard, int(said.removeprefix("pid ")), log_path, grace)
        _close(guard.stdin)
        _close(guard.stdout)
        guard.wait(_GUARD_START_SECONDS)
        detail = said.removeprefix("failed ") or f"its guard ended{log_tail(log_path)}"
        raise ProcessError(f"{Path(words[0]).name} could not be started: {detail}")

    @property
    def guard_pid(self) -> int:
        """The guard's process id."""
        return self._guard.pid

    def poll(self) -> int | None:
        """The command's exit code, negative for a signal, once it and all its descendants have ended; else None."""
        if self._reader.is_alive():
            return None
        # No word from the guard: it was killed itself, and the kernel killed the command with it.
        return self._exit_code if self._exit_code is not None else -9

    def wait_ready(self, probe: Callable[[], bool], timeout: float, what: str = "the process") -> None:
        """Return as soon as `probe` says True; ask with growing pauses.

        Raises ProcessError with the last log lines, at once when the command has ended, else after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS
        while not probe():
            if self.poll() is not None:
                raise ProcessError(f"{what} ended with code {self.poll()} before it was ready{log_tail(self.log_path)}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{what} was not ready within {timeout:.0f} s{log_tail(self.log_path)}")
            self._reader.join(pause)  # wakes up early when the command ends
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def end_in_order(self, patience: float) -> None:
        """TERM for the command alone, which then ends its own children; return once all ended, or after `patience` s.

        For commands whose children must not hear of it first. Call `stop` in any case behind it.
        """
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self._reader.join(patience)

    def stop(self, grace: float | None = None) -> int:
        """End the command and its descendants: TERM, KILL after `grace` seconds (0: KILL at once); return its code.

        Without `grace`, the one given at the start counts. May be called again. Raises ProcessError when something
        survives even that.
        """
        patience = self._grace if grace is None else grace
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(str(patience))
            _close(self._guard.stdin)
        self._reader.join(patience + _KILL_SECONDS)
        try:
            self._guard.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProcessError(
                f"process {self.pid} does not end, not even by SIGKILL: end it by hand; its log is {self.log_path}"
            ) from None
        code = self.poll()
        assert code is not None
        return code

    def __enter__(self) -> ManagedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_exit(self) -> None:
        assert self._guard.stdout is not None
        with self._guard.stdout as lines:
            for line in lines:
                if line.startswith("exit "):
                    self._exit_code = int(line.removeprefix("exit "))


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The file's last lines as the end of a message, or a word that there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f" (its log {path} cannot be read: {error.strerror})"
    last = [line for line in text.splitlines() if line.strip()][-lines:]
    if not last:
        return f" (its log {path} is empty)"
    return f"; the last lines of {path}:\n" + "\n".join(last)


def _rotate(path: Path) -> None:
    """Put a log that has grown long aside, in place of the one before: a year of restarts must not fill the disk."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()
