"""Pages that list what the code has: what is new there must be told, and what is gone must not be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lineage_pipeline.alert_settings import AlertSettings
from lineage_pipeline.cli import lineage
from lineage_pipeline.secret_reference import SecretReference
from lineage_pipeline.settings import _ENVIRONMENT, _NOT_IN_FILES, DEFAULT_LAKE, Settings
from lineage_pipeline.settings_problem import _model_in

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the page's tables whose first column has this heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    tables = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert tables, f"{page} has no table of {heading}"
    return [[cell.strip() for cell in row.split("|")[1:-1]] for table in tables for row in table.splitlines()]


def first_cells(page: str, heading: str) -> set[str]:
    """The words in the first column of these tables."""
    return {word.strip(" `") for row in rows_of(page, heading) for word in row[0].split(",")}


def finding_kinds() -> Iterator[str]:
    for path in (ROOT / "lineage_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if made and node.func.id in {"Finding", "LakeNote", "_expiring"} and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def test_every_kind_of_finding_is_on_the_page_of_the_audit_or_of_the_lake() -> None:
    told = first_cells("audit.md", "kind") | first_cells("lake.md", "finding")
    assert told == set(finding_kinds())


def test_every_command_is_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    names = lineage.list_commands(click.Context(lineage))
    assert [name for name in names if f"| `lineage {name}" not in page and f", `lineage {name}" not in page] == []


# ---- docs/settings.md


def keys_of(model: type[BaseModel], below: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """All keys of a model and of the models in it, with dots; `[]` behind a list."""
    for name, field in model.model_fields.items():
        key = f"{below}{field.alias or name}"
        if name not in _NOT_IN_FILES:
            yield key, field
            inner = _model_in(field.annotation)
            if inner is not None and inner is not SecretReference:
                many = get_origin(field.annotation) is tuple
                yield from keys_of(inner, f"{key}{'[]' if many else ''}.")


def shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


KEYS = {**dict(keys_of(Settings)), **dict(keys_of(AlertSettings, "alerts."))}


def test_every_key_of_the_settings_is_on_their_page_and_no_other() -> None:
    told = [row[0].strip("`") for row in rows_of("settings.md", "key")]
    assert sorted(told) == sorted({*KEYS, "lake"})


def test_the_page_of_settings_has_the_defaults_of_the_code() -> None:
    for name, _, default, _ in rows_of("settings.md", "key"):
        field = KEYS.get(name.strip("`"))
        if field is None:
            assert (name, default) == ("`lake`", f"`{DEFAULT_LAKE}`")
        elif isinstance(field.default, (bool, int, float, str)) or (field.default and type(field.default) is tuple):
            assert default == f"`{shown(field.default)}`", name


def test_every_variable_of_the_environment_is_on_the_page_of_settings() -> None:
    others = {"KAFKA_TOPIC", "LINEAGE_CONFIG", "LINEAGE_CACHE", "AWS_*"}
    assert first_cells("settings.md", "variable") >= {*_ENVIRONMENT, *others}
