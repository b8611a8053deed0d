"""Runs in turn (A B C A B C ...), each in a process of its own, and the ratio of their medians against a goal."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figures:
    """One run: `seconds` as the child measured them (imports not counted), `peak_mib` of its memory."""

    seconds: float
    peak_mib: float


def in_turn(module: str, variants: Sequence[Sequence[str]], rounds: int) -> list[list[Figures]]:
    """Run `python -m module VARIANT...` for every variant in turn; the child prints one JSON line with its figures.

    `cpu` (seconds) and `mib_read` are printed when they are in it.
    """
    figures: list[list[Figures]] = [[] for _ in variants]
    for number in range(rounds):
        for place, variant in enumerate(variants):
            done = subprocess.run([sys.executable, "-m", module, *variant], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SystemExit(f"{module} {' '.join(variant)} failed:\n{done.stderr[-3000:]}")
            line = json.loads(done.stdout.strip().splitlines()[-1])
            figures[place].append(Figures(line["seconds"], line["peak_mib"]))
            more = f"{line['cpu']:8.1f} s of CPU" if "cpu" in line else ""
            more += f"{line['mib_read']:8.0f} MiB read" if "mib_read" in line else ""
            print(
                f"  round {number + 1}: {variant[0]:<16} {line['seconds']:8.2f} s {line['peak_mib']:8.0f} MiB{more}",
                flush=True,
            )
    return figures


def median_seconds(figures: Sequence[Figures]) -> float:
    """The median of the rounds."""
    return statistics.median(one.seconds for one in figures)


def judge(what: str, value: float, goal: float, unit: str = "x") -> bool:
    """Print the value beside its goal (at most), and say whether it is met."""
    met = value <= goal
    print(f"{'met   ' if met else 'MISSED'} {what}: {value:.2f}{unit} (goal: at most {goal:g}{unit})", flush=True)
    return met


def peak_mib(pid: int | str = "self") -> float:
    """The most memory a process has held, by default this one. Not ru_maxrss: on Linux it begins with the parent's."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
