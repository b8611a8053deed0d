"""Audits that remember: what the next one knows, what it reads, what it keeps, and what it says when it cannot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lineage_pipeline.accept import stored_watermark
from lineage_pipeline.audit_command import audit_command
from lineage_pipeline.audit_topic import AuditRequest, audit_request, audit_topic, audit_twice
from lineage_pipeline.books.audit_state import COMPLETE_THROUGH, FOLD, AuditState
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.core.deployment import Deployment, Isolation, deployment_key
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.hole_reading import HoleBudget, Round, Scan
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import LedgerError, StoreError, UsageError
from lineage_pipeline.ledger_command import accept_command, complete_through_command
from lineage_pipeline.remembering import StatePlan, ToldBaseline
from lineage_pipeline.settings import load_settings
from tests.books.index_files import ORIGINAL_SCHEMA, day, parquet, put, run
from tests.books.lake_tables import data_file, hour, span
from tests.books.memory_store import MemoryStore
from tests.books.model_broker import ModelBroker, ModelPartition

TOPIC = "lineage-input"
START = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
SETTLE, MAX_DELAY = 60.0, 900.0


class Lake:
    """An index and an audit path in memory, a model broker, and a clock that only moves when told to."""

    def __init__(self) -> None:
        self.index, self.kept = MemoryStore("index"), MemoryStore("audit")
        self.now = START
        self.index.now = self._seconds
        self.broker = ModelBroker({TOPIC: {0: ModelPartition(0)}})
        self.files = 0

    def _seconds(self) -> float:
        return self.now.timestamp()

    def rows(self, *rows: dict[str, Any], dt: str = "2026-11-23", schema: Any = None) -> str:
        self.files += 1
        key = f"kafka_topic={TOPIC}/dt={dt}/part-{self.files}"
        self.index.place(key, parquet(rows, schema) if schema is not None else parquet(rows))
        return key

    def end(self, end: int, committed: int | None = None, partition: int = 0) -> None:
        self.broker.partitions[TOPIC][partition] = ModelPartition(end)
        if committed is not None:
            self.broker.commit_group_offsets("g", TOPIC, {partition: committed})

    def deploy(self, writer: str, topic_id: str = "topic-1", **changed: Any) -> None:
        record = Deployment(
            writer=writer,
            topic=TOPIC,
            cluster_id="cluster-1",
            topic_id=topic_id,
            group="g",
            start_offsets=changed.pop("start_offsets", {0: 0}),
            isolation="read_committed",
            checkpoint_interval=10,
            plan_hash="p",
            started_at=self.now,
            **changed,
        )
        self.index.place(deployment_key(writer), record.to_json().encode())

    def request(self, *, broker: bool = True, **plan: Any) -> AuditRequest:
        state = AuditState(self.kept, TOPIC, self.index)
        return AuditRequest(
            IndexPath(self.index, TOPIC),
            self.broker if broker else None,
            "g",
            AuditRules(SETTLE, MAX_DELAY, "seeded"),
            plan=StatePlan(state, **plan),
        )

    def audit(self, **how: Any) -> AuditReport:
        return audit_topic(self.request(**how), lambda: self.now)

    def wait(self, seconds: float = SETTLE) -> None:
        self.now += timedelta(seconds=seconds)

    def stored(self, name: str = COMPLETE_THROUGH) -> Any:
        return json.loads(self.kept.objects[f"kafka_topic={TOPIC}/{name}"][0])

    def fold(self) -> bytes:
        return self.kept.objects[f"kafka_topic={TOPIC}/{FOLD}"][0]


@pytest.fixture
def lake() -> Lake:
    return Lake()


def shown(report: AuditReport) -> list[tuple[str, str, str | None]]:
    return [(str(one.range), one.range_class, one.cause) for part in report.partitions for one in part.ranges]


def test_the_second_audit_continues_the_first(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.end(10)
    assert (lake.audit().state, lake.audit().state) == ("first", "continued")
    lake.end(20)
    assert lake.audit(broker=False).state == "continued"


def test_a_hole_is_judged_by_the_look_of_an_earlier_audit(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    lake.end(10)
    assert shown(lake.audit()) == [("[5, 7)", "pending", "suspected")]
    lake.wait(SETTLE - 1)
    assert shown(lake.audit()) == [("[5, 7)", "pending", "suspected")]
    lake.wait(1)
    assert shown(lake.audit()) == [("[5, 7)", "unknown", "unresolved")]


class Markers:
    """A reader that goes through everything it is asked for and finds no record."""

    def read(self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget) -> tuple[Scan, ...]:
        del topic, isolation, budget
        levels: tuple[Isolation, ...] = ("read_committed", "read_uncommitted")
        windows = [window for group in rounds for window in group]
        return tuple(Scan(one.partition, level, one.range, one.range.end) for one in windows for level in levels)


def test_what_expired_is_no_loss_while_a_partition_that_is_silent_may_hold_markers(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10), run(1, 0, 5), run(1, 6, 10))
    lake.broker.partitions[TOPIC] = {0: ModelPartition(10, start=8), 1: ModelPartition(10, fault="no leader")}

    def audited_again() -> AuditReport:
        report = audit_topic(replace(lake.request(), reader=Markers()), lambda: lake.now)
        lake.wait()
        return report

    audited_again()
    report = audited_again()
    assert shown(report) == [("[5, 7)", "unknown", "unresolved"), ("[5, 6)", "unknown", "broker-unreachable")]
    lake.broker.partitions[TOPIC][1] = ModelPartition(10)
    assert shown(audited_again()) == [("[5, 7)", "unknown", "unproven"), ("[5, 6)", "explained", "control-marker")]


def test_what_expired_is_a_loss_beside_a_silent_partition_that_has_no_hole(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10), run(1, 0, 10))
    lake.broker.partitions[TOPIC] = {0: ModelPartition(10, start=8), 1: ModelPartition(10, fault="no leader")}
    for _ in range(2):
        report = audit_topic(replace(lake.request(), reader=Markers()), lambda: lake.now)
        lake.wait()
    assert (report.verdict, shown(report)) == ("loss", [("[5, 7)", "missing", "expired")])


def test_waiting_takes_both_looks_also_where_nothing_may_be_stored(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    lake.end(10)
    for plan in ({}, {"store": False}):
        report = audit_twice(lake.request(**plan), lambda: lake.now, lake.wait)
        assert shown(report) == [("[5, 7)", "unknown", "unresolved")]


def test_what_waits_for_too_long_is_stalled_by_the_auditors_own_clock(lake: Lake) -> None:
    lake.rows(run(0, 0, 5))
    lake.end(10)
    assert lake.audit().verdict == "complete"
    lake.wait(MAX_DELAY)
    assert shown(lake.audit()) == [("[5, 10)", "pending", "stalled")]


def test_what_the_group_committed_long_ago_is_due_even_at_the_end(lake: Lake) -> None:
    lake.rows(run(0, 0, 5))
    lake.end(10, committed=10)
    assert lake.audit().verdict == "complete"
    lake.wait()
    assert shown(lake.audit()) == [("[5, 10)", "pending", "suspected")]


def test_a_clock_that_goes_back_makes_no_look_older(lake: Lake) -> None:
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    lake.end(10)
    lake.audit()
    lake.wait(-86400)
    assert shown(lake.audit()) == [("[5, 7)", "pending", "suspected")]


def test_a_baseline_is_resolved_once(lake: Lake) -> None:
    lake.rows(run(0, 50, 60))
    lake.end(60)
    lake.broker.partitions[TOPIC][0].start = 50
    assert lake.audit().partitions[0].baseline == 50
    lake.rows(run(0, 60, 70))
    lake.end(70)
    lake.broker.partitions[TOPIC][0].start = 65
    del lake.index.objects[f"kafka_topic={TOPIC}/dt=2026-11-23/part-1"]
    report = lake.audit()
    assert report.partitions[0].baseline == 50
    assert shown(report) == [("[50, 60)", "unknown", "index-vanished")]


@pytest.mark.parametrize("full", [False, True])
def test_rows_below_a_baseline_that_was_the_indexes_own_lower_it_for_good(lake: Lake, full: bool) -> None:
    lake.rows(run(0, 100, 200), schema=ORIGINAL_SCHEMA)
    assert lake.audit(broker=False).partitions[0].baseline == 100
    late = lake.rows(run(0, 0, 50), run(0, 60, 100), schema=ORIGINAL_SCHEMA)
    for _ in range(2):
        report = lake.audit(broker=False, full=full)
        assert (report.partitions[0].baseline, shown(report)) == (0, [("[50, 60)", "missing", "unresolved")])
    del lake.index.objects[late]
    for _ in range(40):  # behind the next checkpoint of the ledger too
        report = lake.audit(broker=False)
        assert (report.partitions[0].baseline, shown(report)[0]) == (0, ("[0, 50)", "unknown", "index-vanished"))


def test_rows_below_the_log_start_that_was_the_baseline_lower_it(lake: Lake) -> None:
    lake.rows(run(0, 100, 200), schema=ORIGINAL_SCHEMA)
    lake.broker.partitions[TOPIC][0] = ModelPartition(200, start=100)
    assert lake.audit(broker=False).partitions[0].baseline == 100
    lake.rows(run(0, 0, 50), run(0, 60, 100), schema=ORIGINAL_SCHEMA)
    assert shown(lake.audit()) == [("[50, 60)", "pending", "suspected")]
    lake.wait()
    assert (lake.audit().verdict, lake.audit().partitions[0].baseline) == ("undetermined", 0)


def test_a_baseline_that_was_the_log_start_of_an_empty_index_is_lowered_by_rows_below_it(lake: Lake) -> None:
    lake.broker.partitions[TOPIC][0] = ModelPartition(100, start=60)
    lake.index.place("_deployments/.keep", b"")  # so that there is an index
    assert lake.audit().partitions[0].baseline == 60
    lake.rows(run(0, 0, 50), run(0, 60, 100), schema=ORIGINAL_SCHEMA)
    report = lake.audit()
    assert (report.partitions[0].baseline, shown(report)) == (0, [("[50, 60)", "pending", "suspected")])


def test_a_baseline_that_could_not_be_stored_does_not_rise_when_its_file_vanishes(lake: Lake) -> None:
    lake.rows(run(0, 100, 200), schema=ORIGINAL_SCHEMA)
    lake.audit(broker=False)
    late = lake.rows(run(0, 0, 100), schema=ORIGINAL_SCHEMA)
    lake.index.place(f"kafka_topic={TOPIC}/dt=2026-11-23/spoilt", b"PAR1")
    lake.audit(broker=False)
    del lake.index.objects[f"kafka_topic={TOPIC}/dt=2026-11-23/spoilt"]
    del lake.index.objects[late]
    for _ in range(2):
        report = lake.audit(broker=False)
        assert shown(report) == [("[0, 100)", "unknown", "index-vanished")]


def test_rows_below_a_baseline_that_a_person_told_or_a_writer_declared_change_nothing(lake: Lake) -> None:
    lake.rows(run(0, 100, 200))
    lake.audit(broker=False, told=ToldBaseline({0: 100}))
    lake.rows(run(0, 0, 50))
    report = lake.audit(broker=False)
    assert (report.verdict, report.partitions[0].baseline) == ("complete", 100)
    lake.deploy("w1", start_offsets={0: 100})
    report = lake.audit(broker=False, told=ToldBaseline({}))
    assert (report.verdict, report.partitions[0].baseline) == ("complete", 100)
    lake.rows(run(0, 60, 100))
    report = lake.audit(broker=False)
    assert (report.verdict, report.partitions[0].baseline) == ("complete", 100)


def test_the_report_says_for_ever_that_a_baseline_is_the_indexes_own(lake: Lake) -> None:
    lake.rows(run(0, 50, 60))
    for _ in range(2):
        findings = {one.kind for one in lake.audit(broker=False).findings}
        assert "baseline-from-index" in findings


# ---- index files that vanish, and what is read


def test_a_vanished_file_at_the_end_is_noticed_without_the_broker(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    gone = lake.rows(run(0, 10, 20))
    assert lake.audit(broker=False).verdict == "complete"
    del lake.index.objects[gone]
    for how in ({}, {"full": True}, {}):
        report = lake.audit(broker=False, **how)
        assert (report.verdict, shown(report)) == ("undetermined", [("[10, 20)", "unknown", "index-vanished")])


def test_a_vanished_file_is_noticed_though_the_fold_is_lost_with_it(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    gone = lake.rows(run(0, 10, 20))
    lake.audit(broker=False)
    del lake.index.objects[gone]
    del lake.kept.objects[f"kafka_topic={TOPIC}/{FOLD}"]
    assert shown(lake.audit(broker=False)) == [("[10, 20)", "unknown", "index-vanished")]


def test_a_whole_partition_that_vanishes_does_not_fall_silent(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    gone = lake.rows(run(1, 0, 10))
    lake.audit(broker=False)
    del lake.index.objects[gone]
    report = lake.audit(broker=False)
    assert [one.verdict for one in report.partitions] == ["complete", "undetermined"]


def test_a_hole_in_a_vanished_file_is_not_said_to_have_been_indexed(lake: Lake) -> None:
    gone = lake.rows(run(0, 0, 10), run(0, 12, 20))
    lake.rows(run(1, 0, 1))
    lake.audit(broker=False)
    del lake.index.objects[gone]
    for _ in range(3):
        ranges = [one for one in shown(lake.audit(broker=False)) if one[2] == "index-vanished"]
        assert ranges == [("[0, 10)", "unknown", "index-vanished"), ("[12, 20)", "unknown", "index-vanished")]


def test_a_changed_file_and_one_spoilt_after_the_merge_are_noticed(lake: Lake) -> None:
    key = lake.rows(run(0, 0, 10))
    lake.audit(broker=False)
    lake.index.place(key, parquet([run(0, 0, 8)]))
    assert shown(lake.audit(broker=False)) == [("[8, 10)", "unknown", "index-vanished")]
    lake.index.place(key, b"PAR1")
    report = lake.audit(broker=False)
    assert shown(report) == [("[0, 10)", "unknown", "index-vanished")]
    assert key in report.problems[0]


def test_a_compacted_successor_replaces_its_files(lake: Lake) -> None:
    old = [lake.rows(run(0, 0, 10)), lake.rows(run(0, 10, 20))]
    lake.audit(broker=False)
    for key in old:
        del lake.index.objects[key]
    lake.rows(run(0, 0, 20))
    report = lake.audit(broker=False)
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0)


def test_a_file_that_comes_back_heals(lake: Lake) -> None:
    key = lake.rows(run(0, 0, 10))
    content = lake.index.objects[key][0]
    lake.audit(broker=False)
    del lake.index.objects[key]
    assert lake.audit(broker=False).verdict == "undetermined"
    lake.index.place(key, content)
    assert lake.audit(broker=False).verdict == "complete"


def test_only_new_files_are_read_and_only_open_days_listed(lake: Lake) -> None:
    for number in range(1050):
        lake.rows(run(0, 10 * number, 10 * number + 10), dt="2026-11-01")
    lake.rows(run(0, 10500, 10510), dt="2026-11-22")
    lake.audit(broker=False)
    assert len([key for key in lake.index.fetched if key.startswith("kafka_topic")]) == 1051
    new = lake.rows(run(0, 10510, 10520))
    lake.index.fetched.clear()
    lake.index.requests.clear()
    assert lake.audit(broker=False).verdict == "complete"
    assert [key for key in lake.index.fetched if key.startswith("kafka_topic")] == [new]
    # four open days and the deployment records, one request each: 1,050 files of closed days cost nothing
    assert lake.index.requests["pages"] == 5
    lake.index.requests.clear()
    assert lake.audit(broker=False, full=True).verdict == "complete"
    assert lake.index.requests["pages"] == 3  # 1,052 files, and the records


def test_a_rebuild_gives_the_same_bytes(lake: Lake) -> None:
    lake.deploy("w1")
    for start in (0, 30, 10, 20, 10):
        lake.rows(run(0, start, start + 10))
        lake.rows(run(1, start, start + 5, writer="nobody"), run(1, 3, 9, record_count=2))
        lake.audit(broker=False)
    before = lake.fold()
    lake.audit(broker=False, full=True)
    assert lake.fold() == before
    del lake.kept.objects[f"kafka_topic={TOPIC}/{FOLD}"]
    lake.audit(broker=False)
    assert lake.fold() == before


def test_a_late_file_of_a_closed_day_is_looked_for_before_anything_is_called_a_hole(lake: Lake) -> None:
    lake.rows(run(0, 0, 10), dt="2026-11-10")
    lake.rows(run(0, 10, 20))
    lake.end(20)
    assert lake.audit().verdict == "complete"
    lake.rows(run(0, 30, 40))
    lake.rows(run(0, 20, 30), dt="2026-11-11")  # held back for days
    lake.end(40)
    assert lake.audit().verdict == "complete"


def test_a_late_file_of_a_closed_day_heals_a_known_gap_at_the_next_full_audit_or_new_writer(lake: Lake) -> None:
    lake.deploy("w1")
    for heals in ("full", "writer"):
        end = 100 if heals == "full" else 200
        lake.rows(run(0, end - 100, end - 50), dt="2026-11-10")
        lake.rows(run(0, end - 40, end))
        lake.end(end)
        lake.audit()
        lake.wait()
        assert lake.audit().verdict == "undetermined"
        lake.rows(run(0, end - 50, end - 40), dt="2026-11-11")
        assert lake.audit().verdict == "undetermined"  # nothing new calls for a look at closed days
        if heals == "writer":
            lake.deploy("w2", previous="w1")
        assert lake.audit(full=heals == "full").verdict == "complete"


@pytest.mark.parametrize("broker", [True, False])
def test_a_refused_file_stays_a_problem_when_its_day_is_closed(lake: Lake, broker: bool) -> None:
    lake.rows(run(0, 0, 10), dt="2026-11-10")
    lake.index.place(f"kafka_topic={TOPIC}/dt=2026-11-10/spoilt", b"PAR1")
    lake.rows(run(0, 10, 20))
    lake.end(20)
    for _ in range(3):
        report = lake.audit(broker=broker)
        assert report.verdict == "undetermined"
        assert "spoilt" in report.problems[0]
    del lake.index.objects[f"kafka_topic={TOPIC}/dt=2026-11-10/spoilt"]
    assert lake.audit(broker=broker).verdict == "complete"
    lake.index.requests.clear()
    assert lake.audit(broker=broker).verdict == "complete"
    assert lake.index.requests["pages"] == 4  # open days and deployment records: two pages would be everything


def test_a_topic_without_days_is_listed_whole(lake: Lake) -> None:
    lake.index.place(f"kafka_topic={TOPIC}/part-1", parquet([run(0, 0, 10)]))
    lake.audit(broker=False)
    lake.index.place(f"kafka_topic={TOPIC}/other/part-2", parquet([run(0, 10, 20)]))
    report = lake.audit(broker=False)
    assert (report.verdict, report.totals["indexed"]) == ("complete", 20)


def test_a_day_in_the_future_closes_no_day_of_now(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10))
    lake.rows(run(0, 10, 20), dt="2027-11-23")  # one checkpoint by a wrong clock
    lake.end(20, 20)
    (found,) = [one for one in lake.audit(broker=False).findings if one.kind == "future-day"]
    assert (found.severity, found.data) == ("warn", {"day": "2027-11-23"})
    lake.rows(run(0, 20, 30), run(0, 35, 40))
    lake.rows(run(0, 0, 10))
    for _ in range(3):
        lake.wait(3600)
        report = lake.audit(broker=False)
        assert (report.verdict, report.totals["duplicated"]) == ("loss", 10)
        assert ("[30, 35)", "missing", "unresolved") in shown(report)


@pytest.mark.parametrize(("ahead", "pages"), [("2026-11-24", 5), ("2026-11-25", 2)])  # open days, or all; and records
def test_beside_a_day_ahead_a_file_of_today_that_vanishes_is_noticed(lake: Lake, ahead: str, pages: int) -> None:
    gone = lake.rows(run(0, 0, 10))
    lake.rows(run(0, 10, 20), dt=ahead)
    lake.end(20)
    lake.audit()
    lake.index.requests.clear()
    assert lake.audit().verdict == "complete"
    assert lake.index.requests["pages"] == pages
    del lake.index.objects[gone]
    assert shown(lake.audit()) == [("[0, 10)", "unknown", "index-vanished")]


def test_a_day_that_is_next_in_another_time_zone_is_no_remark(lake: Lake) -> None:
    lake.rows(run(0, 0, 10), dt="2026-11-24")
    assert not [one for one in lake.audit(broker=False).findings if one.kind == "future-day"]


@pytest.mark.parametrize("new_writer", [True, False])
def test_a_job_that_takes_over_an_index_of_another_layout_is_seen(lake: Lake, new_writer: bool) -> None:
    lake.index.place("dt=2026-11-22/old", parquet([run(0, 0, 10)], ORIGINAL_SCHEMA))
    lake.audit(broker=False)
    if new_writer:
        lake.deploy("w2", start_offsets={0: 0})
        lake.audit(broker=False)  # the one full listing that a new writer brings: it has written nothing yet
    lake.rows(run(0, 10, 20, writer="w2"), run(0, 25, 30, writer="w2"))
    for _ in range(3):
        lake.wait(3600)
        report = lake.audit(broker=False)
        assert (report.verdict, shown(report)) == ("loss", [("[20, 25)", "missing", "unresolved")])


def test_of_an_index_in_two_layouts_the_open_days_of_both_are_listed(lake: Lake) -> None:
    for number in range(1050):
        lake.index.place(f"dt=2026-11-01/old-{number}", parquet([run(0, number, number + 1)], ORIGINAL_SCHEMA))
    lake.index.place("dt=2026-11-22/old", parquet([run(0, 1050, 1060)], ORIGINAL_SCHEMA))
    lake.audit(broker=False)
    lake.index.requests.clear()
    assert lake.audit(broker=False).totals["indexed"] == 1060
    assert lake.index.requests["pages"] == 6  # four open days, the directory that a new job would write to, records
    lake.rows(run(0, 1060, 1070))
    assert lake.audit(broker=False).totals["indexed"] == 1070
    lake.index.place("dt=2026-11-23/late", parquet([run(0, 1070, 1080)], ORIGINAL_SCHEMA))
    lake.rows(run(0, 1080, 1090))
    lake.index.requests.clear()
    assert lake.audit(broker=False).totals["indexed"] == 1090
    assert lake.index.requests["pages"] == 7  # three open days of each, and records


def test_an_index_below_two_other_roots_is_listed_whole(lake: Lake) -> None:
    for number, root in enumerate(("a", "b", "c")):
        lake.index.place(f"{root}/dt=2026-11-23/part", parquet([run(0, 10 * number, 10 * number + 10)]))
        if number:  # below a single root there is no sign of another one
            assert lake.audit(broker=False).totals["indexed"] == 10 * number + 10


def test_what_the_first_start_gave_up_is_below_where_it_reads_and_missing_all_the_same(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: 15}, skipped={0: (OffsetRange(10, 15),)})
    lake.rows(run(0, 15, 20, writer="w1"))
    lake.end(20)
    for broker in (False, True):
        report = lake.audit(broker=broker)
        assert report.verdict == "loss"
        assert shown(report) == [("[10, 15)", "missing", "expired")]


@pytest.mark.parametrize("clock", [600, -600])
@pytest.mark.parametrize("broker", [True, False])
def test_where_reading_began_is_what_the_first_of_the_chain_declared_by_whatever_clock(
    lake: Lake, clock: float, broker: bool
) -> None:
    lake.deploy("w1", start_offsets={0: 0})
    lake.wait(clock)
    lake.deploy("w2", start_offsets={0: 5000}, previous="w1", reason="new-plan")
    lake.wait(1200)
    lake.rows(run(0, 10, 5000, writer="w1"), run(0, 5000, 9000, writer="w2"))
    lake.end(9000)
    lake.audit(broker=broker)
    lake.wait()
    report = lake.audit(broker=broker)
    (lost,) = shown(report)
    assert (report.partitions[0].baseline, lost[0]) == (0, "[0, 10)")
    assert report.verdict == ("undetermined" if broker else "loss")
    (told,) = [one for one in report.findings if one.kind == "writer-changed"]
    assert told.data["writer"] == "w2"


def test_a_baseline_by_a_record_is_lowered_by_an_earlier_one_that_comes_back_and_never_rises(lake: Lake) -> None:
    lake.deploy("w2", start_offsets={0: 5000}, previous="w1", reason="new-plan")
    lake.rows(run(0, 5000, 9000, writer="w2"))
    assert lake.audit(broker=False).partitions[0].baseline == 5000
    lake.wait()
    lake.deploy("w1", start_offsets={0: 0})
    for _ in range(2):
        report = lake.audit(broker=False)
        assert (report.verdict, shown(report)) == ("loss", [("[0, 5000)", "missing", "unresolved")])
    del lake.index.objects[deployment_key("w1")]
    assert lake.audit(broker=False).partitions[0].baseline == 0


def test_a_deployment_record_that_vanishes_is_a_problem(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10))
    assert lake.audit(broker=False).verdict == "complete"
    del lake.index.objects[deployment_key("w1")]
    report = lake.audit(broker=False)
    assert report.verdict == "undetermined"
    assert "writer w1 was there and is gone" in report.problems[0]


# ---- the log behind the offsets


def test_a_log_that_was_cut_back_stays_doubtful_when_it_grows_again(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 20))
    lake.end(20)
    assert lake.audit().verdict == "complete"
    lake.end(12)
    assert shown(lake.audit()) == [("[12, 20)", "unknown", "incarnation")]
    lake.end(30)
    lake.rows(run(0, 20, 30))
    for _ in range(40):  # behind the next checkpoint of the ledger too
        report = lake.audit()
    assert (report.verdict, shown(report)) == ("undetermined", [("[12, 20)", "unknown", "incarnation")])


def test_a_cut_seen_by_the_first_audit_of_all_stays_doubtful(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))
    lake.end(12, committed=20)  # the group is ahead of the log: the broker's answer cannot be true
    assert lake.audit().verdict == "undetermined"
    lake.end(30)
    lake.rows(run(0, 20, 30))
    assert shown(lake.audit()) == [("[12, 20)", "unknown", "incarnation")]


def test_a_recreated_topic_is_sealed_and_its_rows_never_cover_new_offsets(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 20))
    lake.end(20)
    assert lake.audit().verdict == "complete"
    lake.broker.topic_ids[TOPIC] = "topic-2"
    lake.end(15)
    report = lake.audit()
    assert report.verdict == "undetermined"
    assert report.totals["indexed"] == 0
    assert "last verdict: complete" in next(one.text for one in report.findings if one.kind == "sealed")
    lake.deploy("w2", topic_id="topic-2")
    lake.rows(run(0, 0, 10, writer="w2"))
    late = lake.rows(run(0, 10, 15, writer="w1"))  # a straggler of the old topic
    report = lake.audit()
    assert (report.totals["indexed"], report.totals["pending"]) == (10, 5)
    lake.rows(run(0, 10, 15, writer="w2"))
    report = lake.audit()
    assert (report.verdict, report.totals["duplicated"]) == ("complete", 0)
    assert late in lake.index.objects
    assert lake.audit(broker=False).verdict == "complete"


def test_what_is_remembered_of_a_topic_says_nothing_of_the_next_while_the_index_cannot_be_read(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 5), run(0, 7, 10))
    lake.end(10)
    request = replace(lake.request(), reader=Markers())
    assert shown(audit_topic(request, lambda: lake.now)) == [("[5, 7)", "explained", "control-marker")]
    lake.broker.topic_ids[TOPIC] = "topic-2"
    lake.end(12)

    def refuse(_operation: str, _key: str) -> None:
        raise StoreError("no rights: check them")

    lake.index.before = refuse
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("undetermined", [("[0, 12)", "unknown", "incarnation")])
    lake.index.before = lambda *_: None
    lake.deploy("w2", topic_id="topic-2")
    lake.rows(run(0, 0, 12, writer="w2"))
    assert lake.audit().verdict == "complete"


def test_rows_that_name_no_writer_are_doubtful_once_the_topic_was_recreated(lake: Lake) -> None:
    lake.rows(run(0, 0, 20), schema=ORIGINAL_SCHEMA)
    lake.end(20)
    assert lake.audit().verdict == "complete"
    lake.broker.topic_ids[TOPIC] = "topic-2"
    report = lake.audit()
    assert report.verdict == "undetermined"
    assert "rows without a writer" in report.problems[0]
    assert lake.audit(told=ToldBaseline({})).verdict == "complete"  # a person vouches for them


def test_another_cluster_is_a_doubt_and_leaves_no_trace(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))
    lake.end(20, committed=20)
    assert lake.audit().verdict == "complete"
    lake.broker.cluster_id = "other"
    lake.end(500)
    report = lake.audit()
    assert report.verdict == "undetermined"
    assert shown(report) == [("[0, 500)", "unknown", "incarnation")]
    lake.broker.cluster_id = "cluster-1"
    lake.end(20)
    lake.wait()
    assert lake.audit().verdict == "complete"


def test_a_first_audit_at_a_wrong_address_leaves_no_trace(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 20))
    lake.broker.cluster_id = "other"
    lake.end(3)
    assert lake.audit().verdict == "undetermined"
    lake.broker.cluster_id = "cluster-1"
    lake.end(20)
    assert lake.audit().verdict == "complete"


# ---- when memory is lost, or cannot be kept


def test_a_lost_memory_is_never_green_until_a_person_tells_a_baseline(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))
    lake.end(20)
    lake.audit()
    lake.kept.objects.clear()
    for _ in range(2):
        report = lake.audit()
        assert (report.verdict, report.state) == ("undetermined", "first")
        assert "tell a baseline again" in report.problems[0]
        assert lake.stored()["partitions"] == [{"partition": 0, "offset": None, "time": None}]
    report = lake.audit(told=ToldBaseline({0: 5}))
    assert (report.verdict, report.partitions[0].baseline) == ("complete", 5)
    report = lake.audit()
    assert (report.verdict, report.partitions[0].baseline, report.state) == ("complete", 5, "continued")


def test_a_memory_that_cannot_be_kept_makes_the_verdict_undetermined_and_the_report_is_there(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))

    def refuse(operation: str, _key: str) -> None:
        if operation.startswith("put"):
            raise StoreError("the disk is full: check the disk")

    lake.kept.before = refuse
    report = lake.audit(broker=False)
    assert (report.verdict, report.exit_code, report.totals["indexed"]) == ("undetermined", 3, 20)
    assert "could not be stored" in report.problems[0]
    lake.index.objects.popitem()
    lake.rows(run(0, 0, 10), run(0, 12, 20))
    assert lake.audit(broker=False).verdict == "loss"  # what is lost is not hidden by it


def test_an_audit_told_to_store_nothing_stores_nothing_and_is_as_good(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))
    index = dict(lake.index.objects)
    assert lake.audit(broker=False, store=False).verdict == "complete"
    assert lake.kept.objects == {}
    assert lake.index.objects == index


def test_an_index_that_cannot_be_read_leaves_what_was_known_as_it_was(lake: Lake) -> None:
    lake.rows(run(0, 0, 20))
    lake.audit(broker=False)
    fold = lake.fold()

    def refuse(operation: str, key: str) -> None:
        if operation == "list" and key.startswith("kafka_topic"):
            raise StoreError("no rights: check them")

    lake.index.before = refuse
    report = lake.audit(broker=False)
    assert (report.verdict, report.books["index"]) == ("undetermined", "unreadable")
    lake.index.before = lambda *_: None
    assert lake.fold() == fold
    assert lake.audit(broker=False).verdict == "complete"


# ---- gaps that people take on, and the watermark


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one gap; commands find it by the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_TOPIC", "LINEAGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OFFSET_INDEX_PATH", str(tmp_path / "index"))
    monkeypatch.setenv("AUDIT_PATH", str(tmp_path / "audit"))
    put(tmp_path / "index", day(TOPIC, "part-1"), parquet([run(9, 0, 1900), run(9, 1960, 2000)]))
    return tmp_path


def audited(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(audit_command, ["--books", "index", "--json", *arguments], catch_exceptions=False)
    return {**json.loads(done.stdout), "exit": done.exit_code}


def accept(*arguments: str) -> Result:
    return CliRunner().invoke(accept_command, [*arguments, "--author", "ann"])


def test_an_accepted_gap_is_no_loss_and_is_shown_for_ever(place: Path) -> None:
    assert audited()["exit"] == 1
    done = accept("9", "1900", "1960", "--reason", "test records")
    assert done.exit_code == 0, done.output
    assert "offsets 1900 to 1959 (60) of partition 9" in done.output
    report = audited()
    assert (report["exit"], report["totals"]["accepted"], report["totals"]["missing"]) == (0, 60, 0)
    assert "ann: test records" in report["partitions"][0]["ranges"][0]["evidence"]
    put(place / "index", day(TOPIC, "part-2"), parquet([run(9, 1900, 1960)]))
    report = audited()
    assert report["totals"]["accepted"] == 0
    assert any("accepted by ann" in one["text"] for one in report["findings"])


def test_an_accepted_gap_is_bound_to_exactly_its_offsets(place: Path) -> None:
    audited()
    assert accept("9", "1900", "1950", "--reason", "x").exit_code == 0
    report = audited()
    assert (report["exit"], report["totals"]["accepted"], report["totals"]["missing"]) == (1, 50, 10)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["9", "1900", "1961"], "1960 to 1960"),
        (["9", "0", "5"], "nothing to accept"),
        (["8", "1900", "1960"], "nothing to accept"),
        (["9", "1900", "1900"], "holds no offset"),
        (["9", "1960", "1900"], "below START"),
    ],
)
def test_only_what_is_a_gap_can_be_accepted(place: Path, arguments: list[str], why: str) -> None:
    audited()
    done = accept(*arguments, "--reason", "x")
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)
    assert audited()["totals"]["accepted"] == 0


def test_nothing_is_accepted_before_an_audit_or_on_a_lost_memory(place: Path) -> None:
    assert isinstance(accept("9", "1900", "1960", "--reason", "x").exception, LedgerError)
    audited()
    for path in (place / "audit").rglob("*.jsonl"):
        path.unlink()
    assert isinstance(accept("9", "1900", "1960", "--reason", "x").exception, LedgerError)


def test_a_reason_is_asked_for(place: Path) -> None:
    audited()
    assert accept("9", "1900", "1960").exit_code == 2
    assert accept("9", "1900", "1960", "--reason", " ").exit_code != 0
    assert isinstance(accept("9", "1900", "1960", "--reason", "x" * 1_001).exception, UsageError)


def test_the_history_of_a_gap_is_in_the_ledger(place: Path) -> None:
    audited()
    put(place / "index", day(TOPIC, "part-2"), parquet([run(9, 1900, 1960)]))
    audited()
    lines = [line for path in sorted((place / "audit").rglob("*.jsonl")) for line in path.read_text().splitlines()]
    changes = [one for one in map(json.loads, lines) if one.get("event") == "gap"]
    assert [(one["status"], one["ranges"]) for one in changes] == [
        ("opened", [[1900, 1960]]),
        ("healed", [[1900, 1960]]),
    ]


def test_the_watermark_is_printed_for_scripts(place: Path) -> None:
    audited()
    done = CliRunner().invoke(complete_through_command, [])
    assert (done.exit_code, done.stdout.splitlines()) == (0, [f"{TOPIC} -", "9 1900 -"])
    as_json = CliRunner().invoke(complete_through_command, ["--json"])
    assert json.loads(as_json.stdout)["partitions"][0]["offset"] == 1900


def test_no_watermark_without_an_audit_or_with_a_lost_memory(place: Path) -> None:
    told = CliRunner().invoke(complete_through_command, []).exception
    assert isinstance(told, LedgerError)
    assert "has not been audited yet: run `lineage audit` first" in str(told)
    audited()
    (stored,) = (place / "audit").rglob("complete-through.json")
    stored.unlink()
    assert isinstance(CliRunner().invoke(complete_through_command, []).exception, StoreError)
    audited()
    for path in (place / "audit").rglob("*.jsonl"):
        path.unlink()
    audited()
    assert CliRunner().invoke(complete_through_command, []).exit_code == 3


def test_a_memory_out_of_reach_is_never_said_to_have_had_no_audit(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.audit(broker=False)
    state = lake.request().plan.state  # type: ignore[union-attr]  # it is there

    def down(_operation: str, _key: str) -> None:
        raise StoreError("memory cannot be read: check path, endpoint and network")

    lake.kept.before = down
    with pytest.raises(StoreError, match="check path, endpoint and network"):
        stored_watermark(state, COMPLETE_THROUGH)
    lake.kept.before = lambda *_: None
    lake.kept.objects.clear()  # lost, as the witness beside the index tells
    with pytest.raises(StoreError, match="not there"):
        stored_watermark(state, COMPLETE_THROUGH)


def test_the_time_of_the_watermark_is_a_look_at_which_everything_below_was_all_there_was(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.end(10)
    lake.audit()
    first = lake.stored()
    assert (first["time"], first["partitions"]) == (
        "2026-11-23T09:00:00Z",
        [{"partition": 0, "offset": 10, "time": "2026-11-23T09:00:00Z"}],
    )
    lake.wait(100)
    lake.end(30)
    lake.audit()
    assert lake.stored()["time"] == "2026-11-23T09:00:00Z"  # [10, 30) is not there yet
    lake.wait(100)
    lake.rows(run(0, 10, 25))
    lake.audit()
    assert lake.stored()["partitions"] == [{"partition": 0, "offset": 25, "time": "2026-11-23T09:00:00Z"}]
    lake.wait(100)
    lake.rows(run(0, 25, 30))
    lake.audit()
    assert lake.stored()["time"] == "2026-11-23T09:05:00Z"


def test_the_watermark_goes_back_when_a_file_vanishes(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.end(10)
    lake.audit()
    lake.wait(100)
    gone = lake.rows(run(0, 10, 20))
    lake.end(20)
    lake.audit()
    assert lake.stored()["time"] == "2026-11-23T09:01:40Z"
    del lake.index.objects[gone]
    lake.audit()
    assert lake.stored()["partitions"] == [{"partition": 0, "offset": 10, "time": "2026-11-23T09:00:00Z"}]


def duplicated(report: AuditReport) -> tuple[str, Any]:
    (told,) = [one for one in report.partitions[0].ranges if one.range_class == "duplicated"]
    (found,) = [one for one in report.findings if one.kind == "duplicates"]
    return told.evidence, found.data["writers"]


def test_copies_are_told_with_the_writers_of_both_and_looked_up_once(lake: Lake) -> None:
    lake.deploy("w1")
    lake.deploy("w2", previous="w1")
    for start in range(0, 100, 10):
        lake.rows(run(0, start, start + 10), dt="2026-11-22")
    lake.end(100)
    lake.audit()
    copied = lake.rows(run(0, 35, 45, writer="w2"))
    assert duplicated(lake.audit()) == ("accounted for 2 times by w1 and w2", ["w1", "w2"])
    lake.index.fetched.clear()
    assert duplicated(lake.audit()) == ("accounted for 2 times by w1 and w2", ["w1", "w2"])
    assert copied not in lake.index.fetched  # the ledger knows
    lake.rows(run(0, 35, 45, writer="w2"))
    assert duplicated(lake.audit())[0] == "accounted for 3 times by w1 and w2"


def test_copies_by_one_writer_alone_and_without_a_ledger(lake: Lake) -> None:
    lake.rows(run(0, 0, 10), run(0, 5, 8))
    lake.end(10)
    request = lake.request()
    report = audit_topic(replace(request, plan=None), lambda: lake.now)
    assert duplicated(report) == ("accounted for 2 times by w1 alone", ["w1"])


def test_writers_in_more_files_than_are_looked_at_are_left_open(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage_pipeline.books.copy_writers.MAX_FILES", 1)
    lake.rows(run(0, 0, 10), dt="2026-11-20")
    lake.rows(run(0, 5, 8, writer="w2"))
    lake.end(10)
    text = "accounted for 2 times by w2 and rows in index files that were not looked at"
    assert duplicated(lake.audit()) == (text, ["w2"])


def test_a_burst_in_quarantine_is_found_behind_a_long_history(lake: Lake) -> None:
    lake.rows(run(0, 0, 100_000))
    lake.end(100_000)
    lake.audit()
    lake.wait(MAX_DELAY)
    lake.rows(run(0, 100_000, 100_200, quarantined_count=100))
    lake.end(100_200)
    (found,) = [one for one in lake.audit().findings if one.kind == "quarantine-rate"]
    assert (found.data["quarantined"], found.data["records"]) == (100, 200)
    lake.wait(MAX_DELAY)
    assert not [one for one in lake.audit().findings if one.kind == "quarantine-rate"]


# ---- the command


def test_where_nobody_chose_an_audit_path_nothing_is_remembered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_PATH")
    assert audited()["state"] == audited()["state"] == "first"
    assert not (place / "index" / "_audits").exists()
    settings = load_settings({"OFFSET_INDEX_PATH": str(place / "index")})
    assert audit_request(settings, settings.topic(), ["index"]).plan is None
    chosen = load_settings({})
    assert audit_request(chosen, chosen.topic(), ["index"]).plan is not None
    with pytest.raises(UsageError, match="AUDIT_PATH"):
        audited("--baseline", "declared")


def test_an_audit_that_forgets_says_that_a_second_look_needs_a_memory_or_a_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place / "output", hour(TOPIC, "p"), data_file([*span(9, 0, 1900), *span(9, 1970, 2000)]))
    for name in ("output", "quarantine"):
        monkeypatch.setenv(f"{name.upper()}_PATH", str(place / name))
    monkeypatch.setenv("CHECKPOINT_INTERVAL", "0.1")

    def told(*arguments: str) -> str:
        return CliRunner().invoke(audit_command, ["--books", "index,lake", *arguments]).stderr

    assert "nothing is remembered" not in told()  # this audit will be known to the next
    monkeypatch.delenv("AUDIT_PATH")
    assert "set AUDIT_PATH, or add --wait" in told()
    assert "set AUDIT_PATH, or add --wait" in told("--json")
    assert "nothing is remembered" not in told("--wait")
    put(place / "output", hour(TOPIC, "q"), data_file(span(9, 1960, 1970)))
    assert "nothing is remembered" not in told()  # there is nothing to look at again


def test_a_baseline_is_told_on_the_command_line(place: Path) -> None:
    audited()
    report = audited("--baseline", "9=1960")
    assert (report["exit"], report["partitions"][0]["baseline"]) == (0, 1960)
    assert audited()["partitions"][0]["baseline"] == 1960


@pytest.mark.parametrize("told", ["x", "0", "0=", "0=x", "0=1,0=2", "-1=0", "0=1,", "0=9223372036854775807"])
def test_a_baseline_that_is_none_is_a_usage_error(place: Path, told: str) -> None:
    with pytest.raises(UsageError, match="--baseline"):
        audited("--baseline", told)
