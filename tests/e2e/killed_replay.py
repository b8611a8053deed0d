"""`lineage quarantine replay --execute` that kills itself: `python -m tests.e2e.killed_replay N before|after ARGS`.

A real SIGKILL at the N-th thing it writes (claim, note, data object), before or after it has its name.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.cli import main


def kill_at(number: int, when: str) -> None:
    count = 0

    def tick(moment: str, key: str) -> None:
        nonlocal count
        if moment == when and "replay" in key:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    def ticking(write: Any) -> Any:
        def done(self: DirectoryStore, key: str, data: bytes) -> Any:
            tick("before", key)
            result = write(self, key, data)
            tick("after", key)
            return result

        return done

    DirectoryStore.put = ticking(DirectoryStore.put)  # type: ignore[method-assign]
    DirectoryStore.put_new = ticking(DirectoryStore.put_new)  # type: ignore[method-assign]


if __name__ == "__main__":
    kill_at(int(sys.argv[1]), sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    main()
