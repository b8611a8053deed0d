"""Ways to make an audit say `complete` though nobody looked, or nobody could know: each of them is tried here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.deployment import Isolation
from lineage_pipeline.core.hole_reading import HoleBudget, Round, Scan
from lineage_pipeline.core.ledger_events import GapAccepted
from lineage_pipeline.core.offsets import MAX_END, OffsetRange
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import StoreError
from lineage_pipeline.remembering import StatePlan, ToldBaseline
from lineage_pipeline.settings import load_settings
from tests.books.index_files import ORIGINAL_SCHEMA, parquet, run
from tests.books.index_files import put as place
from tests.books.lake_tables import data_file, span
from tests.books.model_broker import ModelPartition
from tests.test_remembering import SETTLE, TOPIC, Lake, shown

MORNING = datetime(2026, 11, 24, 6, tzinfo=timezone.utc)


@pytest.fixture
def lake() -> Lake:
    return Lake()


def verdicts(lake: Lake, **how: Any) -> list[str]:
    """Of three audits, far enough apart to agree with each other."""
    found = []
    for _ in range(3):
        found.append(lake.audit(**how).verdict)
        lake.wait()
    return found


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("witnessed", [True, False])
def test_an_empty_topic_whose_index_path_is_mistyped(
    lake: Lake, tmp_path: Path, on_disk: bool, witnessed: bool
) -> None:
    """Audits of earlier versions left a witness at such a path."""
    lake.end(0)
    mistyped = open_store(str(tmp_path / "mistyped"), {}) if on_disk else lake.index
    if witnessed:
        mistyped.put(f"_audits/{TOPIC}.json", b"{}")
    request = replace(
        lake.request(),
        index=IndexPath(mistyped, TOPIC),
        plan=StatePlan(AuditState(lake.kept, TOPIC, mistyped), told=ToldBaseline({}) if witnessed else None),
    )
    for _ in range(3):
        report = audit_topic(request, lambda: lake.now)
        assert (report.verdict, report.books["index"]) == ("undetermined", "unreadable")
        assert f"nothing is at {mistyped.uri}: check the path" in report.problems[0]
        request = replace(request, plan=replace(request.plan, told=None))  # type: ignore[type-var] - it has a plan
        lake.wait()
    assert witnessed or not mistyped.exists()


def test_a_topic_that_retention_emptied_before_anything_was_indexed(lake: Lake) -> None:
    lake.index.place("kafka_topic=another/part-1", b"")  # a path with nothing at all is not read
    lake.end(100)
    lake.broker.partitions[TOPIC][0].start = 100
    assert verdicts(lake) == ["undetermined"] * 3
    assert any(one.kind == "nothing-indexed" for one in lake.audit().findings)
    lake.rows(run(0, 100, 110))
    lake.end(110)
    assert lake.audit().verdict == "complete"


def test_a_writer_that_declared_to_begin_at_the_end_of_an_idle_partition_has_nothing_to_show(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: 100})
    lake.end(100)
    lake.broker.partitions[TOPIC][0].start = 100
    assert verdicts(lake) == ["complete"] * 3


def test_a_head_that_was_out_of_sight_while_the_broker_was_not_asked(lake: Lake) -> None:
    lake.rows(run(0, 50, 60))
    lake.end(60)
    assert lake.audit(broker=False).verdict == "complete"  # and the report says whose baseline that is
    assert verdicts(lake) == ["undetermined"] * 3
    assert shown(lake.audit()) == [("[0, 50)", "unknown", "no-baseline")]
    lake.broker.partitions[TOPIC][0].start = 50
    assert lake.audit().verdict == "complete"


def test_a_gap_accepted_before_any_broker_was_asked_is_not_one_of_a_topic_created_anew(lake: Lake) -> None:
    lake.rows(run(0, 0, 10), run(0, 12, 20))
    lake.audit(broker=False)
    state = lake.request().plan.state  # type: ignore[union-attr] - the request of a lake has a plan
    accepted = GapAccepted(lake.now, None, 0, OffsetRange(10, 12), "tests", "ann")
    state.append(state.read(), [accepted], SETTLE, 900)
    lake.end(20)
    assert lake.audit().verdict == "complete"
    lake.broker.topic_ids[TOPIC] = "topic-2"
    lake.deploy("w9", topic_id="topic-2")
    for key in [one for one in lake.index.objects if one.startswith("kafka_topic=")]:
        del lake.index.objects[key]
    lake.rows(run(0, 0, 10, writer="w9"), run(0, 12, 20, writer="w9"))
    assert "complete" not in verdicts(lake)


def test_a_partition_that_a_writer_declared_and_no_book_has(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: 0, 1: 0})
    lake.rows(run(0, 0, 10, writer="w1"))
    assert verdicts(lake, broker=False) == ["undetermined"] * 3
    lake.end(10)
    assert verdicts(lake) == ["undetermined"] * 3


def test_a_baseline_beyond_the_end_of_everything(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: 500})
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.end(10)
    assert verdicts(lake) == ["undetermined"] * 3
    assert verdicts(lake, broker=False) == ["undetermined"] * 3


def test_a_deployment_record_of_another_topic_in_our_index(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 5, 10, writer="w1"))
    lake.end(10)
    record = lake.index.objects["_deployments/w1.json"][0]
    lake.index.place("_deployments/w1.json", record.replace(f'"{TOPIC}"'.encode(), b'"other"'))
    # without a record the first five offsets, which are in the log, are nobody's word
    assert verdicts(lake) == ["undetermined"] * 3


def test_files_of_a_topic_whose_name_begins_or_ends_like_ours(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    for other in (f"{TOPIC}2", f"x{TOPIC}", f"{TOPIC}.{TOPIC}", f"{TOPIC}%"):
        lake.index.place(f"kafka_topic={other}/dt=2026-11-22/part-0", parquet([run(0, 10, 20)]))
    lake.end(20)
    report = lake.audit()
    assert (report.totals["indexed"], report.totals["pending"]) == (10, 10)


def test_a_broker_that_leaves_a_partition_out(lake: Lake) -> None:
    lake.broker.partitions[TOPIC] = {0: ModelPartition(10), 1: ModelPartition(10)}
    lake.rows(run(0, 0, 10), run(1, 0, 10))
    assert lake.audit().verdict == "complete"
    del lake.broker.partitions[TOPIC][1]
    assert verdicts(lake) == ["undetermined"] * 3
    lake.broker.partitions[TOPIC] = {}
    assert "complete" not in verdicts(lake)


def test_the_last_offsets_that_there_can_be(lake: Lake) -> None:
    lake.deploy("w1", start_offsets={0: MAX_END - 20})
    lake.rows(run(0, MAX_END - 20, MAX_END - 10, writer="w1"), run(0, MAX_END - 9, MAX_END, writer="w1"))
    lake.end(MAX_END)
    assert shown(lake.audit()) == [(f"[{MAX_END - 10}, {MAX_END - 9})", "pending", "suspected")]
    lake.rows(run(0, MAX_END - 10, MAX_END - 9, writer="w1"))
    assert lake.audit().verdict == "complete"


def test_files_without_a_row(lake: Lake) -> None:
    lake.index.place(f"kafka_topic={TOPIC}/dt=2026-11-22/empty", parquet([run(0, 0, 1)][:0]))
    assert verdicts(lake, broker=False) == ["undetermined"] * 3
    lake.end(10)
    assert verdicts(lake) == ["undetermined"] * 3


def test_a_clock_that_goes_back_by_days_hides_no_dead_job_for_longer_than_it_may_be_silent(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.end(10)
    lake.audit()
    lake.end(20)
    lake.audit()
    lake.wait(-3 * 86400)
    assert lake.audit().verdict == "complete"  # pending, by all that can be known
    lake.wait(1000)
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("undetermined", [("[10, 20)", "pending", "stalled")])


AHEAD = [3600.0, 6 * 3600.0, 3 * 86400.0, 3650 * 86400.0]


def audited_by(lake: Lake, wrong: float) -> AuditReport:
    """An audit by a machine whose clock is wrong by that many seconds."""
    lake.wait(wrong)
    report = lake.audit()
    lake.wait(-wrong)
    return report


@pytest.mark.parametrize("wrong", [*AHEAD, -3650 * 86400.0])
@pytest.mark.parametrize("healthy", [0, 15, 60])
def test_a_dead_job_beside_one_audit_by_a_wrong_clock_is_noticed_as_soon_as_ever(
    lake: Lake, wrong: float, healthy: int
) -> None:
    lake.deploy("w1")
    end = 10
    lake.rows(run(0, 0, end, writer="w1"))
    lake.end(end)
    lake.audit()
    audited_by(lake, wrong)
    for _ in range(healthy):
        lake.rows(run(0, end, end + 10, writer="w1"))
        end += 10
        lake.end(end)
        lake.audit()
        lake.wait(20)
    lake.end(end + 10)  # and the job is dead
    told = [lake.audit().verdict for _ in range(70) if lake.wait(20) is None]
    # a checkpoint leaves one look for every quarter of max_delay
    assert "undetermined" in told[: (900 + 225) // 20 + 1]
    assert told[-1] == "undetermined"


@pytest.mark.parametrize("wrong", [3600.0, 6 * 3600.0])
@pytest.mark.parametrize("turns", [(False, True), (False, False, True), (True, True, False)])
def test_of_two_machines_that_audit_in_turn_by_clocks_far_apart_each_notices_a_dead_job_and_no_other(
    lake: Lake, turns: tuple[bool, ...], wrong: float
) -> None:
    lake.deploy("w1")
    told: dict[bool, list[str]] = {True: [], False: []}

    def round_of_audits(end: int) -> None:
        lake.wait(20)
        lake.end(end)
        for ahead in turns:
            told[ahead].append((audited_by(lake, wrong) if ahead else lake.audit()).verdict)

    for number in range(80):  # the newest ten records are always under way
        lake.rows(run(0, 10 * number, 10 * number + 10, writer="w1"))
        round_of_audits(10 * number + 20)
    assert {one for ahead in (True, False) for one in told[ahead][50 * turns.count(ahead) :]} == {"complete"}
    for _ in range(2 * 900 // 20):
        round_of_audits(810)
    assert told[True][-1] == told[False][-1] == "undetermined"


@pytest.mark.parametrize("wrong", AHEAD)
def test_the_watermark_after_an_audit_by_a_clock_that_was_ahead(lake: Lake, wrong: float) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.end(10)
    lake.audit()
    audited_by(lake, wrong)
    lake.end(20)
    for _ in range(40):  # more than from one checkpoint to the next, and beyond the nearest of those times
        lake.wait(100)
        lake.audit()
        assert lake.stored()["partitions"] == [{"partition": 0, "offset": 10, "time": "2026-11-23T09:00:00Z"}]
        assert lake.stored()["time"] == "2026-11-23T09:00:00Z"


def test_a_watermark_of_a_time_to_come_is_gone_for_good_though_the_next_audit_read_nothing(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.end(10)
    audited_by(lake, 3600)
    lake.end(20)

    def refuse(operation: str, key: str) -> None:
        if operation == "list" and key.startswith("kafka_topic"):
            raise StoreError("no rights: check them")

    lake.index.before = refuse
    lake.audit()
    lake.index.before = lambda *_: None
    lake.wait(7200)
    lake.audit()
    assert lake.stored()["time"] is None


def test_a_watermark_that_a_clock_of_long_ago_set_back_comes_again(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.end(10)
    lake.audit()
    lake.end(20)
    audited_by(lake, -3650 * 86400.0)
    assert (lake.stored()["partitions"][0]["offset"], lake.stored()["time"]) == (10, None)
    lake.rows(run(0, 10, 20, writer="w1"))
    lake.wait()
    lake.audit()
    assert lake.stored()["time"] == "2026-11-23T09:01:00Z"


@pytest.mark.parametrize("wrong", [*AHEAD, -3650 * 86400.0])
def test_a_hole_that_one_audit_by_a_wrong_clock_saw_still_needs_two_looks(lake: Lake, wrong: float) -> None:
    lake.rows(run(0, 0, 5))
    lake.end(5)
    lake.audit()
    lake.rows(run(0, 7, 10))
    lake.end(10)
    audited_by(lake, wrong)
    lake.wait(1)
    report = lake.audit()
    assert shown(report) == [("[5, 7)", "pending", "suspected")]
    (told,) = [one for one in report.findings if one.kind == "clocks-differ"]
    assert (told.severity, told.data["looks"]) == ("warn", 1)
    lake.wait()
    assert shown(lake.audit()) == [("[5, 7)", "unknown", "unresolved")]
    lake.rows(run(0, 5, 7))
    for _ in range(32):  # as long as a checkpoint takes
        lake.wait(1)
        report = lake.audit()
    assert (report.verdict, [one for one in report.findings if one.kind == "clocks-differ"]) == ("complete", [])


def test_another_index_below_the_same_memory(lake: Lake) -> None:
    lake.rows(run(0, 0, 10))
    lake.end(10)
    lake.audit()
    for key in [one for one in lake.index.objects if one.startswith("kafka_topic=")]:
        del lake.index.objects[key]
    lake.index.place(f"kafka_topic={TOPIC}/dt=2026-11-25/x", parquet([run(0, 5, 10)]))
    assert verdicts(lake) == ["undetermined"] * 3


@pytest.mark.parametrize(("epoch", "told"), [
    (5, ("complete", "explained", "control-marker")), (6, ("undetermined", "unknown", "unresolved")),
])  # fmt: skip
def test_a_reading_across_a_change_of_leader(lake: Lake, epoch: int, told: tuple[str, str, str]) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"), run(0, 12, 20, writer="w1"))
    lake.broker.partitions[TOPIC][0] = ModelPartition(20, epoch=5)

    class Reader:
        """Finds nothing at either level, while another leader may have cut the log back and refilled it."""

        def read(
            self, topic: str, rounds: Sequence[Round], isolation: Isolation, budget: HoleBudget
        ) -> tuple[Scan, ...]:
            lake.broker.partitions[topic][0] = ModelPartition(20, epoch=epoch)
            assert budget.ranges > 0
            levels: tuple[Isolation, Isolation] = ("read_committed", "read_uncommitted")
            assert isolation in levels
            return tuple(
                Scan(one.partition, level, one.range, one.range.end)
                for windows in rounds
                for one in windows
                for level in levels
            )

    report = audit_topic(replace(lake.request(), reader=Reader()), lambda: lake.now)
    assert (report.verdict, *shown(report)[0][1:]) == told


def test_a_person_who_begins_anew_means_the_topic_that_the_broker_has(lake: Lake) -> None:
    lake.deploy("w1")
    lake.rows(run(0, 0, 10, writer="w1"))
    lake.broker.topic_ids[TOPIC] = "topic-2"
    lake.end(10)
    assert shown(lake.audit()) == [("[0, 10)", "unknown", "incarnation")]
    report = lake.audit(told=ToldBaseline({}))
    assert (report.verdict, report.totals["pending"], shown(report)) == ("undetermined", 10, [])


@pytest.mark.parametrize(
    ("mine", "other", "whose"),
    [
        ("{}/index", "{}/index/", "nobody's"),
        ("{}/index", "file://{}/index", "nobody's"),
        ("{}/index", "{}/linked", "nobody's"),
        ("{}/index", "{}/index/of-b", "nobody's"),
        ("index", "{}/index", "nobody's"),
        ("{}/index", "{}", "mine"),
        ("{}/index", "{}/index/kafka_topic=b", "mine"),
        ("{}/index", "{}/index-of-b", "mine"),
    ],
)
def test_rows_of_a_path_that_another_topic_has_by_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: str, other: str, whose: str
) -> None:
    monkeypatch.chdir(tmp_path)
    place(tmp_path / "index", "flat", parquet([run(0, 0, 10)], ORIGINAL_SCHEMA))
    place(tmp_path / "output", "flat", data_file(span(0, 0, 10)))
    (tmp_path / "linked").symlink_to("index")
    topics = [
        {"name": name, "paths": {"offset_index": where.format(tmp_path), "output": where.format(tmp_path) + "-data"}}
        for name, where in (("a", mine), ("b", other))
    ]
    (tmp_path / "lineage.yaml").write_text(json.dumps({"lake": str(tmp_path / "lake"), "topics": topics}))
    report = audit_topic(audit_request(load_settings({}), load_settings({}).topic("a"), ["index"]), lambda: MORNING)
    assert report.verdict == ("complete" if whose == "mine" else "undetermined")
    assert [("several topics share" in one) for one in report.problems] == [True] * (whose == "nobody's")


@pytest.mark.parametrize("other", ["{}/output/", "file://{}/output", "{}/output/of-b"])
def test_data_files_of_a_path_that_another_topic_has_by_another_name(tmp_path: Path, other: str) -> None:
    place(tmp_path / "index", "kafka_topic=a/dt=2026-11-22/x", parquet([run(0, 0, 10)]))
    place(tmp_path / "output", "flat", data_file(span(0, 0, 10)))
    topics = [
        {"name": "a", "paths": {"offset_index": f"{tmp_path}/index", "output": f"{tmp_path}/output"}},
        {"name": "b", "paths": {"output": other.format(tmp_path)}},
    ]
    (tmp_path / "lineage.yaml").write_text(json.dumps({"lake": str(tmp_path / "lake"), "topics": topics}))
    settings = load_settings({}, cwd=tmp_path)
    report = audit_topic(audit_request(settings, settings.topic("a"), ["index", "lake"]), lambda: MORNING)
    assert report.verdict == "undetermined"
    assert any("several topics share" in one for one in report.problems)
