"""One owner per state directory, by a kernel lock that no crash can leave behind."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import final

import psutil

from lineage_pipeline.errors import SetupError

_PAUSE_SECONDS = 0.1


@final
class StateLock:
    """An exclusive lock on `directory`, which is made when absent. A context manager.

    Give `fileno()` as `hold` to ManagedProcess.start: then the lock stays taken until the processes of a killed owner
    have ended too, and the next owner, which waits for that, never meets them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self, patience: float = 30.0) -> StateLock:
        """Take the lock. Waits up to `patience` seconds for the processes of an owner that is gone.

        Raises SetupError at once when a living process holds it (named by pid), and when the directory is unusable.
        """
        path = self._directory / "lock"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SetupError(
                f"the state directory {self._directory} cannot be used ({error.strerror}): make it writable or choose "
                "another"
            ) from None
        try:
            self._wait(descriptor, time.monotonic() + patience)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def fileno(self) -> int:
        """The descriptor that holds the lock, inheritable only by name (subprocess pass_fds)."""
        if self._descriptor is None:
            raise ValueError("the lock is not held")
        return self._descriptor

    def release(self) -> None:
        """Let go; processes that hold the descriptor keep the lock until they end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> StateLock:
        return self if self._descriptor is not None else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _wait(self, descriptor: int, deadline: float) -> None:
        while not _try_lock(descriptor):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            alive = holder.isdecimal() and psutil.pid_exists(int(holder))
            if alive or time.monotonic() > deadline:
                raise SetupError(
                    f"the state directory {self._directory} is in use by process {holder or 'unknown'}: stop that one "
                    "first, or choose another directory"
                )
            time.sleep(_PAUSE_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
