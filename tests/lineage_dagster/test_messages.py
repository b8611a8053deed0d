"""The message that somebody gets at night: everything needed is in it, whatever the size of the incident."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineage_dagster.incidents import Notice, Sighting
from lineage_dagster.messages import digest, message

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
LOSS = Sighting(
    topic="orders",
    level="loss",
    text="LOSS: 60 of 200 expected offsets did not reach the lake.",
    observed_at=NOW - 60,
    lost=60,
    partitions=1,
    spans=((9, 100, 160),),
    command="lineage repair --topic orders",
    repairable_until=NOW + 5 * 86_400,
    report="s3://lake/audit/kafka_topic=orders/report.html",
)
OPENED = Notice("opened", NOW - 3600, LOSS)


def test_a_loss_names_the_time_left_the_command_the_owners_and_the_page():
    told = message(OPENED, "https://dagster.example/", ["team:shop"], NOW)
    assert told.title == "LOSS in orders: 60 offsets"
    assert told.text.splitlines() == [
        "LOSS: 60 of 200 expected offsets did not reach the lake.",
        "Since 2027-01-15T07:00:00Z.",
        "Time left to repair: 5 d 0 h, until 2027-01-20T08:00:00Z.",
        "Owners: team:shop.",
        "lineage repair --topic orders",
        "s3://lake/audit/kafka_topic=orders/report.html",
        "https://dagster.example/assets/audit/orders?view=checks&checkDetail=completeness",
    ]
    assert told.payload["repairable_until"] == "2027-01-20T08:00:00Z"
    assert told.payload["seconds_left"] == 5 * 86_400


def test_time_that_has_run_out_is_said_and_never_negative():
    late = message(replace(OPENED, sighting=replace(LOSS, repairable_until=NOW - 1)), "http://ui", [], NOW)
    assert "none that is sure" in late.text
    assert late.payload["seconds_left"] == 0


def test_where_no_limit_is_known_no_time_is_made_up():
    unknown = message(replace(OPENED, sighting=replace(LOSS, repairable_until=None)), "http://ui", [], NOW)
    assert "Time left" not in unknown.text
    assert (unknown.payload["repairable_until"], unknown.payload["seconds_left"]) == (None, None)


def test_a_reminder_counts_the_time_left_from_now():
    reminded = message(replace(OPENED, kind="reminded"), "http://ui", [], NOW + 4 * 86_400)
    assert "Time left to repair: 1 d 0 h" in reminded.text


@pytest.mark.parametrize("count", [2, 12, 1000])
def test_many_ranges_stay_a_short_message(count: int):
    spans = tuple((number, 0, 10) for number in range(count))
    told = message(replace(OPENED, sighting=replace(LOSS, spans=spans, partitions=count)), "http://ui", [], NOW)
    assert len(told.text) <= 2_500
    assert told.text.endswith("checkDetail=completeness")
    assert "lineage repair --topic orders" in told.text


def test_a_digest_has_each_topics_deadline_and_opens_the_summary():
    notices = [replace(OPENED, sighting=replace(LOSS, topic=f"t{number}")) for number in range(30)]
    told = digest(notices, "https://dagster.example")
    assert told.title == "30 topics: 30 opened"
    assert told.text.endswith("- and 10 more topics\nhttps://dagster.example/assets/audit/summary")
    assert {one["repairable_until"] for one in told.payload["topics"]} == {"2027-01-20T08:00:00Z"}
