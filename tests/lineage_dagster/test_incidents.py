"""The alerts' own state: what opens, grows, lasts and ends, told once each, whatever a channel does in between."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_dagster.incidents import (
    Incident,
    Notice,
    Patience,
    Sighting,
    due,
    from_json,
    observe,
    to_json,
    told,
    undelivered,
)

PATIENCE = Patience(undetermined=900, warning=900, remind=14_400, quiet=900)


def loss(*spans: tuple[int, int, int], at: float = 0.0) -> Sighting:
    count = sum(end - start for _, start, end in spans)
    return Sighting("t", "loss", "LOSS", at, count, len({one[0] for one in spans}), spans)


def level(name: str, at: float = 0.0) -> Sighting:
    return Sighting("t", name, name, at)


class Channel:
    """Feeds sightings and takes every notice, unless told to be down."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.heard: list[str] = []
        self.down = False

    def tick(self, now: float, *sightings: Sighting) -> list[Notice]:
        self.incidents = from_json(json.loads(json.dumps(to_json(observe(self.incidents, sightings)))))
        notices = due(self.incidents, PATIENCE, now)
        for one in notices:
            if self.down:
                self.incidents = undelivered(self.incidents, one)
            else:
                self.incidents = told(self.incidents, one, now)
                self.heard.append(one.kind)
        return notices


@pytest.fixture
def channel() -> Channel:
    return Channel()


def test_a_loss_is_told_at_once_and_only_once(channel: Channel):
    for now in range(0, 3600, 30):
        channel.tick(now, loss((9, 100, 160)))
    assert channel.heard == ["opened"]


def test_a_loss_that_leaves_a_warning_ends_once_also_when_the_warning_goes_later(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    for now in (30, 60, 90):
        channel.tick(now, level("warning"))
    channel.tick(120, level("ok"))
    assert channel.heard == ["opened", "resolved"]
    assert channel.incidents == {}


def test_a_loss_after_one_that_left_a_warning_is_an_incident_of_its_own(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(30, level("warning"))
    (notice,) = channel.tick(60, loss((9, 200, 260), at=60))
    assert (notice.kind, notice.since) == ("opened", 60)


def test_a_warning_that_a_loss_has_left_is_recalled_in_time_and_then_has_an_end(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    for now in range(30, 15_000, 30):
        channel.tick(now, level("warning"))
    channel.tick(15_000, level("ok"))
    assert channel.heard == ["opened", "resolved", "reminded", "resolved"]


def test_its_end_is_told_once_and_then_forgotten(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(30, level("ok"))
    channel.tick(60, level("ok"))
    assert channel.heard == ["opened", "resolved"]
    assert channel.incidents == {}


def test_a_new_range_is_growth_even_when_the_number_of_lost_offsets_is_the_same(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(1000, loss((8, 100, 160)))
    assert channel.heard == ["opened", "grown"]


def test_a_range_that_heals_in_part_is_no_growth(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(1000, loss((9, 100, 110), (9, 150, 160)))
    assert channel.heard == ["opened"]


def test_steady_growth_is_told_no_more_often_than_the_quiet_time_allows(channel: Channel):
    for now in range(0, 3601, 30):
        channel.tick(now, loss((9, 100, 160 + now)))
    assert channel.heard == ["opened", *["grown"] * 4]


def test_what_lasts_is_remembered_at_the_set_times(channel: Channel):
    for now in range(0, 2 * 14_400 + 60, 60):
        channel.tick(now, loss((9, 100, 160)))
    assert channel.heard == ["opened", "reminded", "reminded"]


def test_what_is_merely_not_proven_is_told_when_it_lasts(channel: Channel):
    assert channel.tick(0, level("undetermined", 0)) == []
    assert channel.tick(899, level("undetermined", 880)) == []
    assert [one.kind for one in channel.tick(900, level("undetermined", 890))] == ["opened"]


def test_a_short_doubt_leaves_no_message_at_all(channel: Channel):
    channel.tick(0, level("undetermined", 0))
    channel.tick(60, level("ok", 60))
    channel.tick(2000, level("undetermined", 2000))
    channel.tick(2600, level("undetermined", 2600))
    assert channel.heard == []


def test_a_doubt_that_becomes_a_loss_grows_at_once(channel: Channel):
    channel.tick(0, level("undetermined", 0))
    channel.tick(900, level("undetermined", 900))
    channel.tick(930, loss((9, 1, 2), at=930))
    assert channel.heard == ["opened", "grown"]


def test_a_loss_that_cannot_be_looked_at_any_more_is_not_over(channel: Channel):
    channel.tick(0, loss((9, 1, 2)))
    channel.tick(60, level("undetermined", 60))
    channel.tick(120, loss((9, 1, 2), at=120))
    assert channel.heard == ["opened"]


def test_a_loss_that_leaves_only_a_warning_is_over_and_the_warning_is_not_told_again(channel: Channel):
    channel.tick(0, loss((9, 1, 2)))
    for now in range(60, 3600, 60):
        channel.tick(now, level("warning", now))
    assert channel.heard == ["opened", "resolved"]


def test_a_topic_that_is_no_longer_audited_ends_with_a_word(channel: Channel):
    channel.tick(0, loss((9, 1, 2)))
    notices = channel.tick(30)
    assert "not among the audited topics of this channel" in notices[0].sighting.text
    assert channel.heard == ["opened", "resolved"]


def test_a_loss_that_came_and_went_while_the_channel_was_down_is_told_afterwards(channel: Channel):
    channel.down = True
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(30, level("ok", 30))
    channel.down = False
    (notice,) = channel.tick(60, level("ok", 60))
    assert (notice.kind, notice.before, notice.since) == ("resolved", "loss", 0)
    assert "It could not be told before, while it was: LOSS" in notice.sighting.text
    assert notice.sighting.spans == ((9, 100, 160),)
    channel.tick(90, level("ok", 90))
    assert channel.heard == ["resolved"]
    assert channel.incidents == {}


def test_a_doubt_that_never_lasted_long_enough_is_not_told_afterwards(channel: Channel):
    channel.down = True
    channel.tick(0, level("undetermined"))
    channel.tick(600, level("ok"))
    channel.down = False
    channel.tick(630, level("ok"))
    assert channel.heard == []


def test_while_the_channel_is_down_nothing_is_lost_and_nothing_is_told_twice(channel: Channel):
    channel.down = True
    for now in range(0, 600, 30):
        channel.tick(now, loss((9, 100, 160)))
    channel.down = False
    channel.tick(600, loss((9, 100, 170)))
    channel.tick(630, loss((9, 100, 170)))
    channel.down = True
    channel.tick(660, level("ok"))
    channel.tick(690, level("ok"))
    channel.down = False
    channel.tick(720, level("ok"))
    assert channel.heard == ["opened", "resolved"]


def test_a_loss_that_was_missed_and_leaves_a_warning_is_told_as_a_loss_that_is_over(channel: Channel):
    channel.down = True
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(30, level("warning", 30))
    channel.down = False
    (notice,) = channel.tick(60, level("warning", 60))
    assert (notice.kind, notice.before) == ("resolved", "loss")
    channel.tick(90, level("ok", 90))
    assert channel.heard == ["resolved"]


def test_a_loss_that_comes_back_before_its_end_was_told_is_not_opened_again(channel: Channel):
    channel.tick(0, loss((9, 100, 160)))
    channel.down = True
    channel.tick(30, level("ok"))
    channel.down = False
    channel.tick(60, loss((9, 100, 160)))
    assert channel.heard == ["opened"]


def test_a_loss_that_a_doubt_followed_while_the_channel_was_down_is_told_with_the_doubt(channel: Channel):
    channel.down = True
    channel.tick(0, loss((9, 100, 160)))
    for now in range(30, 3600, 30):  # the doubt is missed as well, and is less than what was missed before
        channel.tick(now, level("undetermined", now))
    channel.down = False
    (notice,) = channel.tick(3600, level("undetermined", 3600))
    assert (notice.kind, notice.before, notice.sighting.level) == ("opened", "loss", "undetermined")
    assert "It could not be told before, while it was: LOSS" in notice.sighting.text
    assert channel.tick(3630, level("undetermined", 3630)) == []
    (over,) = channel.tick(3660, level("ok", 3660))
    assert (over.kind, "LOSS" in over.sighting.text) == ("resolved", False)  # that was told


@pytest.mark.parametrize("after", ["ok", "undetermined"])
def test_a_doubt_that_was_a_loss_while_the_channel_was_down_is_told_as_one(channel: Channel, after: str):
    for now in (0, 900):
        channel.tick(now, level("undetermined", now))
    channel.down = True
    channel.tick(930, loss((9, 100, 160)))
    channel.down = False
    (notice,) = channel.tick(960, level(after, 960))
    assert (notice.kind, notice.before) == ("resolved" if after == "ok" else "grown", "loss")
    assert "It could not be told before, while it was: LOSS" in notice.sighting.text
    assert notice.sighting.spans == ((9, 100, 160),)
    assert channel.tick(990, level(after, 990)) == []


def test_a_loss_that_was_missed_is_told_though_nobody_audits_the_topic_any_more(channel: Channel):
    channel.down = True
    channel.tick(0, loss((9, 100, 160)))
    channel.tick(30)
    channel.down = False
    (notice,) = channel.tick(60)
    assert (notice.kind, notice.before, notice.sighting.gone) == ("resolved", "loss", True)
    assert "It could not be told before, while it was: LOSS" in notice.sighting.text
    assert channel.incidents == {}


def test_a_loss_stored_as_of_a_time_yet_to_come_is_told_at_once(channel: Channel):
    for now in range(0, 3600, 30):
        channel.tick(now, loss((9, 100, 160), at=120 if now == 0 else now))
    assert channel.heard == ["opened"]
    later = {"t": Incident(86_400.0, loss((9, 1, 2), at=86_400))}  # so an older version kept it
    assert [one.kind for one in due(later, PATIENCE, 0)] == ["opened"]


@pytest.mark.parametrize("ahead", [120, 86_400])
def test_after_a_clock_was_put_right_a_doubt_that_becomes_a_loss_grows_at_once(channel: Channel, ahead: int):
    channel.tick(ahead - 900, level("undetermined", ahead - 900))
    channel.tick(ahead, level("undetermined", ahead))
    channel.tick(0, loss((9, 1, 2)))
    channel.tick(30, loss((9, 1, 2), at=30))
    assert channel.heard == ["opened", "grown"]


def test_after_a_clock_was_put_right_neither_growth_nor_a_doubt_nor_a_reminder_waits_for_the_old_time(
    channel: Channel,
):
    channel.tick(86_400, loss((9, 100, 160), at=86_400))
    channel.tick(0, loss((9, 100, 170)))
    for now in range(30, 14_401, 30):
        channel.tick(now, loss((9, 100, 170), at=now))
    assert channel.heard == ["opened", "grown", "reminded"]
    later = {"t": Incident(86_400.0, level("undetermined", 86_400))}
    assert [one.kind for one in due(later, PATIENCE, 0)] == ["opened"]


def test_clocks_that_are_a_little_apart_make_no_doubt_older_than_it_is(channel: Channel):
    assert channel.tick(0, level("undetermined", 200)) == []
    assert channel.tick(899, level("undetermined", 899)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "loss", "undetermined", "warning"]), st.booleans(), st.integers(1, 2000)),
        min_size=1,
    ),
)
def test_whatever_a_channel_misses_it_hears_of_every_loss_once_it_listens(story: list[tuple[str, bool, int]]):
    channel, now = Channel(), 0
    owed = False  # a loss was seen, and no message has told of it since it began
    for name, down, pause in [*story, ("ok", False, 1)]:
        now += pause
        channel.down = down
        before = channel.incidents.get("t")
        spoken = before is not None and before.told is not None and before.told.level == "loss"
        owed = owed or (name == "loss" and not (spoken and before is not None and not before.told.over))
        notices = channel.tick(now, loss((1, 0, 5), at=now) if name == "loss" else level(name, now))
        if not down and any("LOSS" in one.sighting.text or one.before == "loss" for one in notices):
            owed = False
    assert not owed


@pytest.mark.parametrize("text", ['{"version": 2, "incidents": {}}', "[]", '{"version": 1, "incidents": {"t": {}}}'])
def test_a_state_of_another_version_is_refused(text: str):
    with pytest.raises(ValueError, match="incidents"):
        from_json(json.loads(text))


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "loss", "undetermined", "warning"]), st.booleans(), st.integers(1, 2000))
    ),
)
def test_whatever_happens_nothing_opens_twice_and_what_was_opened_is_told_to_be_over(
    story: list[tuple[str, bool, int]],
):
    channel, now = Channel(), 0
    for name, down, pause in story:
        now += pause
        channel.down = down
        channel.tick(now, loss((1, 0, now), at=now) if name == "loss" else level(name, now))
    channel.down = False
    channel.tick(now + 1, level("ok", now + 1))
    told_open = False
    for kind in channel.heard:
        assert kind != "opened" or not told_open
        told_open = {"opened": True, "resolved": False}.get(kind, told_open)
    assert channel.incidents == {}
    assert channel.heard[:1] in ([], ["opened"], ["resolved"])  # the latter when its opening was not taken
    assert channel.heard[-1:] in ([], ["resolved"])
