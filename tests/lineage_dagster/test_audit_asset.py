"""audit/<topic> on real Parquet files: what is lost, doubled or unreadable is red with its reason, in the same run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from lineage_dagster import names
from tests.lineage_dagster.lake import Lake


def test_a_topic_without_holes_is_green_in_every_check(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 100), (1, 0, 50)])
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert found.success
    assert {name: one.passed for name, one in found.checks.items()} == {
        "completeness": True,
        "counts_match": True,
        "evidence_complete": True,
        "index_fresh": True,
        "no_duplicates": True,
        "no_urgent_finding": True,
    }
    assert found.verdict.description == "Every one of 150 expected offsets in 2 partitions is in the index."


def test_a_hole_is_a_failed_blocking_check_that_names_partition_and_offsets(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(3, 0, 100), (3, 160, 200)])
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert not found.success  # blocking: the run fails, so that stock run-failure alerts see it
    assert not found.verdict.passed
    assert found.verdict.severity == dg.AssetCheckSeverity.ERROR
    assert "60 of 200 expected offsets did not reach the lake: partition 3, offsets 100 to 159" in str(
        found.verdict.description
    )
    assert "partition 3: 140 of 200" in str(found.checks[names.COUNTS_MATCH].description)


def test_a_lost_and_a_doubled_range_of_the_same_size_do_not_cancel_out(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 100), (0, 110, 200), (0, 150, 160)])
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert not found.verdict.passed
    assert not found.checks[names.COUNTS_MATCH].passed
    doubled = found.checks[names.NO_DUPLICATES]
    assert (doubled.passed, doubled.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "offsets 150 to 159" in str(doubled.description)


def test_the_asset_is_materialised_in_the_run_that_fails(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    assert not lake.audit(lake.definitions("t"), "t", instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["audit", "t"]))
    assert event is not None
    metadata = event.asset_materialization.metadata
    assert metadata["verdict"].value == "loss"
    assert metadata["missing"].value == 10


def test_a_finding_that_is_urgent_fails_a_check_though_nothing_is_lost(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 1000)], quarantined=30)
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert found.verdict.passed
    urgent = found.checks[names.NO_URGENT_FINDING]
    assert (urgent.passed, urgent.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "went to quarantine: 3.00%, the limit is 1.00%" in str(urgent.description)
    assert urgent.metadata["findings"].records[0].data["kind"] == "quarantine-rate"


def test_asset_and_verdict_lead_to_the_page_of_the_report(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10), (0, 20, 30)])
    found = lake.audit(lake.definitions("t"), "t", instance)
    event = instance.get_latest_materialization_event(dg.AssetKey(["audit", "t"]))
    assert event is not None
    place = event.asset_materialization.metadata["report_page"].value
    assert found.verdict.metadata["report_page"].value == place
    assert "offsets 10 to 19" in Path(str(place)).read_text()


def test_where_reports_can_be_opened_asset_verdict_and_alert_link_to_the_page(lake: Lake, instance: dg.DagsterInstance):
    lake.index("a.b", [(0, 0, 10), (0, 20, 30)])
    definitions = lake.definitions("a.b", alerts={"reports_url": "https://reports.example/audit/"})
    found = lake.audit(definitions, "a.b", instance)
    link = found.verdict.metadata["report_page"]
    assert link == dg.MetadataValue.url("https://reports.example/audit/kafka_topic=a.b/report.html")
    assert found.verdict.metadata["incident"].value["report"] == link.value
    event = instance.get_latest_materialization_event(dg.AssetKey(["audit", "a.b"]))
    assert event is not None
    assert event.asset_materialization.metadata["report_page"] == link


@pytest.mark.parametrize("spoil", ["absent", "empty", "no parquet"])
def test_an_index_that_cannot_be_looked_at_is_red_in_every_check(spoil: str, lake: Lake, instance: dg.DagsterInstance):
    if spoil != "absent":
        path = lake.index("t", [(0, 0, 10)])
        path.unlink() if spoil == "empty" else path.write_bytes(b"no parquet")
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert not found.success
    assert [name for name, one in found.checks.items() if one.passed and name != names.INDEX_FRESH] == []
    assert str(found.verdict.description).startswith("NOT PROVEN: ")


def test_a_broker_that_does_not_answer_is_red_with_that_reason(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    settings = {"name": "t", "audit": {"books": ["index", "broker"]}}
    kafka = {"bootstrap_servers": "127.0.0.1:1", "properties": {"socket.timeout.ms": "1000"}}
    found = lake.audit(lake.definitions(settings, kafka=kafka), "t", instance)
    assert not found.success
    assert "the broker could not be read" in str(found.verdict.description)
    assert not found.checks[names.EVIDENCE_COMPLETE].passed
    assert not found.checks[names.NO_STALLED_PARTITION].passed


def test_an_error_of_our_own_is_a_failed_check_and_keeps_foreign_text_out(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_arguments: object) -> None:
        raise RuntimeError("password=secret")

    monkeypatch.setattr("lineage_dagster.auditor.audit_request", broken)
    lake.index("t", [(0, 0, 10)])
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert not any(one.passed for one in found.checks.values())
    assert "unexpected RuntimeError" in str(found.verdict.description)
    assert not any("secret" in str(one.description) for one in found.checks.values())


def test_what_cannot_be_kept_for_the_next_audit_is_red_with_that_reason(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    (lake.root / "audit").write_text("a file where a directory should be")
    found = lake.audit(lake.definitions("t"), "t", instance)
    assert not found.verdict.passed
    assert "could not be stored" in str(found.checks[names.EVIDENCE_COMPLETE].description)


def test_a_full_audit_reads_files_of_closed_days_that_came_late(lake: Lake, instance: dg.DagsterInstance):
    today = lake.index("t", [(0, 0, 10)])
    definitions = lake.definitions("t")
    assert lake.audit(definitions, "t", instance).verdict.passed
    old = today.parent.parent / "dt=2020-01-01"
    old.mkdir()
    today.rename(old / "late.parquet")
    lake.index("t", [(0, 20, 30)])
    full = lake.audit(definitions, "t", instance, full=True)
    assert "offsets 10 to 19" in str(full.verdict.description)


def test_books_that_do_not_exist_are_refused_as_a_failed_check(lake: Lake, instance: dg.DagsterInstance):
    lake.index("t", [(0, 0, 10)])
    found = lake.audit(lake.definitions("t"), "t", instance, books=["tea-leaves"])
    assert not found.verdict.passed
    assert "tea-leaves" in str(found.verdict.description)


def test_an_audit_of_fewer_books_than_are_promised_is_not_green_and_ends_no_loss(
    lake: Lake, instance: dg.DagsterInstance
):
    lake.index("t", [(0, 0, 10)])
    settings = {"name": "t", "audit": {"books": ["index", "broker"]}}
    found = lake.audit(lake.definitions(settings), "t", instance, books=["index"])
    assert not found.verdict.passed
    assert "NOT PROVEN: this audit did not read what lineage.yaml names: broker" in str(found.verdict.description)
    event = instance.get_latest_materialization_event(dg.AssetKey(["audit", "t"]))
    assert event is not None
    assert event.asset_materialization.metadata["verdict"].value == "undetermined"
    assert found.verdict.metadata["incident"].value["verdict"] == "undetermined"


def test_nothing_is_pickled(lake: Lake, tmp_path: Path):
    lake.index("t", [(0, 0, 10)])
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert lake.audit(lake.definitions("t"), "t", instance).success
    assert not (home / "storage" / "audit").exists()
