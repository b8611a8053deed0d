"""Play many seeded histories of broker, writer and auditor: `python -m benchmarks.simulate --histories N --seed S`.

Exit code 1 when the auditor broke a promise; each such history is printed with its seed.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.history import BrokenPromiseError
from tests.simulation.play import play

CHUNK = 100


def failures(seeds: Iterable[int]) -> list[str]:
    """What went wrong in the histories of these seeds."""
    gc.freeze()  # what the imports left is looked through no more: a fifth of the time
    found = []
    for seed in seeds:
        try:
            play(seed)
        except BrokenPromiseError as error:
            found.append(f"seed {seed}: {error}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first history; the others follow it")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    last = chosen.seed + chosen.histories
    chunks = [range(first, min(first + CHUNK, last)) for first in range(chosen.seed, last, CHUNK)]
    broken = 0
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        for number, found in enumerate(pool.map(failures, chunks)):
            broken += len(found)
            print(*found, sep="\n\n", end="\n\n" if found else "")
            print(f"{min((number + 1) * CHUNK, chosen.histories)} histories, {broken} broken promises", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
