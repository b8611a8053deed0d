"""`lineage repair --execute` that kills itself: `python -m tests.e2e.killed_repair N before|after ARGUMENTS`.

A real SIGKILL at the N-th object that is written, before or after it has its name.
"""

from __future__ import annotations

import os
import signal
import sys

from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.cli import main

_put = DirectoryStore.put


def kill_at(number: int, when: str) -> None:
    count = 0

    def tick(moment: str, key: str) -> None:
        nonlocal count
        if moment == when and "/repair-" in key:  # not what an audit keeps
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    def put(self: DirectoryStore, key: str, data: bytes) -> None:
        tick("before", key)
        _put(self, key, data)
        tick("after", key)

    DirectoryStore.put = put  # type: ignore[method-assign]


if __name__ == "__main__":
    kill_at(int(sys.argv[1]), sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    main()
