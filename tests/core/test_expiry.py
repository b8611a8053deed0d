"""How long the log still keeps what is missing or unread: by retention.ms, and by the pace of its start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets
from lineage_pipeline.core.evidence import AuditEvidence, BrokerEvidence
from lineage_pipeline.core.expiry import Expiry
from lineage_pipeline.core.findings import Finding
from lineage_pipeline.core.memory import Memory, Observation, ObservedPartition, Resolution
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from tests.core.worlds import CLUSTER, NOW, SETTLE, TOPIC_ID, Row, World, evidence_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK_LIMIT = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3600 * 1000), "retention.bytes": "-1"}
HOLE = OffsetRange(100, 110)


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def look(age: timedelta, log_start: int | None, end: int, *holes: OffsetRange) -> Observation:
    seen = ObservedPartition(end, end, None, RangeSet.of(*holes) if holes else EMPTY, log_start)
    return Observation(NOW - age, {0: seen})


def topic(
    *looks: Observation,
    written: datetime | None = None,
    log_start: int = 0,
    config: dict[str, str] | None = None,
    resolved: bool = True,
) -> AuditEvidence:
    """Offsets 0 to 1000 of partition 0 are indexed, but for HOLE, whose records were written at `written`."""
    evidence = evidence_of(World(rows=(Row(0, 0, 100), Row(0, 110, 1000)), start=0, log=(0, 1000, 1000)))
    offsets = {0: PartitionOffsets(log_start, 1000, 1000)}
    snapshot = BrokerSnapshot(CLUSTER, TOPIC_ID, offsets, WEEK_LIMIT if config is None else config)
    stamp = None if written is None else millis(written)
    resolution = Resolution(0, HOLE, "missing", "repairable", "10 records are readable", stamp)
    seen_before = look(timedelta(seconds=SETTLE), log_start, 1000, HOLE)
    memory = Memory(observations=(*looks, seen_before), resolutions=(resolution,) if resolved else ())
    return replace(evidence, broker=BrokerEvidence("read", snapshot), memory=memory)


def findings(evidence: AuditEvidence, kind: str) -> list[Finding]:
    return [one for one in audit(evidence).findings if one.kind == kind]


def test_a_record_is_repairable_until_its_timestamp_plus_retention() -> None:
    report = audit(topic(written=NOW - DAY)).to_json()
    (hole,) = [one for one in report["partitions"][0]["ranges"] if one["class"] == "missing"]
    assert hole["repairable_until"] == report["repairable_until"] == "2026-11-28T22:00:00Z"
    assert hole["evidence"] == (
        "10 records are readable; retention.ms keeps them until 2026-11-28 22:00:00Z, 6 d 0 h from this audit"
    )


def test_the_time_left_is_told_anew_by_every_audit_and_follows_the_setting() -> None:
    """Somebody raises retention.ms to save the records: the next report says what that gave them."""
    evidence = topic(written=NOW - DAY, config={**WEEK_LIMIT, "retention.ms": str(2 * 24 * 3600 * 1000)})
    later = replace(evidence, audited_at=NOW + HOUR)
    assert "1 d 0 h from this audit" in audit(evidence).partitions[0].ranges[0].evidence
    assert "23 h 0 min from this audit" in audit(later).partitions[0].ranges[0].evidence


def test_retention_that_has_passed_means_any_time_now() -> None:
    (hole,) = audit(topic(written=NOW - 8 * DAY)).partitions[0].ranges
    assert hole.evidence.endswith("retention.ms lets the broker remove them at any time")
    assert hole.repairable_until == NOW - DAY


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, ""),
        ({**WEEK_LIMIT, "retention.ms": "-1"}, "; retention.ms sets no limit"),
        ({**WEEK_LIMIT, "retention.ms": str(2**63 - 1)}, ""),
        ({**WEEK_LIMIT, "retention.ms": "soon"}, ""),
        ({**WEEK_LIMIT, "cleanup.policy": "compact"}, ""),
    ],
)
def test_without_a_limit_that_is_known_nothing_is_promised(config: dict[str, str], said: str) -> None:
    report = audit(topic(written=NOW - DAY, config=config))
    assert report.partitions[0].ranges[0].evidence == f"10 records are readable{said}"
    assert report.repairable_until is None
    assert not findings(topic(written=NOW - DAY, config=config), "repair-expiring")


def test_the_earliest_record_of_neighbouring_ranges_counts() -> None:
    evidence = topic(written=NOW - DAY)
    (one,) = evidence.memory.resolutions
    parts = (
        replace(one, range=OffsetRange(100, 104)),
        replace(one, range=OffsetRange(104, 110), first_timestamp=millis(NOW - 3 * DAY)),
    )
    evidence = replace(evidence, memory=replace(evidence.memory, resolutions=parts))
    assert audit(evidence).repairable_until == NOW + 4 * DAY


@pytest.mark.parametrize(
    ("age", "severity"),
    [
        (3 * DAY, None),
        (timedelta(days=3, hours=13), "warn"),
        (6 * DAY, "warn"),
        (timedelta(days=6, hours=8), "error"),
        (9 * DAY, "error"),
    ],
)
def test_a_repair_that_cannot_wait_is_a_finding(age: timedelta, severity: str | None) -> None:
    found = findings(topic(written=NOW - age), "repair-expiring")
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_the_finding_has_figures_for_programs() -> None:
    (found,) = findings(topic(written=NOW - 6 * DAY), "repair-expiring")
    assert found.text == (
        "10 offsets can be repaired, but not for long: retention.ms keeps them until 2026-11-23 22:00:00Z,"
        " 1 d 0 h from this audit"
    )
    assert dict(found.data) == {
        "until": "2026-11-23T22:00:00Z", "seconds_left": 86400, "basis": "retention.ms", "offsets": 10,
    }  # fmt: skip


# the log start, at 60 now, moved by 60 offsets in four hours
PACE = (look(5 * HOUR, 0, 500), look(4 * HOUR, 0, 600), look(3 * HOUR, 40, 700), look(2 * HOUR, 40, 800))
BY_SIZE = {**WEEK_LIMIT, "retention.bytes": "1000"}


def test_where_a_size_limits_the_log_the_pace_of_its_start_counts() -> None:
    """The fastest stretch with two steps: 60 offsets in four hours, so 40 more in two hours and forty minutes."""
    report = audit(topic(*PACE, written=NOW, log_start=60, config=BY_SIZE))
    assert report.repairable_until == NOW + timedelta(hours=2, minutes=40)
    text = "at its pace the log start reaches them at about 2026-11-23 00:40:00Z, 2 h 40 min from this audit"
    assert report.partitions[0].ranges[0].evidence.endswith(text)
    (found,) = [one for one in report.findings if one.kind == "repair-expiring"]
    assert (found.severity, found.data["basis"]) == ("error", "log-start")


def test_one_step_of_the_log_start_is_no_pace() -> None:
    evidence = topic(look(HOUR, 0, 900), written=NOW, log_start=60, config=BY_SIZE)
    assert audit(evidence).repairable_until == NOW + 7 * DAY


def test_the_pace_does_not_contradict_a_retention_that_holds() -> None:
    """By time alone a broker keeps every record for retention.ms, however fast older ones leave."""
    old = (look(9 * DAY, 0, 500), look(8.5 * DAY, 20, 700), look(8 * DAY, 40, 900))
    evidence = topic(*old, written=NOW - DAY, log_start=60)
    assert audit(evidence).repairable_until == NOW + 6 * DAY


def test_records_that_left_before_their_time_show_that_retention_does_not_hold() -> None:
    """An hour ago the log ended at 50; now it starts at 60: what it lost was younger than a week."""
    recent = (look(3 * HOUR, 0, 30), look(2 * HOUR, 20, 40), look(HOUR, 40, 50))
    report = audit(topic(*recent, written=NOW, log_start=60))
    assert report.repairable_until == NOW + 2 * HOUR


def test_a_hole_that_nobody_could_read_is_evidence_about_to_expire() -> None:
    """It was written after a look six days ago, so in a day at the earliest the log no longer tells what it holds."""
    evidence = topic(look(6 * DAY, 0, 90), look(5 * DAY, 0, 200), resolved=False)
    (found,) = findings(evidence, "evidence-expiring")
    assert (found.severity, found.data["seconds_left"], found.data["offsets"]) == ("warn", 86400, 10)
    assert not findings(topic(look(2 * DAY, 0, 90), resolved=False), "evidence-expiring")
    assert not findings(topic(resolved=False), "evidence-expiring")  # since when they are there is not known


def test_what_waits_for_a_dead_job_is_evidence_about_to_expire() -> None:
    evidence = topic(resolved=False)
    snapshot = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: PartitionOffsets(0, 1300, 1300)}, WEEK_LIMIT)
    memory = Memory(observations=(look(6.9 * DAY, 0, 1000), look(DAY, 0, 1200)))
    evidence = replace(evidence, broker=BrokerEvidence("read", snapshot), memory=memory)
    stalled = [one for one in audit(evidence).partitions[0].ranges if one.cause == "stalled"]
    assert [one.range for one in stalled] == [OffsetRange(1000, 1200)]
    (found,) = findings(evidence, "evidence-expiring")
    assert (found.severity, found.data["offsets"]) == ("error", 200)


def test_what_the_log_no_longer_holds_is_no_evidence_any_more() -> None:
    evidence = topic(look(6 * DAY, 0, 90), resolved=False, log_start=105)
    assert Expiry(evidence).partition(0).of_unread(OffsetRange(100, 110)) is None
