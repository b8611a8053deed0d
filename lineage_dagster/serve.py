"""`python -m lineage_dagster.serve ARGUMENTS`: webserver, daemon and code server together, and SIGTERM ends them all.

Dagster answers SIGTERM the way it answers SIGINT. A process started in the background by a shell inherits "ignore
SIGINT", and would then ignore SIGTERM as well.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Become `dagster dev`, with the default reaction to signals."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "dagster", "dev", *sys.argv[1:]])  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main()
