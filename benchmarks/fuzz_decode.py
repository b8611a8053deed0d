"""Mutated payloads of three schema versions through the decoder: `python -m benchmarks.fuzz_decode --payloads N`.

The long form of tests/flink/test_decode_confluent.py, with the same checks: no exception, a known reason, and the
values that fastavro reads. Prints how often each outcome was seen, and the most memory that was held.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.rounds import peak_mib
from tests.flink.test_decode_confluent import check_mutations

CHUNK = 50_000


def check(seed: int) -> tuple[dict[str, int], float]:
    """The outcomes of one chunk, and this process's peak of memory so far."""
    return check_mutations(seed, CHUNK), peak_mib()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payloads", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first chunk; the others follow it")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    seeds = range(chosen.seed, chosen.seed + -(-chosen.payloads // CHUNK))
    outcomes: Counter[str] = Counter()
    peak = 0.0
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        for found, held in pool.map(check, seeds):
            outcomes.update(found)
            peak = max(peak, held)
    for word, count in outcomes.most_common():
        print(f"{word:<24}{count:>12,}")
    print(f"{outcomes.total():,} payloads, at most {peak:,.0f} MiB held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
