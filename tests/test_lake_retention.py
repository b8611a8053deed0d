"""Audits of a lake with a rule of retention whose topic was recreated: what left of the old one excuses nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lineage_pipeline.lake_retention
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.manifest_file import manifest_bytes
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import StoreError
from tests.books.index_files import ORIGINAL_SCHEMA, SCHEMA, day, parquet, put, run
from tests.books.lake_tables import span
from tests.test_audit_lake import TOPIC, Lake, aged, deploy, shown

DAYS = 90
LONG_AGO = timedelta(days=100)
EXPLAINED = [("[1, 20)", "explained", "lake-retention")]
LOST = [("[1, 20)", "damaged", "not-committed")]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A topic that a job reads since long ago; all that its one file holds was written at once."""
    found = Lake(tmp_path)
    for path in (found.one, found.two, found.bad, *index_files(found)):
        path.unlink()
    deploy(found, "w1", "topic-1", found.now - LONG_AGO)
    indexed(found, "w1", found.now - LONG_AGO)
    aged(found.data("old", span(0, 0, 20)), found.now, days=100)
    return found


def index_files(lake: Lake) -> list[Path]:
    return list((lake.root / "index").rglob("dt=*/*"))


def indexed(lake: Lake, writer: str | None, at: datetime) -> None:
    moment = int(at.timestamp() * 1000)
    row = run(0, 0, 20, window_start=moment, window_end=moment, writer=writer)
    put(lake.root / "index", day(TOPIC, f"i-{writer}"), parquet([row], SCHEMA if writer else ORIGINAL_SCHEMA))


def left(lake: Lake) -> None:
    """Everything leaves the lake by the rule."""
    for path in (lake.root / "output").rglob("old*"):
        path.unlink()


def recreate(lake: Lake, *, started: timedelta = timedelta()) -> None:
    """The topic is made anew, and its job writes one record of twenty."""
    lake.wait()
    assert lake.broker is not None
    lake.broker.topic_ids[TOPIC] = "topic-2"
    deploy(lake, "w2", "topic-2", lake.now - started)
    indexed(lake, "w2", lake.now - started)
    aged(lake.data("other", span(0, 0, 1)), lake.now, days=0)


def audits(lake: Lake, **changed: Any) -> list[AuditReport]:
    found = []
    for _ in range(3):
        lake.wait()
        found.append(lake.audit(data_days=DAYS, **changed))
    return found


def is_lost(reports: list[AuditReport]) -> None:
    assert [one.verdict for one in reports] == ["undetermined", "loss", "loss"]
    assert (shown(reports[0]), shown(reports[-1])) == ([("[1, 20)", "pending", "suspected")], LOST)


def test_files_that_left_by_retention_excuse_no_loss_of_a_topic_made_anew(lake: Lake) -> None:
    assert lake.audit(data_days=DAYS).verdict == "complete"
    left(lake)
    lake.wait()
    report = lake.audit(data_days=DAYS)
    assert (report.verdict, shown(report)) == ("complete", [("[0, 20)", "explained", "lake-retention")])
    recreate(lake)
    is_lost(audits(lake))
    assert shown(lake.audit()) == LOST


def test_rows_that_are_older_than_retention_excuse_no_loss_of_a_topic_made_anew(lake: Lake) -> None:
    left(lake)
    assert lake.audit(data_days=DAYS, lake=False).verdict == "complete"
    recreate(lake)
    is_lost(audits(lake))


def test_files_of_a_topic_that_is_no_more_may_leave_later_and_excuse_nothing(lake: Lake) -> None:
    assert lake.audit(data_days=DAYS).verdict == "complete"
    recreate(lake)
    is_lost(audits(lake))
    left(lake)
    assert [shown(one) for one in audits(lake)] == [LOST] * 3


def test_files_that_left_before_any_audit_knew_of_the_topic_made_anew_excuse_nothing(lake: Lake) -> None:
    assert lake.audit(data_days=DAYS).verdict == "complete"
    recreate(lake)
    left(lake)
    is_lost(audits(lake))


def test_without_the_rule_what_left_by_it_excuses_nothing_either_once_the_topic_is_made_anew(lake: Lake) -> None:
    lake.audit(data_days=DAYS)
    left(lake)
    assert lake.audit(data_days=DAYS).totals["explained"] == 20
    recreate(lake)
    lake.audit()
    lake.wait()
    assert shown(lake.audit()) == LOST


def test_rows_without_a_writer_excuse_nothing_once_the_topic_was_made_anew(lake: Lake) -> None:
    for path in index_files(lake):
        path.unlink()
    indexed(lake, None, lake.now - LONG_AGO)
    left(lake)
    lake.audit(data_days=DAYS, lake=False)
    recreate(lake)
    reports = audits(lake)
    assert LOST[0] in shown(reports[-1])
    assert "rows without a writer" in reports[-1].problems[0]


def made_anew_long_ago(lake: Lake) -> None:
    """Of the topic that is now everything left by the rule as well."""
    left(lake)
    recreate(lake, started=timedelta(days=95))
    aged(lake.data("old-2", span(0, 1, 20)), lake.now, days=94)


def test_what_leaves_of_the_topic_made_anew_is_explained_as_before(lake: Lake) -> None:
    lake.audit(data_days=DAYS)
    made_anew_long_ago(lake)
    assert (shown(lake.audit(data_days=DAYS)), shown(lake.audit(data_days=DAYS))) == ([], [])
    left(lake)
    for _ in range(2):
        assert shown(lake.audit(data_days=DAYS)) == EXPLAINED


def test_what_left_before_it_was_known_that_the_topic_is_another_is_told_by_the_index(lake: Lake) -> None:
    lake.audit(data_days=DAYS)
    made_anew_long_ago(lake)
    broker, lake.broker = lake.broker, None
    lake.audit(data_days=DAYS)
    left(lake)
    assert lake.audit(data_days=DAYS).verdict == "undetermined"
    lake.broker = broker
    for _ in range(2):
        assert shown(lake.audit(data_days=DAYS)) == EXPLAINED


def from_before(lake: Lake) -> None:
    """The manifest as versions stored it that did not tell of which topic it is."""
    book = lake.request().lake
    assert book is not None
    manifest = book.kept().manifest
    assert manifest.retired
    (path,) = (lake.root / "audit").rglob("files.parquet")
    path.write_bytes(manifest_bytes(replace(manifest, since=None), TOPIC, book.layout.fingerprint))


def test_a_manifest_from_before_is_believed_where_the_topic_was_never_made_anew(lake: Lake) -> None:
    lake.audit(data_days=DAYS)
    left(lake)
    lake.audit(data_days=DAYS)
    from_before(lake)
    assert [lake.audit(data_days=days).totals["explained"] for days in (DAYS, None)] == [20, 20]


def test_of_a_manifest_from_before_the_index_tells_again_what_left_of_the_topic_made_anew(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.audit(data_days=DAYS)
    made_anew_long_ago(lake)
    lake.audit(data_days=DAYS)
    left(lake)
    lake.audit(data_days=DAYS)
    from_before(lake)

    def refuse(*_arguments: Any) -> None:
        raise StoreError("the index cannot be listed")

    with monkeypatch.context() as broken:
        broken.setattr(lineage_pipeline.lake_retention, "indexed_before", refuse)
        assert shown(lake.audit(data_days=DAYS)) == [("[1, 20)", "pending", "suspected")]
    for days in (DAYS, DAYS, None):
        assert shown(lake.audit(data_days=days)) == EXPLAINED


def test_while_the_ledger_is_lost_nothing_is_remembered_of_what_may_be_another_topics(lake: Lake) -> None:
    lake.audit(data_days=DAYS)
    recreate(lake)
    is_lost(audits(lake))
    left(lake)
    ledger = lake.root / "audit" / f"kafka_topic={TOPIC}" / "_ledger"
    ledger.rename(ledger.with_name("_elsewhere"))
    reports = audits(lake)
    assert {one.verdict for one in reports} <= {"undetermined", "loss"}
    ledger.with_name("_elsewhere").rename(ledger)
    lake.wait()
    assert shown(lake.audit(data_days=DAYS)) == LOST
    assert not AuditState(open_store(str(lake.root / "audit"), {}), TOPIC).read().problems
