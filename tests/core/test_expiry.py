"""How long the log still keeps what is missing or unread: by retention.ms, and by the pace of its start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, PartitionOffsets, unknown_offsets
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
    # of a part of them only the records in it count, whatever else was read around it
    wider = replace(one, range=OffsetRange(90, 120))
    inner = replace(one, range=OffsetRange(92, 95), first_timestamp=millis(NOW - 5 * DAY))
    timeless = replace(one, range=OffsetRange(80, 125), first_timestamp=None)
    known = Expiry(replace(evidence, memory=Memory(resolutions=(*parts, wider, inner, timeless)))).partition(0)
    for part, left in ((OffsetRange(100, 104), 6), (OffsetRange(95, 100), 6), (OffsetRange(103, 105), 4)):
        deadline = known.of_readable(part)
        assert deadline is not None
        assert deadline.until == NOW + left * DAY


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
    back = (look(3 * HOUR, 60, 700), look(2 * HOUR, 70, 800), look(HOUR, 80, 900))  # nor is a start that went back
    assert audit(topic(*back, written=NOW, log_start=60, config=BY_SIZE)).repairable_until == NOW + 7 * DAY


def test_the_pace_counts_too_where_the_limits_could_not_be_read() -> None:
    assert audit(topic(*PACE, written=NOW, log_start=60, config={})).repairable_until == NOW + timedelta(
        hours=2, minutes=40
    )


def test_a_look_that_says_nothing_of_the_log_start_and_those_that_are_not_of_before_give_no_pace() -> None:
    at_once = (look(timedelta(), 58, 998), look(timedelta(), 59, 999))
    ahead = (look(-HOUR, 57, 999), look(-2 * HOUR, 59, 999))  # the clock was set back since
    looks = (look(6 * HOUR, None, 400), Observation(NOW - 2 * HOUR, {}), *PACE, *at_once, *ahead)
    evidence = topic(*looks, written=NOW, log_start=60, config=BY_SIZE)
    assert audit(evidence).repairable_until == NOW + timedelta(hours=2, minutes=40)


def test_what_is_left_is_told_as_a_share_of_how_long_the_log_keeps_a_record() -> None:
    def share(offset: int, written: datetime, **how: Any) -> float:
        evidence = topic(*PACE, written=written, **how)
        (one,) = evidence.memory.resolutions
        moved = replace(one, range=OffsetRange(offset, offset + 10))
        deadline = Expiry(replace(evidence, memory=replace(evidence.memory, resolutions=(moved,)))).partition(0)
        found = deadline.of_readable(moved.range)
        assert found is not None
        return found.share

    assert share(100, NOW - 6 * DAY) == pytest.approx(1 / 7)
    assert share(100, NOW + DAY) == 1.0  # dated into the future by its producer
    assert share(100, NOW - 8 * DAY) == 0.0
    # at 15 offsets an hour a record at the end, 940 further on, stays for 62 hours and 40 minutes
    assert share(100, NOW, log_start=60, config=BY_SIZE) == pytest.approx(40 / 940)
    assert share(60, NOW, log_start=60, config=BY_SIZE) == 0.0
    no_time = {**WEEK_LIMIT, "retention.ms": "0"}
    assert share(100, NOW, config=no_time) == 0.0
    assert share(100, NOW + HOUR, config=no_time) == 0.0
    half_a_second = timedelta(milliseconds=500)
    assert share(100, NOW - half_a_second, config={**WEEK_LIMIT, "retention.ms": "1000"}) == pytest.approx(0.5)


def test_a_record_at_the_log_start_may_leave_at_any_moment() -> None:
    deadline = Expiry(topic(*PACE, log_start=60, config=BY_SIZE)).partition(0).of_readable(OffsetRange(60, 70))
    assert deadline is not None
    assert (deadline.until, deadline.left) == (NOW, 0.0)


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
    unknown = Observation(NOW - HOUR, {0: ObservedPartition(log_start=40)})
    assert audit(topic(*recent[:2], unknown, written=NOW, log_start=60)).repairable_until == NOW + 2 * HOUR


@pytest.mark.parametrize(
    "looks",
    [
        # the log lost what there was then, but nothing that came later
        (look(3 * HOUR, 0, 60), look(2 * HOUR, 20, 70), look(HOUR, 40, 80)),
        # what it lost may be as old as a week
        (look(9 * DAY, 0, 30), look(8 * DAY, 20, 40), look(7 * DAY, 40, 50)),
    ],
)
def test_records_that_left_in_their_time_say_nothing_against_retention(looks: tuple[Observation, ...]) -> None:
    assert audit(topic(*looks, written=NOW, log_start=60)).repairable_until == NOW + 7 * DAY


def test_a_hole_that_nobody_could_read_is_evidence_about_to_expire() -> None:
    """It was written after a look six days ago, so in a day at the earliest the log no longer tells what it holds."""
    evidence = topic(look(6 * DAY, 0, 90), look(5 * DAY, 0, 200), resolved=False)
    (found,) = findings(evidence, "evidence-expiring")
    assert (found.severity, found.data["seconds_left"], found.data["offsets"]) == ("warn", 86400, 10)
    # of several looks that ended below it the newest counts, also one that ended just there
    for newest in (look(5.5 * DAY, 0, 95), look(5.5 * DAY, 0, 100)):
        (found,) = findings(topic(look(6 * DAY, 0, 90), newest, resolved=False), "evidence-expiring")
        assert found.data["seconds_left"] == 1.5 * 86400
    (found,) = findings(topic(look(6 * DAY, 0, 90), look(-DAY, 0, 95), resolved=False), "evidence-expiring")
    assert found.data["seconds_left"] == 86400  # a look by a clock that was set back since tells nothing
    blind = Observation(NOW - 6 * DAY, {0: ObservedPartition()})
    assert not findings(topic(blind, resolved=False), "evidence-expiring")
    assert findings(topic(look(6 * DAY, 0, 90), resolved=False, log_start=100), "evidence-expiring")
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


def test_of_a_partition_the_broker_did_not_answer_for_no_pace_is_known() -> None:
    silent = BrokerSnapshot(CLUSTER, TOPIC_ID, {0: unknown_offsets("no leader")}, BY_SIZE)
    evidence = replace(topic(*PACE, look(6 * DAY, 0, 90), written=NOW), broker=BrokerEvidence("read", silent))
    known = Expiry(evidence).partition(0)
    assert known.of_unread(HOLE) is None
    deadline = known.of_readable(HOLE)
    assert deadline is not None
    assert (deadline.until, deadline.basis) == (NOW + 7 * DAY, "retention.ms")
