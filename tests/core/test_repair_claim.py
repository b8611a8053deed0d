"""A claim says exactly what a repair took on; everything it writes is named by the claim alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.deployment import parse_deployment
from lineage_pipeline.core.offsets import MAX_END, RangeSet
from lineage_pipeline.core.repair_claim import RepairClaim, parse_claim
from lineage_pipeline.errors import LedgerError

AT = datetime(2026, 11, 22, 23, 59, 59, 123_456, tzinfo=timezone.utc)
OFFSETS = st.sets(st.integers(0, 200), max_size=40)


def ranges(offsets: set[int]) -> RangeSet:
    return RangeSet.from_pairs((one, one + 1) for one in offsets)


def claim(**changed: Any) -> RepairClaim:
    values: dict[str, Any] = {
        "number": 1,
        "topic": "orders",
        "cluster_id": "cluster",
        "topic_id": "topic-id",
        "lost": {0: RangeSet.of((150, 25_000)), 7: RangeSet.of((3, 4))},
        "damaged": {7: RangeSet.of((10, 20))},
        "width": 10_000,
        "isolation": "read_committed",
        "group": "job",
        "checkpoint_interval": 60.0,
        "at": AT,
        "by": "Ada",
    }
    return RepairClaim(**{**values, **changed})


@given(OFFSETS, OFFSETS, st.integers(1, 50))
def test_chunks_make_up_the_claim_and_never_reach_beyond_a_multiple_of_the_width(
    lost: set[int], damaged: set[int], width: int
) -> None:
    damaged -= lost
    one = claim(lost={4: ranges(lost)}, damaged={4: ranges(damaged)}, width=width)
    chunks = list(one.chunks())
    assert [offset for chunk in chunks for part in chunk.lost for offset in range(part.start, part.end)] == sorted(lost)
    found = [offset for chunk in chunks for part in chunk.damaged for offset in range(part.start, part.end)]
    assert found == sorted(damaged)
    for chunk in chunks:
        assert chunk.bounds.start // width == (chunk.bounds.end - 1) // width
    names = [one.name(chunk) for chunk in chunks]
    assert len(set(names)) == len(names)


@given(OFFSETS, OFFSETS, st.sampled_from([None, "topic-id"]))
def test_a_claim_is_read_back_as_it_was_written(lost: set[int], damaged: set[int], topic_id: str | None) -> None:
    one = claim(
        lost={4: ranges(lost)} if lost else {}, damaged={9: ranges(damaged)} if damaged else {}, topic_id=topic_id
    )
    assert parse_claim("key", one.to_json()) == one


def test_names_tell_writer_partition_and_offsets_and_follow_the_hour_of_the_claim() -> None:
    one = claim()
    first = next(iter(one.chunks()))
    assert one.writer.startswith("repair-000001-")
    assert one.data_key(first) == f"kafka_topic=orders/dt=2026-11-22/hour=23/{one.writer}-0-150-9999.parquet"
    assert one.index_key(first) == one.quarantine_key(first) == one.data_key(first).replace("hour=23/", "")


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 2},
        {"topic": "other"},
        {"topic_id": None},
        {"cluster_id": "c"},
        {"lost": {0: RangeSet.of((150, 25_001))}},
        {"damaged": {}},
        {"width": 5},
    ],
)
def test_another_repair_is_another_writer(changed: dict[str, Any]) -> None:
    assert claim(**changed).writer != claim().writer


def test_who_and_when_do_not_change_the_writer() -> None:
    assert claim(by="Bob", at=AT.replace(day=1)).writer == claim().writer


def test_its_deployment_record_is_one_that_readers_take() -> None:
    record = claim().deployment()
    assert parse_deployment(f"{record.writer}.json", record.to_json()) == replace(
        record, started_at=AT.replace(microsecond=123_000), skipped={}
    )
    assert (record.reason, record.start_offsets) == ("repair", {})


def with_field(name: str, value: Any) -> str:
    return json.dumps(json.loads(claim().to_json()) | {name: value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        with_field("format", "lineage-repair/2"),
        with_field("writer", "repair-000001-000000000000"),
        with_field("number", 0),
        with_field("number", "1"),
        with_field("width", 0),
        with_field("width", 1.5),
        with_field("width", True),
        with_field("by", 7),
        with_field("topic", "a/b"),
        with_field("lost", {"0": [[5, 3]]}),
        with_field("lost", {"0": [[0, 5], [5, 9]]}),
        with_field("lost", {"-1": [[0, 5]]}),
        with_field("lost", {"0": [[0, MAX_END + 1]]}),
        with_field("lost", {}),
        with_field("isolation", "none"),
        with_field("at", "yesterday"),
        with_field("further", 1),
    ],
)
def test_a_claim_that_is_not_whole_is_refused_by_name(text: str) -> None:
    with pytest.raises(LedgerError, match=r"repair claim _repairs/1\.json cannot be read"):
        parse_claim("_repairs/1.json", text)
