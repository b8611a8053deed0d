"""Pure: every way to break one place of a module: a comparison, a boundary, a guard, a set operation, a constant."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

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
_SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
_SETS = {"union", "intersection", "difference", "clip", "within", "complement"}
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """One changed node: the module's text with it, where it is (function and line), and what became of what."""

    module: str
    function: str
    line: int
    change: str
    text: str

    @property
    def name(self) -> str:
        """What it is known by in the list of equivalent ones: independent of line numbers."""
        return f"{self.module}.{self.function}: {self.change}"


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of the module, one changed node each."""
    tree = ast.parse(source)
    names = _functions(tree)
    decorated = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    skipped = {id(part) for node in decorated for mark in node.decorator_list for part in ast.walk(mark)}
    skipped |= _unseen(tree)
    seen: Counter[tuple[str, str]] = Counter()
    for node in ast.walk(tree):
        if id(node) in skipped:  # `frozen=True` is for the reader and the type checker
            continue
        for replacement in changes(node):
            changed = _Replace(node, ast.copy_location(replacement, node)).visit(tree)
            text = ast.unparse(ast.fix_missing_locations(changed))
            _Replace(replacement, node).visit(tree)
            function = names.get(id(node), "<module>")
            change = _told(*(" ".join(ast.unparse(one).split()) for one in (node, replacement)))
            seen[function, change] += 1
            if seen[function, change] > 1:
                change = f"{change} ({seen[function, change]})"
            yield Mutant(module, function, getattr(node, "lineno", 0), change, text)


def changes(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - one branch per kind of node
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
        for index in range(len(node.values)):
            left = [copy.deepcopy(value) for number, value in enumerate(node.values) if number != index]
            yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and not _is_text(node):
        changed = copy.deepcopy(node)
        changed.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield changed
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Constant) and type(node.value) in {bool, int, float}:
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.AugAssign) or _is_call(node):
        yield ast.Pass()
    elif isinstance(node, ast.If):
        yield from _guards(node)
    elif isinstance(node, ast.comprehension) and node.ifs:
        changed = copy.deepcopy(node)
        changed.ifs = changed.ifs[1:]
        yield changed
    elif isinstance(node, ast.ExceptHandler):
        changed = copy.deepcopy(node)
        changed.body = [ast.Raise()]
        yield changed


def _guards(node: ast.If) -> Iterator[ast.AST]:
    """A guard that never holds: the early return, the refusal or the jump behind it is gone."""
    if isinstance(node.body[-1], _LEAVING):
        changed = copy.deepcopy(node)
        changed.test = ast.Constant(False)
        yield changed
    if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), changed.test)
        yield changed


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in _SWAPS:
        changed = copy.deepcopy(node)
        if isinstance(changed.func, ast.Name):
            changed.func.id = _SWAPS[name]
        elif isinstance(changed.func, ast.Attribute):
            changed.func.attr = _SWAPS[name]
        yield changed
    if name in _SETS and isinstance(node.func, ast.Attribute):
        yield copy.deepcopy(node.func.value)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.YieldFrom | ast.Yield)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr) for side in (node.left, node.right))


def _unseen(tree: ast.Module) -> set[int]:
    """What no test should hold fast: the wording of sentences, how an object prints, stated types."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.FormattedValue | ast.AnnAssign)]
    parts = [
        part
        for node in texts
        for part in ([node.annotation] if isinstance(node, ast.AnnAssign) else [node.format_spec or ast.Pass()])
    ]
    printed = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__repr__"]
    return {id(inner) for part in (*parts, *printed) for inner in ast.walk(part)}


def _functions(tree: ast.Module) -> dict[int, str]:
    """Node -> the name of the function or class around it."""
    found: dict[int, str] = {}

    def enter(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = f"{name}.{child.name}" if isinstance(child, ast.ClassDef | ast.FunctionDef) else name
            found[id(child)] = inner.strip(".") or "<module>"
            enter(child, inner)

    enter(tree, "")
    return found


def _told(before: str, after: str) -> str:
    if len(before) <= 160:
        return f"{before} -> {after}"
    # long statements differ in one place: show that place
    start = next((i for i, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(after))
    return f"...{before[max(0, start - 60) : start + 60]}... -> ...{after[max(0, start - 60) : start + 60]}..."


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        return self.replacement if node is self.target else super().visit(node)
