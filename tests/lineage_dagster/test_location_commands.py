"""Dagster's own commands on the location, as CI and people use them: `dg check`, `dg list`, `dagster definitions`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage_pipeline.settings import without_settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LAYERS = ("kafka", "lake", "lake_files", "audit")
TOPICS = "topics: [{name: orders-v1}, {name: clicks, audit: {books: [index]}}]"


def _run(directory: Path, settings: str, *command: str) -> subprocess.CompletedProcess[str]:
    (directory / "lineage.yaml").write_text(settings)
    shutil.copy(ROOT / "docs" / "dagster.yaml", directory)
    environ = {
        **without_settings(os.environ),
        "LINEAGE_CONFIG": str(directory / "lineage.yaml"),
        "DAGSTER_HOME": str(directory),
        "HOME": str(directory),
        "VIRTUAL_ENV": str(BIN.parent),
    }
    program, *arguments = command
    return subprocess.run(
        [BIN / program, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


def test_dg_lists_every_topics_assets_and_checks(tmp_path: Path):
    done = _run(tmp_path, TOPICS, "dg", "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = {f"{layer}/{topic}" for layer in LAYERS for topic in ("orders-v1", "clicks")}
    assert {one["asset_key"] for one in found["assets"]} == expected | {"audit/summary"}
    assert "audit/orders-v1:completeness" in {one["key"] for one in found["asset_checks"]}


@pytest.mark.parametrize(
    "command", [("dg", "check", "defs"), ("dagster", "definitions", "validate", "-w", "workspace.yaml")], ids=" ".join
)
def test_the_location_is_valid(command: tuple[str, ...], tmp_path: Path):
    good = _run(tmp_path, TOPICS, *command)
    assert good.returncode == 0, good.stderr


def test_a_mistake_in_its_settings_is_told(tmp_path: Path):
    bad = _run(tmp_path, "topics: [{name: t, retnetion: {data_days: 3}}]", "dg", "check", "defs")
    assert bad.returncode != 0
    assert "did you mean `retention`" in bad.stdout + bad.stderr
