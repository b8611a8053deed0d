"""Mutated payloads of all formats through the decoder: `python -m benchmarks.fuzz_decode --payloads N`.

The long form of tests/flink/test_decode_fuzz.py, with the same checks: no exception, a known reason, and the values
that another reader finds. Prints how often each outcome was seen by format, and the most memory that was held.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.rounds import peak_mib
from tests.flink.mutated_payloads import CHECKS

CHUNK = 10_000


def check(task: tuple[str, int]) -> tuple[str, dict[str, int], float]:
    """The format, the outcomes of one chunk, and this process's peak of memory so far."""
    name, seed = task
    return name, CHECKS[name](seed, CHUNK), peak_mib()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payloads", type=int, default=1_000_000, help="of all formats together")
    parser.add_argument("--format", choices=CHECKS, action="append", help="only this one; may be given again")
    parser.add_argument("--seed", type=int, default=0, help="of the first chunk; the others follow it")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    names = chosen.format or list(CHECKS)
    chunks = -(-chosen.payloads // (CHUNK * len(names)))
    tasks = [(name, chosen.seed + chunk) for chunk in range(chunks) for name in names]
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in names}
    peak = 0.0
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        for name, found, held in pool.map(check, tasks):
            outcomes[name].update(found)
            peak = max(peak, held)
    for name, found in outcomes.items():
        print(f"{name}: {found.total():,} payloads")
        for word, count in found.most_common():
            print(f"  {word:<22}{count:>12,}")
    print(f"{sum(found.total() for found in outcomes.values()):,} payloads, at most {peak:,.0f} MiB held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
