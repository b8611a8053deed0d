"""A broker or S3 server for all workers of a test run: who needs it first starts it, and stops it after the others."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
_LONGEST_WAIT_SECONDS = 300.0  # for workers that still use it; one that crashed does not say goodbye
_PAUSE_SECONDS = 0.2


@contextmanager
def shared(
    folder: Path, start: Callable[[Path], AbstractContextManager[T]], attach: Callable[[Path], T]
) -> Iterator[T]:
    """The service with its files in `folder`, which all workers know: started by `start`, or found by `attach`."""
    folder.mkdir(exist_ok=True)
    state, users, owner = folder / "state", folder / "users", folder / "owner"
    with ExitStack() as stack:
        with _locked(folder):
            ours = not _lives(owner)
            if ours:
                users.unlink(missing_ok=True)  # of an owner that crashed, and its service with it
            service = stack.enter_context(start(state)) if ours else attach(state)
            if ours:
                owner.write_text(str(os.getpid()))
            users.write_text(str(_count(users) + 1))
        try:
            yield service
        finally:
            with _locked(folder):
                users.write_text(str(_count(users) - 1))
            if ours:
                _stop_after_the_others(folder, stack)


def _stop_after_the_others(folder: Path, service: ExitStack) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        with _locked(folder):
            if _count(folder / "users") <= 0 or time.monotonic() > deadline:
                service.close()  # under the lock: who comes now starts it anew
                (folder / "owner").unlink()
                return
        time.sleep(_PAUSE_SECONDS)


def _lives(owner: Path) -> bool:
    return owner.exists() and psutil.pid_exists(int(owner.read_text()))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _count(users: Path) -> int:
    return int(users.read_text() or 0) if users.exists() else 0
