"""`lineage quarantine replay --execute` that kills itself: `python -m tests.e2e.killed_replay WHAT WHEN ARGUMENTS`.

A real SIGKILL at the first WHAT it writes (claim, note or data), WHEN it is not begun (before), flushed to disk without
its name (unnamed), or there (after).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.cli import main

# The whole folder or name: the topic may be called what it likes, and what an audit keeps is none of these.
WHAT = {"claim": "_replays/[^/]+/claims/", "note": "_replays/[^/]+/attempts/", "data": "/replay-[^/]+$"}


def kill_at(what: str, when: str) -> None:
    def tick(moment: str, key: str) -> None:
        if moment == when and re.search(WHAT[what], key):
            os.kill(os.getpid(), signal.SIGKILL)

    def ticking(write: Any) -> Any:
        def done(self: DirectoryStore, key: str, data: bytes) -> Any:
            tick("before", key)
            result = write(self, key, data)
            tick("after", key)
            return result

        return done

    def replace(self: Path, target: Path) -> Path:
        tick("unnamed", str(target))
        return named(self, target)

    def hardlink_to(self: Path, target: Path) -> None:
        tick("unnamed", str(self))
        linked(self, target)

    named, linked = Path.replace, Path.hardlink_to
    Path.replace, Path.hardlink_to = replace, hardlink_to  # type: ignore[assignment,method-assign]
    DirectoryStore.put = ticking(DirectoryStore.put)  # type: ignore[method-assign]
    DirectoryStore.put_new = ticking(DirectoryStore.put_new)  # type: ignore[method-assign]


if __name__ == "__main__":
    kill_at(sys.argv[1], sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    main()
