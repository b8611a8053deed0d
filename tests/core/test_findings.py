"""Remarks beside the verdict: transactions that stay open, writers that change, too much in quarantine."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.evidence import AuditEvidence
from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.memory import Counted, Memory, Observation, ObservedPartition
from tests.core.worlds import MAX_DELAY, NOW, Row, World, deployment, evidence_of

# everything up to the last stable offset is indexed; a transaction holds up 20 offsets
OPEN = evidence_of(World(rows=(Row(0, 0, 80),), start=0, log=(0, 80, 100)))


def findings(evidence: AuditEvidence, *kinds: str) -> list[Finding]:
    return [one for one in audit(evidence).findings if one.kind in kinds]


def looks(*seen: tuple[float, int, int]) -> Memory:
    """Earlier looks: how many seconds ago, last stable offset, high watermark."""
    return Memory(
        observations=tuple(
            Observation(NOW - timedelta(seconds=age), {0: ObservedPartition(stable, end)}) for age, stable, end in seen
        )
    )


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        ((), None),
        (((100, 80, 90), (200, 80, 85), (300, 80, 80)), 200),  # at 300 nothing was open yet
        (((100, 80, 90), (200, 70, 90), (300, 80, 90)), 100),  # it moved in between
        (((5000, 80, 90), (4000, 80, 90), (100, 80, 90)), 5000),
        (((100, 79, 90),), None),
    ],
)
def test_how_long_the_last_stable_offset_has_not_moved(
    seen: tuple[tuple[float, int, int], ...], since: int | None
) -> None:
    (found,) = findings(replace(OPEN, memory=looks(*seen)), "open-transaction", "stuck-transaction")
    moment = None if since is None else f"{NOW - timedelta(seconds=since):%Y-%m-%dT%H:%M:%SZ}"
    assert dict(found.data) == {"offsets": 20, "since": moment, "seconds": since or 0}


def test_a_transaction_that_stays_open_is_an_error_with_a_remedy() -> None:
    (found,) = findings(replace(OPEN, memory=looks((7500, 80, 90))), "stuck-transaction")
    assert found.severity == "error"
    assert "for 2 h 5 min at least" in found.text
    assert "kafka-transactions.sh find-hanging" in found.text
    (fresh,) = findings(replace(OPEN, memory=looks((MAX_DELAY - 1, 80, 90))), "open-transaction")
    assert fresh.severity == "warn"


def restarted(*hours: float) -> AuditEvidence:
    """The first writer started thirty days ago, the others these hours ago, each continuing the one before."""
    first = replace(deployment(0, World(), {}), started_at=NOW - timedelta(days=30))
    records = [first]
    for number, hour in enumerate(hours, 2):
        record = replace(first, writer=f"w{number}", previous=f"w{number - 1}", reason="restored")
        records.append(replace(record, started_at=NOW - timedelta(hours=hour)))
    return replace(OPEN, index=replace(OPEN.index, deployments=tuple(records)))


def test_another_writer_is_told_for_a_day() -> None:
    (found,) = findings(restarted(2), "writer-changed")
    assert found.severity == "info"
    assert found.text == "writer w2 writes since 2026-11-22 20:00:00Z (restored), continuing w1"
    assert dict(found.data) == {
        "writer": "w2", "previous": "w1", "reason": "restored", "started_at": "2026-11-22T20:00:00Z", "starts": 1,
    }  # fmt: skip
    assert not findings(restarted(25), "writer-changed")
    assert not findings(restarted(), "writer-changed")


def test_a_job_that_starts_over_and_over_is_a_warning() -> None:
    (found,) = findings(restarted(9, 7, 4, 2), "writer-changed")
    assert (found.severity, found.data["starts"]) == ("warn", 4)
    assert "4 starts of the job in the last 24 hours" in found.text


def quarantined(records: int, bad: int, *counted: Counted, limit: float = 0.01) -> AuditEvidence:
    evidence = evidence_of(World(rows=(Row(0, 0, records, quarantined=bad),), start=0))
    rules = replace(evidence.rules, quarantine_limit=limit)
    return replace(evidence, rules=rules, memory=Memory(counted=counted))


@pytest.mark.parametrize(
    ("records", "bad", "limit", "told"),
    [
        (1000, 10, 0.01, False),
        (1000, 11, 0.01, True),
        (99, 99, 0.01, False),  # too few for a rate; the warning beside it counts them
        (1000, 0, 0.0, False),
        (1000, 1, 0.0, True),
    ],
)
def test_a_quarantine_rate_above_the_limit_is_an_error(records: int, bad: int, limit: float, *, told: bool) -> None:
    found = findings(quarantined(records, bad, limit=limit), "quarantine-rate")
    assert [one.severity for one in found] == ["error"] * told


def test_a_burst_of_bad_records_does_not_drown_in_a_long_history() -> None:
    hour = timedelta(hours=1)
    before = (Counted(NOW - 9 * hour, 900_000, 0), Counted(NOW - hour, 999_000, 0), Counted(NOW, 1_000_000, 50))
    (found,) = findings(quarantined(1_000_000, 50, *before), "quarantine-rate")
    assert found.text == ("50 of 1000 records since 2026-11-22 21:00:00Z went to quarantine: 5.00%, the limit is 1.00%")
    assert dict(found.data) == {
        "quarantined": 50, "records": 1000, "limit": 0.01, "since": "2026-11-22T21:00:00Z",
    }  # fmt: skip
    assert not findings(quarantined(1_000_000, 50), "quarantine-rate")


def test_a_count_that_went_back_gives_no_rate_of_its_own() -> None:
    """Index files vanished, or the memory is of another index."""
    before = Counted(NOW - timedelta(hours=1), 5000, 0)
    assert not findings(quarantined(1000, 5, before), "quarantine-rate")
    assert findings(quarantined(1000, 50, before), "quarantine-rate")
