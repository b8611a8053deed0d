"""The report's JSON to the letter. After a change that is meant: `python -m tests.core.test_report_golden` rewrites."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.evidence import AuditEvidence, IndexEvidence
from lineage_pipeline.core.report import TOTALS
from tests.core.worlds import NOW, SETTLE, Row, Seen, World, evidence_of

GOLDEN = Path(__file__).parent.parent / "golden"

LOSS = evidence_of(World(rows=(Row(9, 0, 1900, quarantined=3), Row(9, 1960, 2000), Row(9, 10, 12)), start=None))
# everything at once: baseline, tail, open transaction, stalled, suspected, confirmed, explained, accepted, windows
RICH = evidence_of(
    World(
        rows=(Row(0, 2, 6), Row(0, 8, 10), Row(0, 8, 10), Row(0, 12, 16, count=3), Row(0, 17, 20), Row(0, 21, 24)),
        start=1,
        log=(0, 30, 33),
        seen=(Seen(1000, 24, 27, frozenset({6, 16})), Seen(SETTLE, 25, 30, frozenset({6, 16, 20}))),
        accepted=((7, 8),),
        resolved=((6, 7, "missing", "repairable"), (10, 11, "explained", "control-marker")),
    )
)
NOTHING = AuditEvidence("t", NOW, IndexEvidence("unreadable", problems=("nothing is at /lake: check the path",)))
CASES = {
    "audit-loss.json": replace(LOSS, topic="lineage-input"),
    "audit-rich.json": RICH,
    "audit-nothing.json": NOTHING,
}


def text_of(evidence: AuditEvidence) -> str:
    return json.dumps(audit(evidence).to_json(), indent=1) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_json_is_the_golden_file(name: str) -> None:
    assert text_of(CASES[name]) == (GOLDEN / name).read_text()


def test_the_keys_are_those_of_the_contract() -> None:
    report = audit(CASES["audit-loss.json"]).to_json()
    assert list(report) == [
        *("format", "topic", "cluster_id", "topic_id", "audited_at", "books", "state", "verdict", "totals"),
        *("partitions", "findings", "problems", "repairable_until"),
    ]
    assert list(report["totals"]) == list(TOTALS)
    assert list(report["partitions"][0]) == [
        *("partition", "verdict", "baseline", "end", "complete_through"), *TOTALS, "ranges",
    ]  # fmt: skip
    keys = ["start", "end", "class", "cause", "evidence", "repairable_until"]
    assert all(list(one) == keys for one in report["partitions"][0]["ranges"])
    assert all(list(one) == ["kind", "severity", "partition", "text", "data"] for one in report["findings"])
    assert report["audited_at"] == "2026-11-22T22:00:00Z"


if __name__ == "__main__":
    for file, given in CASES.items():
        (GOLDEN / file).write_text(text_of(given))
