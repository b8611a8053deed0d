"""What each service of the stack costs in memory and CPU, read from its cgroup: the table of docs/operations.md."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.compose.stack import Stack, until

RATES = (10, 10_000)
WARM_UP_SECONDS = 60.0  # several checkpoints and an audit
WINDOW_SECONDS = 120.0
_CGROUPS = Path("/sys/fs/cgroup")
_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Of one service in one window: the most memory it needed (MiB, without page cache), and CPU in cores."""

    mib: float
    cores: float


def measure(stack: Stack) -> None:
    """Bring the stack up, measure at each rate, print the table."""
    stack.up()
    until(lambda: stack.indexed() > 0, "the first records in the index")
    columns = {}
    with _health_checks(stack):
        for rate in RATES:
            stack.at_rate(rate)
            time.sleep(WARM_UP_SECONDS)
            before, began = stack.indexed(), time.monotonic()
            columns[rate] = _window(stack)
            arrived = (stack.indexed() - before) / (time.monotonic() - began)
            print(f"  at {rate} records/s: {arrived:.0f} records/s arrived in the index", flush=True)
            assert arrived > rate * 0.8, "the stack did not keep up, so these are not its costs at that rate"
    print(table(columns, {name: one["mem_limit"] for name, one in stack.services.items()}))


def table(columns: Mapping[int, Mapping[str, Cost]], limits: Mapping[str, str]) -> str:
    """The figures as Markdown."""
    names = sorted({name for costs in columns.values() for name in costs})
    heads = [f"{rate:,} records/s: MiB, cores" for rate in columns]
    lines = [f"| service | {' | '.join(heads)} | memory limit |", "|---" * (len(heads) + 2) + "|"]
    for name in names:
        cells = [f"{costs[name].mib:.0f}, {costs[name].cores:.2f}" for costs in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {limits[name]} |")
    sums = [
        f"{sum(one.mib for one in costs.values()):.0f}, {sum(one.cores for one in costs.values()):.2f}"
        for costs in columns.values()
    ]
    return "\n".join([*lines, f"| together | {' | '.join(sums)} | |"])


def _window(stack: Stack) -> dict[str, Cost]:
    pids = {name: int(one["State"]["Pid"]) for name, one in stack.containers().items()}
    groups = {name: _Group(pid) for name, pid in pids.items() if pid}
    began, first = time.monotonic(), {name: group.cpu_seconds() for name, group in groups.items()}
    most = dict.fromkeys(groups, 0)
    while time.monotonic() - began < WINDOW_SECONDS:
        for name, group in groups.items():
            most[name] = max(most[name], group.working_set())
        time.sleep(1)
    took = time.monotonic() - began
    return {name: Cost(most[name] / _MIB, (group.cpu_seconds() - first[name]) / took) for name, group in groups.items()}


class _Group:
    """The cgroup of a container, of either version."""

    def __init__(self, pid: int) -> None:
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        paths = {controller: path.lstrip("/") for _, names, path in lines for controller in names.split(",")}
        self._first = "memory" in paths
        if self._first:
            self._memory = _CGROUPS / "memory" / paths["memory"]
            self._cpu = _CGROUPS / "cpuacct" / paths["cpuacct"]
        else:
            self._memory = self._cpu = _CGROUPS / paths[""]

    def working_set(self) -> int:
        """Bytes that could not be given back: as `docker stats` counts."""
        stat = dict(line.split() for line in (self._memory / "memory.stat").read_text().splitlines())
        used = (self._memory / ("memory.usage_in_bytes" if self._first else "memory.current")).read_text()
        return int(used) - int(stat["total_inactive_file" if self._first else "inactive_file"])

    def cpu_seconds(self) -> float:
        if self._first:
            return int((self._cpu / "cpuacct.usage").read_text()) / 1e9
        stat = dict(line.split() for line in (self._cpu / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6


@contextmanager
def _health_checks(stack: Stack) -> Iterator[None]:
    """Run every health check at its interval, as an engine does: they cost something too."""
    over = threading.Event()

    def ask(service: str, interval: float) -> None:
        while not over.wait(interval):
            stack.healthy(service)

    intervals = {name: _seconds(one["healthcheck"]["interval"]) for name, one in _checked(stack)}
    threads = [threading.Thread(target=ask, args=pair) for pair in intervals.items()]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in threads:
            one.join()


def _checked(stack: Stack) -> Sequence[tuple[str, dict[str, dict[str, str]]]]:
    return [(name, one) for name, one in stack.services.items() if "healthcheck" in one and "profiles" not in one]


def _seconds(text: str) -> float:
    assert text.endswith("s"), text
    return float(text.removesuffix("s"))
