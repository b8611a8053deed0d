"""Pages that list what the code has: what is new there must be told, and what is gone must not be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def first_cells(page: str, heading: str) -> set[str]:
    """The words in the first column of the page's tables whose first column has this heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    tables = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert tables, f"{page} has no table of {heading}"
    rows = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return {word.strip(" `") for row in rows for word in row.split(",")}


def finding_kinds() -> Iterator[str]:
    for path in (ROOT / "lineage_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if made and node.func.id in {"Finding", "LakeNote", "_expiring"} and node.args:
                if isinstance(node.args[0], ast.Constant):
                    yield node.args[0].value


def test_every_kind_of_finding_is_on_the_page_of_the_audit_or_of_the_lake() -> None:
    told = first_cells("audit.md", "kind") | first_cells("lake.md", "finding")
    assert told == set(finding_kinds())
