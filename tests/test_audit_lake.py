"""Audits that read the lake: each way to harm its files is found with its class and the file's name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lineage_pipeline.accept import Acceptance, accept_gap
from lineage_pipeline.audit_topic import AuditRequest, audit_topic, audit_twice
from lineage_pipeline.books.audit_state import AuditState
from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.books.index_store import IndexPath
from lineage_pipeline.books.lake_book import LakeBook, LakeBudget
from lineage_pipeline.books.object_store import ObjectInfo, open_store
from lineage_pipeline.core.deployment import Deployment, deployment_key
from lineage_pipeline.core.evidence import AuditRules
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.errors import StoreError
from lineage_pipeline.remembering import StatePlan
from tests.books.index_files import day, parquet, put, run
from tests.books.lake_tables import data_file, hour, quarantine_file, span
from tests.books.model_broker import ModelBroker, ModelPartition

TOPIC = "orders"
SETTLE = 60.0


class Lake:
    """Index, data, quarantine and audit path in directories, a model broker, and a clock that moves when told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = datetime.now(timezone.utc)
        self.broker: ModelBroker | None = ModelBroker({TOPIC: {0: ModelPartition(20)}})
        self.index = put(root / "index", day(TOPIC, "index-1"), parquet([run(0, 0, 10, quarantined_count=2)]))
        put(root / "index", day(TOPIC, "index-2"), parquet([run(0, 10, 20)]))
        self.one = self.data("part-1", span(0, 0, 8))
        self.two = self.data("part-2", span(0, 10, 20))
        self.bad = put(root / "quarantine", hour(TOPIC, "bad-1"), quarantine_file(span(0, 8, 10)))

    def data(self, name: str, records: list[tuple[int, int]], **options: Any) -> Path:
        return put(self.root / "output", hour(TOPIC, name), data_file(records, **options))

    def request(self, **changed: Any) -> AuditRequest:
        def store(name: str) -> Any:
            return open_store(str(self.root / name), {})

        index = store("index")
        plan = {name: changed.pop(name) for name in ("full", "store") if name in changed}
        tables = changed.pop("tables", {"data": "output", "quarantine": "quarantine"})
        book = LakeBook(
            {table: store(name) for table, name in tables.items()}, LakeLayout(TOPIC), store("audit"), **changed
        )
        (self.root / "audit").mkdir(exist_ok=True)
        return AuditRequest(
            IndexPath(index, TOPIC),
            self.broker,
            "g",
            AuditRules(SETTLE),
            plan=StatePlan(AuditState(store("audit"), TOPIC, index), **plan),
            lake=book,
        )

    def audit(self, *, wait: bool = False, lake: bool = True, **changed: Any) -> AuditReport:
        request = self.request(**changed)
        if not lake:
            request = AuditRequest(**{**request.__dict__, "lake": None})
        return audit_twice(request, self.clock, self.wait) if wait else audit_topic(request, self.clock)

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float = SETTLE) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def shown(report: AuditReport) -> list[tuple[str, str, str | None]]:
    return [(str(one.range), one.range_class, one.cause) for part in report.partitions for one in part.ranges]


def told(report: AuditReport) -> str:
    texts = [one.evidence for part in report.partitions for one in part.ranges]
    return "\n".join([*texts, *report.problems, *(f"{one.kind}: {one.text}" for one in report.findings)])


def test_a_whole_lake_is_complete_and_later_audits_look_at_no_file_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lake.audit()
    assert (first.verdict, first.books["lake"], shown(first)) == ("complete", "read", [])

    def refuse(*_arguments: Any) -> bytes:
        raise StoreError("nothing is to be read")

    monkeypatch.setattr(DirectoryStore, "get_range", refuse)
    report = lake.audit()
    assert (report.verdict, report.books["lake"]) == ("complete", "read")
    assert lake.audit(full=True).verdict == "undetermined"  # which looks at all of them again


def test_a_deleted_file_is_damage_by_two_looks_and_is_named(lake: Lake) -> None:
    lake.audit()
    lake.two.unlink()
    assert shown(lake.audit()) == [("[10, 20)", "pending", "suspected")]
    lake.wait()
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("loss", [("[10, 20)", "damaged", "object-missing")])
    assert f"data file {hour(TOPIC, 'part-2')} held them" in told(report)
    assert report.totals["actual"] == 10
    assert report.totals["expected"] == 20


def audited_by(lake: Lake, wrong: timedelta) -> AuditReport:
    """An audit by a machine whose clock is wrong by that much."""
    lake.now += wrong
    report = lake.audit()
    lake.now -= wrong
    return report


WRONG = [timedelta(hours=1), timedelta(days=365), timedelta(days=-365)]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("audits", [0, 40])
def test_a_file_deleted_after_one_look_by_a_wrong_clock_is_damage_by_two_looks(
    lake: Lake, wrong: timedelta, audits: int
) -> None:
    lake.audit()
    audited_by(lake, wrong)
    for _ in range(audits):  # also across a checkpoint
        lake.wait(1)
        lake.audit()
    lake.two.unlink()
    lake.wait(1)
    assert shown(lake.audit()) == [("[10, 20)", "pending", "suspected")]
    lake.wait()
    assert lake.audit().verdict == "loss"
    for _ in range(40):
        lake.wait(1)
        assert lake.audit(lake=False).verdict == "loss"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("audits", [1, 40])
def test_damage_known_before_or_since_a_look_by_a_wrong_clock_is_not_forgotten(
    lake: Lake, wrong: timedelta, audits: int
) -> None:
    lake.audit()
    lake.two.unlink()
    lake.audit()
    if wrong < timedelta(0):
        lake.wait()
        assert lake.audit().verdict == "loss"
    assert audited_by(lake, wrong).verdict == "loss"
    for _ in range(audits):
        lake.wait(1)
        assert lake.audit(lake=False).verdict == "loss"
    assert lake.audit().verdict == "loss"


def test_audits_without_the_lake_keep_what_the_lake_showed_until_it_shows_something_else(lake: Lake) -> None:
    lake.audit()
    content = lake.two.read_bytes()
    lake.two.unlink()
    lake.audit(wait=True)
    report = lake.audit(lake=False)
    assert (report.verdict, report.books["lake"]) == ("loss", "not-consulted")
    assert shown(report) == [("[10, 20)", "damaged", "object-missing")]
    assert "part-2" in told(report)
    lake.two.write_bytes(content)
    assert lake.audit().verdict == "complete"
    assert lake.audit(lake=False).verdict == "complete"


def test_a_file_that_comes_back_between_the_looks_was_never_damage(lake: Lake) -> None:
    lake.audit()
    content = lake.two.read_bytes()
    lake.two.unlink()
    request = lake.request()

    def wait(seconds: float) -> None:
        lake.two.write_bytes(content)
        lake.wait(seconds)

    assert audit_twice(request, lake.clock, wait).verdict == "complete"


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_file_is_changed_and_named(lake: Lake, keep: int) -> None:
    lake.audit()
    lake.two.write_bytes(lake.two.read_bytes()[:keep])
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("loss", [("[10, 20)", "damaged", "object-changed")])
    assert "part-2 held them and was changed" in told(report)
    assert "part-2 is broken" in told(report)


def test_a_file_written_over_by_another_is_changed_whatever_its_size(lake: Lake) -> None:
    lake.audit()
    size = lake.two.stat().st_size
    other = data_file(span(0, 30, 40))
    lake.two.write_bytes(other)
    assert len(other) == size
    report = lake.audit(wait=True)
    assert ("[10, 20)", "damaged", "object-changed") in shown(report)
    lake.two.write_bytes(data_file(span(0, 10, 14)))
    report = lake.audit(wait=True)
    assert shown(report) == [("[14, 20)", "damaged", "object-changed")]
    assert report.verdict == "loss"


def test_a_file_written_over_that_keeps_its_size_and_its_time_is_changed_all_the_same(lake: Lake) -> None:
    lake.audit()
    before = lake.two.stat()
    with lake.two.open("r+b") as file:  # in place: the file's identity stays as well
        file.write(data_file(span(0, 30, 40)))
    os.utime(lake.two, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = lake.two.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert ("[10, 20)", "damaged", "object-changed") in shown(lake.audit(wait=True))


def test_a_copy_is_a_duplicate_with_both_files_and_a_renamed_file_is_none(lake: Lake) -> None:
    lake.audit()
    copy = lake.two.with_name("part-9")
    copy.write_bytes(lake.two.read_bytes())
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("complete", [("[10, 20)", "duplicated", None)])
    assert report.totals["duplicated"] == 10
    assert all(f"data file {hour(TOPIC, name)}" in told(report) for name in ("part-2", "part-9"))
    lake.two.unlink()
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("complete", [])
    assert "rewritten: data file" in told(report)
    assert "part-2: gone or written anew" in told(report)
    assert "rewritten" not in told(lake.audit())


def test_a_rewrite_that_the_first_of_two_looks_notices_is_in_the_report_that_is_printed_and_in_the_stored_one(
    lake: Lake,
) -> None:
    lake.audit()
    lake.one.rename(lake.one.with_name("part-3"))
    lake.two.unlink()
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("loss", [("[10, 20)", "damaged", "object-missing")])
    stored = json.loads((lake.root / "audit" / f"kafka_topic={TOPIC}" / "latest.json").read_bytes())
    for findings in (report.to_json()["findings"], stored["findings"]):
        (rewritten,) = [one["text"] for one in findings if one["kind"] == "rewritten"]
        assert f"data file {hour(TOPIC, 'part-1')}: gone or written anew" in rewritten
    assert "rewritten" not in told(lake.audit(wait=True))


LOST = "what earlier audits knew"


def test_no_manifest_is_missed_by_the_second_look_of_an_audit_that_keeps_none(lake: Lake) -> None:
    lake.two.unlink()
    assert LOST not in told(lake.audit(wait=True, store=False))
    request = lake.request()
    nowhere = replace(request, plan=None, lake=replace(request.lake, state=None))
    report = audit_twice(nowhere, lake.clock, lake.wait)
    assert ("[10, 20)", "damaged", "not-committed") in shown(report)
    assert LOST not in told(report)


@pytest.mark.parametrize("store", [True, False])
def test_a_manifest_that_is_gone_is_told_once_whether_the_audit_keeps_one_or_not(lake: Lake, store: bool) -> None:
    lake.audit()
    (lake.root / "audit" / f"kafka_topic={TOPIC}" / "_lake" / "files.parquet").unlink()
    lake.two.unlink()
    assert told(lake.audit(wait=True, store=store)).count(LOST) == 1


def test_a_rewrite_is_told_by_an_audit_that_looks_again_at_closed_days(lake: Lake) -> None:
    lake.audit()
    lake.one.rename(lake.one.with_name("part-3"))
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(30)}})
    put(lake.root / "index", day(TOPIC, "index-3"), parquet([run(0, 25, 30)]))
    lake.data("part-4", span(0, 25, 30))
    report = lake.audit()
    assert [one for one in shown(report) if one[1] != "indexed"] == [("[20, 25)", "pending", "suspected")]
    assert f"rewritten: data file {hour(TOPIC, 'part-1')}" in told(report)


def test_files_written_anew_that_hold_the_same_offsets_are_no_loss(lake: Lake) -> None:
    lake.audit()
    lake.one.unlink()
    lake.two.unlink()
    lake.data("compacted", [*span(0, 10, 20), *span(0, 0, 8)])
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("complete", [])
    assert "rewritten" in told(report)


def test_a_rewrite_that_dropped_one_record_is_damage(lake: Lake) -> None:
    lake.audit()
    lake.one.unlink()
    lake.two.unlink()
    lake.data("compacted", [*span(0, 11, 20), *span(0, 0, 8)])
    report = lake.audit(wait=True)
    assert shown(report) == [("[10, 11)", "damaged", "object-missing")]


def test_an_index_row_without_any_object_was_never_committed(lake: Lake) -> None:
    hidden = lake.two.with_name(".part-2.inprogress.1")
    lake.two.rename(hidden)
    old = (lake.now - timedelta(hours=2)).timestamp()
    os.utime(hidden, (old, old))
    report = lake.audit(wait=True)
    assert shown(report) == [("[10, 20)", "damaged", "not-committed")]
    assert f"uncommitted-files: data file {hour(TOPIC, '.part-2.inprogress.1')}" in told(report)


def test_a_corrupt_page_of_any_column_is_found_when_the_file_changed(lake: Lake) -> None:
    path = lake.data("part-3", span(0, 20, 3000), compression="none", use_dictionary=False)
    put(lake.root / "index", day(TOPIC, "index-3"), parquet([run(0, 20, 3000)]))
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(3000)}})
    assert lake.audit().verdict == "complete"
    content = bytearray(path.read_bytes())
    content[content.index(b"event           99")] ^= 1  # the payload's column, not the offsets'
    path.write_bytes(content)
    report = lake.audit(wait=True)
    assert shown(report) == [("[20, 3000)", "damaged", "object-changed")]
    assert "part-3 is broken" in told(report)


def test_a_file_that_was_never_whole_leaves_its_offsets_unknown(lake: Lake) -> None:
    lake.two.write_bytes(lake.two.read_bytes()[:-5])
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("undetermined", [("[10, 20)", "unknown", "unproven")])
    assert "part-2 is broken" in report.problems[0]


@pytest.mark.parametrize("content", [b"hello, this is no table", data_file(span(0, 0, 1), compression="brotli")])
def test_one_file_that_cannot_be_read_is_named_and_nothing_is_complete(lake: Lake, content: bytes) -> None:
    put(lake.root / "output", hour(TOPIC, "odd"), content)
    report = lake.audit()
    assert (report.verdict, shown(report)) == ("undetermined", [])
    assert "odd" in report.problems[0]


def test_a_file_of_another_topic_in_our_directory_is_data_without_index_or_a_duplicate(lake: Lake) -> None:
    lake.data("stranger", [*span(0, 15, 17), *span(3, 0, 5)])
    report = lake.audit()
    assert shown(report)[0] == ("[15, 17)", "duplicated", None)
    assert "stranger" in told(report)
    assert "5 offsets are in objects, and the index has no row of this partition" in told(report)
    assert report.verdict == "undetermined"


def test_a_lost_index_file_is_unknown_and_the_data_file_is_named(lake: Lake) -> None:
    lake.audit()
    (lake.root / "index" / day(TOPIC, "index-1")).unlink()
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("undetermined", [("[0, 10)", "unknown", "index-vanished")])
    assert "part-1 holds them" in told(report)
    assert "bad-1 holds them" in told(report)
    assert "lineage index rebuild" in told(report)


def test_an_index_row_that_never_came_is_unknown_and_not_lost(lake: Lake) -> None:
    lake.data("part-3", span(0, 20, 25))
    put(lake.root / "index", day(TOPIC, "index-3"), parquet([run(0, 25, 30)]))
    lake.data("part-4", span(0, 25, 30))
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(30)}})
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("undetermined", [("[20, 25)", "unknown", "unproven")])
    lake.broker = None
    assert shown(lake.audit()) == [("[20, 25)", "unknown", "unproven")]


def test_files_behind_the_last_index_row_are_told_when_their_row_should_be_there(lake: Lake) -> None:
    lake.broker = None  # without it the index's own end is the end of what is judged
    lake.data("part-3", span(0, 20, 25))
    assert "behind the index's last row" not in told(lake.audit())
    lake.wait(SETTLE + 1)
    report = lake.audit()
    assert (report.verdict, report.partitions[0].end) == ("complete", 20)
    assert "5 offsets behind the index's last row, from 20 on, are in files, the first data file" in told(report)
    assert "part-3" in told(report)
    put(lake.root / "index", day(TOPIC, "index-3"), parquet([run(0, 20, 25)]))
    assert "unindexed-data" not in told(lake.audit())


def test_quarantined_offsets_are_told_exactly(lake: Lake) -> None:
    assert "quarantine: 2 offsets are in quarantine: 8 to 9" in told(lake.audit())
    lake.bad.unlink()
    report = lake.audit(wait=True)
    assert shown(report) == [("[8, 10)", "damaged", "object-missing")]
    assert "quarantine file" in told(report)
    assert "index rows count 2 records in quarantine, and 0 of them" in told(report)


def test_what_the_budget_leaves_out_is_unknown_and_the_next_audit_goes_on(lake: Lake) -> None:
    for _ in range(2):
        report = lake.audit(budget=LakeBudget(files=1))
        assert {kind[1:] for kind in shown(report)} == {("unknown", "budget")}
        assert (report.verdict, "have not been looked at yet" in report.problems[0]) == ("undetermined", True)
    assert lake.audit(budget=LakeBudget(files=1)).verdict == "complete"


def test_a_full_audit_whose_budget_ends_early_says_so_and_the_next_one_goes_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lake.audit().verdict == "complete"
    looked: set[str] = set()
    ranged = DirectoryStore.get_range

    def watched(self: DirectoryStore, listed: ObjectInfo, start: int, end: int) -> bytes:
        looked.add(listed.key)
        return ranged(self, listed, start, end)

    monkeypatch.setattr(DirectoryStore, "get_range", watched)
    for turn in range(3):
        lake.wait(1)
        report = lake.audit(full=True, budget=LakeBudget(files=1))
        assert (report.verdict, len(looked)) == ("undetermined", turn + 1)
        assert "2 of 3 files were not looked at again" in report.problems[0]
    assert lake.audit(full=True).verdict == "complete"


def test_a_full_audit_counts_only_what_waits_when_a_file_cannot_be_fetched(lake: Lake) -> None:
    assert lake.audit().verdict == "complete"

    class Refusing(DirectoryStore):
        def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:
            if "part-2" in listed.key:
                raise StoreError(f"{listed.key} is in another storage class")
            return super().get_range(listed, start, end)

    request = lake.request(full=True)
    assert request.lake is not None
    tables = {**request.lake.tables, "data": Refusing("output", str(lake.root / "output"))}
    report = audit_topic(replace(request, lake=replace(request.lake, tables=tables)), lake.clock)
    assert report.verdict == "undetermined"
    assert [one for one in report.problems if "looked at" in one] == []


def test_an_unread_file_may_hold_what_a_lost_one_held(lake: Lake) -> None:
    lake.audit()
    lake.two.unlink()
    lake.data("new", span(0, 10, 20))
    report = lake.audit(wait=True, budget=LakeBudget(files=1, seconds=1e-9))
    assert report.verdict == "complete"
    lake.one.unlink()
    lake.data("newer", [])
    lake.data("newest", span(0, 0, 8))
    report = lake.audit(wait=True, budget=LakeBudget(files=1), store=False)
    assert (report.verdict, shown(report)) == ("undetermined", [("[0, 8)", "unknown", "budget")])


def test_a_file_that_cannot_be_fetched_is_no_damage(lake: Lake) -> None:
    lake.audit()
    lake.two.rename(lake.two.with_name("moved"))

    class Refusing(DirectoryStore):
        def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:  # noqa: ARG002 - the port's
            raise StoreError(f"{listed.key} is in another storage class")

    request = lake.request()
    assert request.lake is not None
    tables = {**request.lake.tables, "data": Refusing("output", str(lake.root / "output"))}
    request = replace(request, lake=replace(request.lake, tables=tables))
    report = audit_twice(request, lake.clock, lake.wait)
    assert (report.verdict, shown(report)) == ("undetermined", [("[10, 20)", "unknown", "unproven")])
    assert "moved could not be read" in report.problems[0]
    assert lake.audit().verdict == "complete"


@pytest.mark.parametrize("harm", ["gone", "circle"])
def test_a_lake_that_cannot_be_listed_leaves_everything_unknown(lake: Lake, harm: str) -> None:
    lake.audit()
    lake.two.unlink()
    lake.audit(wait=True)
    if harm == "gone":
        (lake.root / "output").rename(lake.root / "elsewhere")
    else:
        (lake.root / "output" / f"kafka_topic={TOPIC}" / "link").symlink_to(lake.root / "nowhere")
    report = lake.audit(wait=True)
    assert report.verdict == "loss"  # what is known to be lost does not come back because nobody can look
    assert report.books["lake"] == "unreadable"
    assert shown(report) == [("[0, 10)", "unknown", "listing-incomplete"), ("[10, 20)", "damaged", "object-missing")]


@pytest.mark.parametrize(
    "log", ["_delta_log/00000000000000000000.json", ".hoodie/hoodie.properties", "metadata/v1.metadata.json"]
)
def test_a_table_whose_own_log_says_which_files_count_is_never_complete(lake: Lake, log: str) -> None:
    put(lake.root / "output", f"kafka_topic={TOPIC}/{log}", b"{}")
    report = lake.audit()
    assert report.verdict == "undetermined"
    assert f"a log of its own (kafka_topic={TOPIC}/{log})" in told(report)


def test_a_mistyped_path_is_no_damage(lake: Lake) -> None:
    (lake.root / "output").rename(lake.root / "elsewhere")
    (lake.root / "output").mkdir()
    report = lake.audit(wait=True)
    assert (report.verdict, {one[1:] for one in shown(report)}) == ("undetermined", {("unknown", "listing-incomplete")})
    assert "check the path" in report.problems[0]


def test_without_a_broker_damage_takes_two_looks_as_well(lake: Lake) -> None:
    lake.broker = None
    assert lake.audit().verdict == "complete"
    lake.two.unlink()
    assert shown(lake.audit()) == [("[10, 20)", "pending", "suspected")]
    assert shown(lake.audit(wait=True)) == [("[10, 20)", "damaged", "object-missing")]


def test_files_that_leave_by_the_rule_of_retention_are_explained_and_younger_ones_damaged(lake: Lake) -> None:
    aged(lake.one, lake.now, days=91)
    aged(lake.two, lake.now, days=89)
    assert lake.audit(data_days=90).verdict == "complete"
    lake.one.unlink()
    lake.two.unlink()
    report = lake.audit(wait=True, data_days=90)
    ranges = [("[0, 8)", "explained", "lake-retention"), ("[10, 20)", "damaged", "object-missing")]
    assert (report.verdict, shown(report)) == ("loss", ranges)
    assert report.totals["expected"] == 12
    lake.wait(2 * 86_400)  # the other one is older than the rule allows by now
    assert shown(lake.audit(data_days=90))[1] == ("[10, 20)", "explained", "lake-retention")
    assert shown(lake.audit(lake=False)) == []


def test_without_a_rule_a_file_of_whatever_age_is_missed(lake: Lake) -> None:
    aged(lake.one, lake.now, days=9999)
    lake.audit()
    lake.one.unlink()
    assert shown(lake.audit(wait=True)) == [("[0, 8)", "damaged", "object-missing")]


def test_what_left_before_the_first_look_is_explained_by_the_times_in_the_index(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = int((lake.now - timedelta(days=200)).timestamp() * 1000)
    recent = int((lake.now - timedelta(days=1)).timestamp() * 1000)
    rows = [run(0, 0, 10, window_end=long_ago, quarantined_count=2), run(0, 10, 15, window_end=recent)]
    put(lake.root / "index", day(TOPIC, "index-1"), parquet(rows))
    put(lake.root / "index", day(TOPIC, "index-2"), parquet([run(0, 15, 20, window_end=recent)]))
    for path in (lake.one, lake.two, lake.bad):
        path.unlink()
    lake.data("part-3", span(0, 15, 20))
    put(lake.root / "quarantine", hour(TOPIC, "other"), quarantine_file([]))
    report = lake.audit(wait=True, data_days=90)
    ranges = [("[0, 10)", "explained", "lake-retention"), ("[10, 15)", "damaged", "not-committed")]
    assert (report.verdict, shown(report)) == ("loss", ranges)

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("index files were read for what is known already")

    monkeypatch.setattr("lineage_pipeline.lake_retention.indexed_before", refuse)
    assert shown(lake.audit(data_days=90)) == ranges


def aged(path: Path, now: datetime, days: int) -> None:
    moved(path, now - timedelta(days=days))


def test_files_of_a_topic_that_was_recreated_cover_nothing_of_the_one_that_is_now(lake: Lake) -> None:
    deploy(lake, "job-1", "topic-1", lake.now - timedelta(days=2))
    for path in (lake.one, lake.two, lake.bad):
        aged(path, lake.now, days=1)
    assert lake.audit().verdict == "complete"
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(5)}}, topic_ids={TOPIC: "topic-2"})
    deploy(lake, "job-2", "topic-2", lake.now - timedelta(minutes=1))
    put(lake.root / "index", day(TOPIC, "index-9"), parquet([run(0, 0, 5, writer="job-2")]))
    report = lake.audit(wait=True)
    assert shown(report) == [("[0, 5)", "damaged", "not-committed")]
    assert "3 files are of a topic of the same name that is no more" in told(report)
    lake.data("new", span(0, 0, 5))
    assert (lake.audit().verdict, shown(lake.audit())) == ("complete", [])


@pytest.mark.parametrize("behind", [120, 0, -120])
def test_files_are_of_the_topic_that_is_now_by_the_clock_that_times_them_and_not_by_the_jobs(
    lake: Lake, behind: int
) -> None:
    deploy(lake, "job-1", "topic-1", lake.now - timedelta(days=2))
    for path in (lake.one, lake.two, lake.bad):
        moved(path, lake.now - timedelta(seconds=60))
    assert lake.audit().verdict == "complete"
    lake.broker = ModelBroker({TOPIC: {0: ModelPartition(6)}}, topic_ids={TOPIC: "topic-2"})
    record = deploy(lake, "job-2", "topic-2", lake.now - timedelta(seconds=behind))
    moved(record, lake.now)
    put(lake.root / "index", day(TOPIC, "index-9"), parquet([run(0, 0, 6, writer="job-2")]))
    moved(lake.data("new", span(0, 5, 6)), lake.now + timedelta(seconds=30))
    report = lake.audit(wait=True)
    assert (report.verdict, shown(report)) == ("loss", [("[0, 5)", "damaged", "not-committed")])


def moved(path: Path, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def deploy(lake: Lake, writer: str, topic_id: str, started_at: datetime) -> Path:
    record = Deployment(
        writer, TOPIC, "cluster-1", topic_id, "g", {0: 0}, "read_committed", 10, "p", started_at, reason="first"
    )
    return put(lake.root / "index", deployment_key(writer), record.to_json().encode())


def test_an_accepted_loss_of_a_file_stays_accepted_with_and_without_the_lake(lake: Lake) -> None:
    lake.audit()
    lake.two.unlink()
    assert lake.audit(wait=True).verdict == "loss"
    request = lake.request()
    assert request.plan is not None
    accept_gap(request.plan.state, Acceptance(0, OffsetRange(10, 20), "test data", "Ada"), request.rules, lake.now)
    for with_lake in (True, False):
        report = lake.audit(lake=with_lake)
        assert (report.verdict, shown(report)) == ("complete", [("[10, 20)", "accepted", None)])


def test_what_was_accepted_and_came_back_is_a_new_loss_when_it_is_lost_again(lake: Lake) -> None:
    lake.audit()
    content = lake.two.read_bytes()

    def lost() -> AuditReport:
        lake.two.unlink()
        report = lake.audit(wait=True)
        assert (report.verdict, shown(report)) == ("loss", [("[10, 20)", "damaged", "object-missing")])
        lake.wait()
        return report

    def accepted(reason: str) -> None:
        request = lake.request()
        assert request.plan is not None
        accept_gap(request.plan.state, Acceptance(0, OffsetRange(10, 20), reason, "Ada"), request.rules, lake.now)
        lake.wait()
        assert lake.audit().verdict == "complete"

    lost()
    accepted("the backup is on its way")
    lake.two.write_bytes(content)
    lake.wait()
    assert "(the backup is on its way) and is accounted for now" in told(lake.audit())
    lost()
    accepted("no backup is left")
