"""Break each check of the auditor's core once and see that the suite notices: `python -m benchmarks.mutate_core`.

Every test is run once, to know which functions it calls. Then every mutant is put into a fork of this process, and the
tests that call the changed function are run, the quickest first, until one fails. Nothing on disk is touched. Exit code
1 when a mutant survives that benchmarks/equivalent_mutants.txt does not list, or when that list names one that is not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from benchmarks.graft import functions_of, graft
from benchmarks.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
MODULES = (
    *("offsets", "offset_index", "coverage", "classes", "broker_snapshot", "baseline", "evidence", "memory"),
    *("decision", "short_windows", "lake_claims", "lake_comparison", "audit", "report", "completeness"),
    *("hole_reading", "hole_resolution", "recall", "audit_events", "fold", "held_back", "overdue", "expiry"),
    *("lake_manifest", "lake_runs", "lake_evidence", "replayed"),
    *("ledger", "ledger_events", "ledger_json", "ledger_entry", "ledger_checkpoint", "job_start", "repair_decision"),
)
SUITE = (
    *("tests/core", "tests/test_audit_topic.py", "tests/test_remembering.py", "tests/test_audit_lake.py"),
    "tests/test_never_green.py",
)
OUTSIDE = {"broker", "s3", "java", "kafka_jars"}  # fixtures of a real stack: those tests are left out
QUICK, FULL = 12, 80  # examples of a property: to see which functions it calls and for a first try; to be sure
CPU_SECONDS = 60  # a mutant that does not come to an end is noticed


@dataclass
class Known:
    """One test: what it calls in the core, how long it takes with few examples (CPU seconds), what it has noticed."""

    item: Any
    calls: frozenset[str] = frozenset()
    seconds: float = 0.0
    noticed: int = 0

    @property
    def worth(self) -> float:
        """Tests that notice much in little time come first."""
        return (1 + self.noticed) / (0.02 + self.seconds)


@dataclass
class Run:
    """The tests of the suite, and what became of the mutants."""

    modules: Sequence[str]
    every: int
    equivalent: dict[str, str]
    learned: Path | None = None
    tests: list[Known] = field(default_factory=list)
    survivors: list[Mutant] = field(default_factory=list)
    tried: int = 0
    listed: set[str] = field(default_factory=set)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Without the real stack."""
        items[:] = [one for one in items if not OUTSIDE & set(one.fixturenames)]

    def pytest_runtestloop(self, session: Any) -> bool:
        """Instead of running the tests: learn what they call, then break what they call."""
        loaded = {one: importlib.import_module(f"lineage_pipeline.core.{one}") for one in self.modules}
        names = {code: name for one in loaded for name, code in _codes(one)}
        started = time.monotonic()
        self.tests = self._learned(session.items, names)
        failing = [one.item.nodeid for one in self.tests if one.seconds < 0]
        slow = sorted(self.tests, key=lambda one: -one.seconds)[:8]
        print("the slowest:", *(f"{one.seconds:.1f} s {one.item.nodeid}" for one in slow), sep="\n  ")
        print(f"\n{len(self.tests)} tests looked at in {time.monotonic() - started:.0f} s", flush=True)
        if failing:
            print("these fail without any mutation:", *failing, sep="\n  ")
            session.shouldfail = "the suite must pass first"
            return True
        for name, module in loaded.items():
            self._break(name, module)
        return True

    def _learned(self, items: list[Any], names: dict[Any, str]) -> list[Known]:
        """What every test calls: from the file `learned` as far as it knows the test, else by running it."""
        stored = json.loads(self.learned.read_text()) if self.learned and self.learned.exists() else {}
        found = []
        for item in items:
            calls, seconds = stored.get(item.nodeid, (None, -1.0))
            found.append(Known(item, frozenset(calls), seconds) if seconds >= 0 else _learn(item, names))
        if self.learned:
            told = {one.item.nodeid: (sorted(one.calls), one.seconds) for one in found}
            self.learned.write_text(json.dumps(told))
        return found

    def _break(self, name: str, module: Any) -> None:
        number = alive = 0
        for number, mutant in enumerate(mutants(name, Path(str(module.__file__)).read_text()), 1):
            if number % self.every:
                continue
            if mutant.name in self.equivalent:
                self.listed.add(mutant.name)
                continue
            self.tried += 1
            if self._survives(mutant, module):
                alive += 1
                self.survivors.append(mutant)
                print(f"ALIVE line {mutant.line} {mutant.name}", flush=True)
        print(f"{name}: {number} mutants, {alive} alive", flush=True)

    def _survives(self, mutant: Mutant, module: Any) -> bool:
        place = f"{mutant.module}.{mutant.function}"
        # what is not inside of a function can be seen wherever the module is used
        prefix = place if mutant.function in functions_of(module) else f"{mutant.module}."
        calling = [one for one in self.tests if any(_is_within(call, prefix) for call in one.calls)]
        calling.sort(key=lambda one: -one.worth)
        reading, writing = os.pipe()
        survives = _passes(lambda: _all_pass(mutant, module, calling, writing))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            for number in pipe.read().split():
                calling[int(number)].noticed += 1
        return survives


def _is_within(call: str, prefix: str) -> bool:
    return call == prefix or call.startswith(prefix if prefix.endswith(".") else f"{prefix}.")


def _codes(name: str) -> Iterable[tuple[str, Any]]:
    """Every function of a module of the core with its code object."""
    module = importlib.import_module(f"lineage_pipeline.core.{name}")
    return [(f"{name}.{one}", function.__code__) for one, function in functions_of(module).items()]


def _learn(item: Any, names: dict[Any, str]) -> Known:
    """Run the test in a fork, with few examples, and note the core's functions that it calls."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        calls: set[str] = set()

        def called(frame: Any, event: str, _argument: Any) -> None:
            if event == "call" and frame.f_code in names:
                calls.add(names[frame.f_code])

        _silence()
        _examples(item, QUICK)
        before = time.process_time()
        sys.setprofile(called)
        passed = _passed(item)
        sys.setprofile(None)
        seconds = time.process_time() - before if passed else -1.0
        with os.fdopen(writing, "w") as pipe:
            json.dump([sorted(calls), seconds], pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    calls_told, seconds_told = json.loads(told) if told else ([], -1.0)
    return Known(item, frozenset(calls_told), seconds_told)


def _passes(work: Callable[[], bool]) -> bool:
    """Whether `work` says so, in a fork of this process with limited time and memory."""
    child = os.fork()
    if child == 0:
        _in_child(work)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _in_child(work: Callable[[], bool]) -> NoReturn:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        _silence()
        code = 0 if work() else 1
    finally:
        os._exit(code)


def _all_pass(mutant: Mutant, module: Any, calling: Sequence[Known], told: int) -> bool:
    """Whether all tests pass on the mutant; the number of the one that does not is written to the file `told`."""
    if not graft(module, mutant.text):
        raise NotImplementedError(mutant.name)
    for examples in (QUICK, FULL):
        for number, one in enumerate(calling):
            is_property = _examples(one.item, examples)
            if (is_property or examples == QUICK) and not _passed(one.item):
                os.write(told, str(number).encode())
                return False
    return True


def _examples(item: Any, count: int) -> bool:
    """Let a property try at most `count` examples, and not look for a smaller one; False when it is no property."""
    chosen = getattr(item.function, "_hypothesis_internal_use_settings", None)
    if chosen is None:
        return False
    item.function._hypothesis_internal_use_settings = hypothesis.settings(  # noqa: SLF001 - there is no public way
        chosen, max_examples=count, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], database=None
    )
    return True


def _passed(item: Any) -> bool:
    try:
        return all(one.passed for one in runtestprotocol(item, nextitem=None, log=False))
    except BaseException:  # noqa: BLE001 - a mutant may raise anything anywhere
        return False


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _reviewed() -> dict[str, str]:
    """The mutants that mean the same as the original, each with the reason, from the list beside this module."""
    found, reason = {}, ""
    for line in EQUIVALENT.read_text().splitlines():
        if line.startswith("#"):
            reason = line.lstrip("# ")
        elif line.strip():
            found[line.strip()] = reason
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant, for a quick look")
    parser.add_argument("--learned", type=Path, help="keep what the tests call in this file, and believe it")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    run = Run(chosen.modules, chosen.every, _reviewed(), chosen.learned)
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-o", "timeout=0", "-s"]
    code = pytest.main([*options, "-W", "ignore", "--hypothesis-seed=1", *SUITE], plugins=[run])
    if code not in {0, pytest.ExitCode.NO_TESTS_COLLECTED} or not run.tests:
        return 2
    print(f"{run.tried} mutants tried, {len(run.listed)} equivalent by review, {len(run.survivors)} survivors")
    unknown = sorted(one for one in run.equivalent.keys() - run.listed if one.split(".")[0] in chosen.modules)
    if unknown and chosen.every == 1:
        print("listed as equivalent, but there is no such mutant:", *unknown, sep="\n  ")
        return 1
    return 1 if run.survivors else 0


if __name__ == "__main__":
    sys.exit(main())
