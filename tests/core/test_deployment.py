"""A deployment record survives its JSON, and anything else than a record is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import permutations
from typing import Any

import pytest

from lineage_pipeline.core.deployment import Deployment, deployment_key, in_order, parse_deployment, topic_now
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.errors import IndexFileError

RECORD = Deployment(
    writer="20261122-ab12",
    topic="lineage-input",
    cluster_id="c",
    topic_id=None,
    group="flink-lineage",
    start_offsets={10: 2**63 - 1, 2: 0},
    isolation="read_committed",
    checkpoint_interval=60.0,
    plan_hash="sha256:1",
    started_at=datetime(2026, 11, 22, 22, 0, 0, 123000, tzinfo=timezone.utc),
    previous="20261121-aa11",
    reason="skip-expired",
    skipped={2: (OffsetRange(5, 9),)},
)


def test_a_record_survives_its_json() -> None:
    assert parse_deployment(deployment_key(RECORD.writer), RECORD.to_json()) == RECORD


@pytest.mark.parametrize(("later", "counts"), [(-900, True), (120, True), (900, True), (-901, False), (86_400, False)])
def test_files_begin_when_the_store_took_the_record_unless_it_was_copied_later(later: int, counts: bool) -> None:
    started = RECORD.started_at.timestamp()
    assert RECORD.files_since == started
    assert replace(RECORD, stored_at=started + later).files_since == started + (later if counts else 0)


def test_the_start_is_written_in_utc_whatever_zone_it_came_in() -> None:
    elsewhere = RECORD.started_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    record = Deployment(**{**RECORD.__dict__, "started_at": elsewhere})
    assert record.to_json() == RECORD.to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "lineage-deployment/2"),
        ("format", None),
        ("writer", "../../etc"),
        ("writer", ""),
        ("writer", 7),
        ("topic", None),
        ("cluster_id", None),
        ("topic_id", 4),
        ("group", ""),
        ("start_offsets", None),
        ("start_offsets", {"0": -1}),
        ("start_offsets", {"0": 2**63}),
        ("start_offsets", {"0": 1.5}),
        ("start_offsets", {"0": True}),
        ("start_offsets", {"-1": 0}),
        ("start_offsets", {"01": 0}),
        ("start_offsets", {"x": 0}),
        ("isolation", "serializable"),
        ("checkpoint_interval", 0),
        ("checkpoint_interval", float("nan")),
        ("checkpoint_interval", "60"),
        ("checkpoint_interval", True),
        ("plan_hash", None),
        ("started_at", "yesterday"),
        ("started_at", "2026-11-22T22:00:00"),
        ("previous", ""),
        ("reason", None),
        ("skipped", None),
        ("skipped", {"0": [[5, 3]]}),
        ("skipped", {"0": [[5]]}),
        ("skipped", {"0": 5}),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_naming_file_and_field(field: str, value: Any) -> None:
    raw = json.loads(RECORD.to_json())
    with pytest.raises(IndexFileError, match=f"(?s){deployment_key(RECORD.writer)}.*{field}"):
        parse_deployment(deployment_key(RECORD.writer), json.dumps({**raw, field: value}))


@pytest.mark.parametrize("field", ["previous", "topic_id", "skipped", "start_offsets", "started_at"])
def test_a_record_that_lacks_a_field_is_refused(field: str) -> None:
    raw = json.loads(RECORD.to_json())
    del raw[field]
    with pytest.raises(IndexFileError, match=f"{field} is missing"):
        parse_deployment(deployment_key(RECORD.writer), json.dumps(raw))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(IndexFileError, match="refused"):
        parse_deployment("_deployments/x.json", text)


def test_a_record_under_another_writers_name_is_refused() -> None:
    with pytest.raises(IndexFileError, match="says it is of writer"):
        parse_deployment("_deployments/other.json", RECORD.to_json())


def started(writer: str, minute: int, previous: str | None = None, **changed: Any) -> Deployment:
    at = RECORD.started_at.replace(minute=minute)
    return replace(RECORD, writer=writer, started_at=at, previous=previous, reason="first", **changed)


def test_records_are_ordered_by_what_each_continues_and_by_clocks_only_where_none_continues_the_other() -> None:
    one, two, three = started("z", 30), started("m", 20, "z"), started("a", 10, "m")
    other, orphan, last = started("other", 25), started("orphan", 5, "gone"), started("last", 40)
    for records in permutations((one, two, three, other, orphan, last)):
        assert in_order(records) == (orphan, other, one, two, three, last)
    assert in_order([]) == ()


def test_of_two_that_continue_the_same_one_the_clock_says_which_is_newer() -> None:
    one, two, three = started("a", 30), started("b", 20, "a"), started("c", 10, "a")
    assert in_order([one, two, three]) == (one, three, two)


def test_records_that_continue_each_other_in_a_circle_are_ordered_by_their_clocks() -> None:
    one, two, three = started("a", 3, "b"), started("b", 2, "a"), started("c", 1, "c")
    assert in_order([one, two, three]) == (three, two, one)


def test_the_topic_of_now_is_that_of_the_end_of_the_chain() -> None:
    one, two = started("a", 30, topic_id="old"), started("b", 20, "a", topic_id="new")
    assert topic_now(in_order([one, two])).topic_id == "new"


def test_a_start_without_a_zone_is_no_record() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Deployment(**{**RECORD.__dict__, "started_at": datetime(2026, 1, 1)})  # noqa: DTZ001 - the case under test
