"""`make bench`, or `python -m benchmarks [NAME ...]`: ratios of runs side by side on this machine, in this minute.

A figure alone says little on a shared machine; two runs in turn can be compared. Every benchmark prints its rounds, the
ratio of the medians, and the goal it is held against. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import importlib
import sys

BENCHMARKS = ("job_cost", "audit_cost", "lake_cost", "incremental_cost", "dagster_ticks")


def main() -> int:
    """Run the named benchmarks, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    chosen = parser.parse_args().names or list(BENCHMARKS)
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: choose of {', '.join(BENCHMARKS)}")
    results = [importlib.import_module(f"benchmarks.{name}").run() for name in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
