"""Break each check of the auditor's core once and see that the fast suite notices: `python benchmarks/mutate_core.py`.

Every mutant is one changed node of one module's syntax tree: a comparison, a boolean, a condition, a boundary, a claim
left out. It lives in a temporary copy of the package; the checkout is never touched. Exit code 1 when a mutant lives
that is not listed, with its reason, in EQUIVALENT.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis.strategies  # noqa: F401 - imported once, before the forks
import numpy as np  # noqa: F401 - the same
import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = Path("lineage_pipeline/core")
MODULES = (
    *("offsets", "offset_index", "coverage", "broker_snapshot", "classes", "evidence"),
    *("baseline", "decision", "short_windows", "audit", "report", "coverage_map", "hole_reading", "hole_resolution"),
)
TESTS = (
    *("test_decision", "test_coverage", "test_offsets", "test_broker_snapshot", "test_report_golden"),
    *("test_coverage_map", "test_offset_index", "test_audit_against_oracle", "test_hole_resolution"),
)
# mutants that mean the same as the original, by `module: source before -> source after`, and why
_ALL_OR_NONE = "the checked values have last_stable exactly when they have the others; the type checker wants it said"
_STABLE = "self.evidence.isolation == 'read_committed' and self.offsets.last_stable is not None"
EQUIVALENT: dict[str, str] = {
    f"decision: {_STABLE} -> self.evidence.isolation == 'read_committed'": _ALL_OR_NONE,
}

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def mutants(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(node, what replaces it) for every mutation of the module, one at a time."""
    decorated = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    skipped = {id(part) for node in decorated for mark in node.decorator_list for part in ast.walk(mark)}
    for node in ast.walk(tree):
        if id(node) not in skipped:  # `frozen=True` is for the reader and the type checker
            yield from ((node, changed) for changed in changes(node))


def changes(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901 - one branch per kind of node
    """Every way to break one node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in _COMPARE.get(type(operator), ()):
                changed = copy.deepcopy(node)
                changed.ops[index] = other()
                yield changed
    elif isinstance(node, ast.BoolOp):
        changed = copy.deepcopy(node)
        changed.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield changed
        yield from (copy.deepcopy(value) for value in node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        if not _is_text(node):
            changed = copy.deepcopy(node)
            changed.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield changed
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    swaps = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in swaps:
        changed = copy.deepcopy(node)
        if isinstance(changed.func, ast.Name):
            changed.func.id = swaps[name]
        elif isinstance(changed.func, ast.Attribute):
            changed.func.attr = swaps[name]
        yield changed


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr) for side in (node.left, node.right))


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        return self.replacement if node is self.target else super().visit(node)


def mutated(source: str, number: int) -> tuple[str, str, int] | None:
    """The module's text with mutation `number`, its description and line; None past the last one."""
    tree = ast.parse(source)
    for index, (node, replacement) in enumerate(mutants(tree)):
        if index == number:
            before, line = ast.unparse(node), getattr(node, "lineno", 0)
            changed = _Replace(node, ast.copy_location(replacement, node)).visit(tree)
            after = ast.unparse(replacement)
            return ast.unparse(ast.fix_missing_locations(changed)), f"{before} -> {after}", line
    return None


def survives(project: Path, timeout: float) -> bool:
    """Whether the fast suite passes in a fork of this process; a mutant that hangs counts as noticed."""
    child = os.fork()
    if child == 0:
        _run_tests_and_exit(project)
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests_and_exit(project: Path) -> NoReturn:
    """In the child: what takes long to import came along with the fork, the mutated package is imported now."""
    code = 1
    try:
        os.chdir(project)
        sys.path.insert(0, str(project))
        sys.dont_write_bytecode = True  # mutants of one size in one second would share compiled files
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-seed=1"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # imported before the fork on purpose
        code = pytest.main([*options, *(f"tests/core/{name}.py" for name in TESTS)])
    finally:
        os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant, for a quick look")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("lineage_pipeline", "tests"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        shutil.copy(ROOT / "pyproject.toml", project)
        (project / "tests" / "conftest.py").unlink(missing_ok=True)  # the broker is not needed, nor its imports
        started = time.monotonic()
        if not survives(project, 600):
            print("the suite fails without any mutation: nothing to learn")
            return 2
        limit = 5 * (time.monotonic() - started) + 30
        alive = tried = 0
        for module in arguments.modules:
            path = project / CORE / f"{module}.py"
            source = path.read_text()
            number = 0
            while (mutant := mutated(source, number)) is not None:
                number += 1
                text, what, line = mutant
                if number % arguments.every or f"{module}: {what}" in EQUIVALENT:
                    continue
                tried += 1
                path.write_text(text)
                if survives(project, limit):
                    alive += 1
                    print(f"ALIVE {module}.py:{line}: {what}", flush=True)
            path.write_text(source)
            print(f"{module}: {number} mutants", flush=True)
        print(f"{tried} mutants, {alive} alive")
        return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
