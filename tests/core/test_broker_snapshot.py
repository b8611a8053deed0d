"""Answers of a broker that cannot be true never become numbers."""

from __future__ import annotations

import pytest

from lineage_pipeline.core.broker_snapshot import BrokerSnapshot, partition_offsets
from lineage_pipeline.core.offsets import MAX_END


def test_answers_in_order_are_taken_as_they_are() -> None:
    found = partition_offsets(3, 5, 9, committed=5, leader_epoch=0)
    assert (found.log_start, found.last_stable, found.high_watermark) == (3, 5, 9)
    assert (found.committed, found.leader_epoch, found.error) == (5, 0, None)


def test_an_empty_partition_and_the_largest_offset_are_answers() -> None:
    assert partition_offsets(0, 0, 0, committed=0).error is None
    assert partition_offsets(MAX_END, MAX_END, MAX_END).error is None


@pytest.mark.parametrize(
    ("log_start", "last_stable", "high_watermark"),
    [
        (-1001, 5, 9),
        (-1, 5, 9),
        (0, -1001, 9),
        (0, 5, -1001),
        (-1001, -1001, -1001),
        (6, 5, 9),
        (0, 9, 5),
        (9, 0, 0),
        (0, 0, 2**63),
    ],
)
def test_sentinels_and_answers_out_of_order_are_an_error(log_start: int, last_stable: int, high_watermark: int) -> None:
    found = partition_offsets(log_start, last_stable, high_watermark)
    assert found.error
    assert (found.log_start, found.last_stable, found.high_watermark, found.committed) == (None, None, None, None)


@pytest.mark.parametrize(("committed", "cut_at"), [(-1, None), (-1001, None), (10, 9)])
def test_a_commit_that_cannot_be_true_is_an_error_and_one_above_the_end_says_that_the_log_was_cut_back(
    committed: int, cut_at: int | None
) -> None:
    found = partition_offsets(0, 5, 9, committed=committed)
    assert found.error
    assert (found.high_watermark, found.cut_at) == (None, cut_at)


def test_a_negative_leader_epoch_means_unknown() -> None:
    assert partition_offsets(0, 1, 1, leader_epoch=-1).leader_epoch is None


@pytest.mark.parametrize(
    ("config", "compacted"),
    [
        ({"cleanup.policy": "delete"}, False),
        ({"cleanup.policy": "compact"}, True),
        ({"cleanup.policy": "delete,compact"}, True),
        ({}, True),
    ],
)
def test_a_policy_that_is_not_known_may_be_compaction(config: dict[str, str], compacted: bool) -> None:
    assert BrokerSnapshot("c", None, {}, config).compacted is compacted
