"""README's promises of `lineage demo --exit`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lineage_up import lineage, started_in

pytestmark = pytest.mark.e2e


def test_the_demo_finds_exactly_the_planted_loss_that_no_count_sees(tmp_path: Path) -> None:
    done = lineage("demo", "--exit", "--records", "20000", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "produced 20,000 = data" in done.stdout
    assert "(20,000 distinct offsets)" in done.stdout
    assert "lineage-input: COMPLETE" in done.stdout
    assert "partition 9, offset 1909: indexed by kafka_topic=lineage-input/" in done.stdout
    assert "0 gaps" in done.stdout
    assert "lineage-input: LOSS" in done.stdout
    assert "Dagster, check completeness of audit/lineage-input: FAILED: LOSS" in done.stdout
    assert "found exactly that" in done.stdout
    assert started_in(tmp_path) == []

    # what it left can be audited and located without any setting, with nothing running
    audited = lineage("audit", "--books", "index", "--json", cwd=tmp_path)
    assert audited.returncode == 1, audited.stderr
    report = json.loads(audited.stdout)
    lost = [one for one in report["partitions"][9]["ranges"] if one["class"] == "missing"]
    assert [(one["end"] - one["start"]) for one in lost] == [300]
    assert lineage("locate", "9", str(lost[0]["start"]), cwd=tmp_path).returncode == 1
    assert lineage("locate", "9", str(lost[0]["end"]), cwd=tmp_path).returncode == 0
    unreachable = lineage("audit", cwd=tmp_path)
    assert unreachable.returncode in {1, 3}, "without its broker an audit is never complete"
