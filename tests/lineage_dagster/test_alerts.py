"""Alerts end to end in this process: real index files, real audits, the real sensor, a real webhook receiver."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from lineage_dagster.alerts import alert_sensor, read_incidents
from lineage_dagster.channels import LogChannel, Notifier
from lineage_dagster.lake_assets import LAKE_JOB
from lineage_dagster.messages import Message
from lineage_pipeline.alert_settings import AlertSettings
from lineage_pipeline.errors import AlertError, SettingsError
from lineage_pipeline.settings import Settings
from tests.books.index_files import put
from tests.books.lake_tables import data_file, hour, span
from tests.lineage_dagster.lake import Lake
from tests.lineage_dagster.receiver import Receiver

HOOK = {"name": "hook", "webhook": {"env": "HOOK"}, "allow_private": True}


class Platform:
    """A location over a lake, and its alert sensor with a clock that a test moves."""

    def __init__(self, lake: Lake, instance: dg.DagsterInstance, receiver: Receiver, alerts: Mapping[str, Any]) -> None:
        self.lake, self.instance, self.receiver = lake, instance, receiver
        self.alerts = dict(alerts)
        self.later = 0.0

    def settings(self, *topics: Any) -> Settings:
        return self.lake.settings(*topics, alerts=self.alerts)

    def audit(self, *topics: Any) -> None:
        definitions = self.lake.definitions(*topics)
        for topic in topics:
            self.lake.audit(definitions, topic if isinstance(topic, str) else topic["name"], self.instance)

    def tick(self, *topics: Any) -> str:
        """One tick of the alert sensor; the skip message."""
        settings = self.settings(*topics)
        notifier = Notifier(settings.alerts, {"HOOK": self.receiver.url, "PING": self.receiver.url})
        sensor = alert_sensor(settings, lambda: time.time() + self.later)
        context = dg.build_sensor_context(instance=self.instance, resources={"notifier": notifier})
        said = sensor(context)
        assert isinstance(said, dg.SkipReason)
        return str(said.skip_message)

    @property
    def heard(self) -> list[tuple[str, str]]:
        return [(one["kind"], one.get("level", "")) for one in self.receiver.got]


@pytest.fixture
def platform(lake: Lake, instance: dg.DagsterInstance, receiver: Receiver) -> Platform:
    return Platform(lake, instance, receiver, {"channels": [HOOK], "ui_url": "https://dagster.example"})


def test_a_loss_is_one_message_with_exactly_the_range_and_its_healing_is_one_more(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    for _ in range(3):
        platform.tick("t")
    assert platform.heard == [("opened", "loss")]
    opened = platform.receiver.got[0]
    assert opened["ranges"] == [{"partition": 9, "start": 100, "end": 160}]
    assert (opened["topic"], opened["lost"]) == ("t", 60)
    assert opened["url"] == "https://dagster.example/assets/audit/t?view=checks&checkDetail=completeness"
    assert opened["command"] == "lineage audit --books index,broker --wait --topic t"
    platform.lake.index("t", [(9, 100, 160)])
    platform.audit("t")
    for _ in range(3):
        platform.tick("t")
    assert [kind for kind, _ in platform.heard] == ["opened", "resolved"]
    assert platform.receiver.got[1]["dedup_key"] == opened["dedup_key"]


def test_while_the_receiver_is_down_the_tick_fails_and_later_nothing_is_lost_or_doubled(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.receiver.status = 503
    for _ in range(2):
        with pytest.raises(AlertError, match="1 messages undelivered"):
            platform.tick("t")
    platform.receiver.status = 200
    platform.tick("t")
    platform.tick("t")
    assert platform.heard == [("opened", "loss")]


def test_a_loss_that_was_mended_while_the_receiver_was_down_is_told_once_as_over(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.receiver.status = 503
    with pytest.raises(AlertError):
        platform.tick("t")
    platform.lake.index("t", [(9, 100, 160)])
    platform.audit("t")
    with pytest.raises(AlertError):
        platform.tick("t")
    platform.receiver.status = 200
    for _ in range(3):
        platform.tick("t")
    (told,) = platform.receiver.got
    assert (told["kind"], told["title"]) == ("resolved", "RESOLVED: LOSS in t is over")
    assert told["ranges"] == [{"partition": 9, "start": 100, "end": 160}]


def test_one_channel_that_is_down_keeps_no_other_waiting_and_doubles_nothing_there(platform: Platform):
    platform.alerts["channels"] = [{**HOOK, "name": "broken", "webhook": {"env": "NOT_SET"}}, HOOK]
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    for _ in range(2):
        with pytest.raises(AlertError, match="NOT_SET is not set"):
            platform.tick("t")
    assert platform.heard == [("opened", "loss")]


def test_a_channel_that_keeps_us_waiting_is_asked_once_a_tick(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lineage_dagster.alerts._PATIENCE_SECONDS", 0.0)
    for topic in ("a", "b", "c"):
        platform.lake.index(topic, [(9, 0, 100), (9, 160, 200)])
    platform.audit("a", "b", "c")
    platform.receiver.status = 503
    with pytest.raises(AlertError, match="3 messages undelivered"):
        platform.tick("a", "b", "c")
    assert platform.receiver.refused == 1
    platform.receiver.status = 200
    platform.tick("a", "b", "c")
    assert platform.heard == [("opened", "loss")] * 3


def test_channels_are_told_side_by_side_so_that_a_slow_one_starves_none(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    second_was_told = threading.Event()

    class Slow(LogChannel):
        name = "slow"

        def send(self, _message: Message) -> str | None:
            return None if second_was_told.wait(60) else "the second channel was never told"

    class Second(LogChannel):
        name = "second"

        def send(self, _message: Message) -> str | None:
            second_was_told.set()
            return None

    settings = platform.settings("t")
    notifier = Notifier(AlertSettings(), {})
    notifier.channels = [Slow(), Second()]
    context = dg.build_sensor_context(instance=platform.instance, resources={"notifier": notifier})
    said = alert_sensor(settings)(context)
    assert isinstance(said, dg.SkipReason)
    assert said.skip_message is not None
    assert said.skip_message.startswith("slow: 1 messages, second: 1 messages")


def test_a_topic_that_left_the_settings_with_a_loss_is_not_called_mended(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.tick("t")
    platform.tick("another")
    told = platform.receiver.got[1]
    assert (told["kind"], told["level"]) == ("resolved", "undetermined")
    assert told["title"] == "NO LONGER AUDITED: LOSS in t was open"
    platform.tick("another")
    assert len(platform.receiver.got) == 2


def test_a_channel_for_losses_alone_is_reminded_of_one_that_nobody_can_look_at_any_more(platform: Platform):
    platform.alerts["channels"] = [{**HOOK, "levels": ["loss"]}]
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.tick("t")
    (platform.lake.root / "offset-index").rename(platform.lake.root / "elsewhere")
    platform.audit("t")
    platform.later = 14_500
    platform.tick("t")
    assert platform.heard == [("opened", "loss"), ("reminded", "undetermined")]


def test_a_failure_to_send_never_shows_the_secret_address(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.receiver.status = 500
    with pytest.raises(AlertError) as failed:
        platform.tick("t")
    assert "secret-key" not in str(failed.value)


def test_a_storm_over_a_thousand_partitions_is_one_bounded_message(platform: Platform):
    platform.lake.index("t", [row for number in range(1000) for row in ((number, 0, 10), (number, 20, 30))])
    platform.audit("t")
    platform.tick("t")
    assert platform.heard == [("opened", "loss")]
    assert (platform.receiver.got[0]["partitions"], platform.receiver.got[0]["lost"]) == (1000, 10_000)
    assert len(str(platform.receiver.got[0])) < 12_000


def test_many_topics_at_once_are_one_message(platform: Platform):
    topics = [f"t{number}" for number in range(5)]
    for topic in topics:
        platform.lake.index(topic, [(0, 0, 10), (0, 20, 30)])
    platform.audit(*topics)
    platform.tick(*topics)
    assert [one["kind"] for one in platform.receiver.got] == ["digest"]
    assert [one["topic"] for one in platform.receiver.got[0]["topics"]] == topics
    platform.tick(*topics)
    assert len(platform.receiver.got) == 1


def test_a_topic_that_was_never_audited_is_told_when_that_lasts(platform: Platform):
    platform.tick("t")
    assert platform.heard == []
    platform.later = 1000
    platform.tick("t")
    assert platform.heard == [("opened", "undetermined")]
    assert "never audited" in platform.receiver.got[0]["text"]


def test_audits_that_stop_are_noticed_though_the_last_one_was_green(platform: Platform):
    platform.lake.index("t", [(0, 0, 10)])
    platform.audit("t")
    platform.tick("t")
    platform.later = 4 * 300 + 2000
    platform.tick("t")
    platform.later += 1000
    platform.tick("t")
    assert platform.heard == [("opened", "undetermined")]
    assert "no audit of t has finished" in platform.receiver.got[0]["text"]


def test_a_verdict_from_a_time_yet_to_come_is_no_recent_one(platform: Platform):
    platform.alerts |= {"dead_man_url": {"env": "PING"}, "dead_man_allow_private": True}
    platform.lake.index("t", [(0, 0, 10)])
    platform.audit("t")
    platform.later = -3600  # the clock of whoever audited was an hour ahead
    assert "no dead-man ping" in platform.tick("t")
    platform.later += 1000
    platform.tick("t")
    assert platform.heard == [("opened", "undetermined")]
    assert "some clock is wrong" in platform.receiver.got[0]["text"]


def test_a_loss_stamped_ahead_of_the_clock_is_told_at_once(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.later = -86_400  # the clock of whoever audited was a day ahead
    for _ in range(2):
        platform.tick("t")
    assert platform.heard == [("opened", "loss")]
    assert platform.receiver.got[0]["observed_at"] == platform.receiver.got[0]["since"]


def test_files_that_nobody_looks_at_are_told_when_that_lasts(platform: Platform):
    platform.lake.index("t", [(0, 0, 10)])
    platform.audit("t")
    platform.tick("t")
    assert platform.heard == []
    platform.later = 1000
    platform.tick("t")
    assert platform.heard == [("opened", "warning")]
    assert "files_hold_the_index: never" in platform.receiver.got[0]["text"]


def test_files_that_were_whole_and_that_nobody_has_looked_at_since_are_told(platform: Platform):
    platform.alerts["warning_after"] = 0
    topic = {"name": "t", "lake_files": {"every": 60}}  # due three times before the audit of the index is overdue
    platform.lake.index("t", [(0, 0, 10)])
    put(platform.lake.root / "output", hour("t", "part-1"), data_file(span(0, 0, 10)))
    platform.audit(topic)
    job = platform.lake.definitions(topic).resolve_job_def(LAKE_JOB)
    assert job.execute_in_process(instance=platform.instance).success
    platform.tick(topic)
    assert platform.heard == []
    platform.later = 1500
    platform.tick(topic)
    assert platform.heard == [("opened", "warning")]
    assert "files_hold_the_index: passed 1,5" in platform.receiver.got[0]["text"]


def test_owners_and_levels_route_messages(platform: Platform):
    platform.alerts["channels"] = [
        {**HOOK, "owners": ["team:mine"], "levels": ["loss"]},
        {**HOOK, "name": "theirs", "owners": ["team:theirs"]},
        {**HOOK, "name": "doubts", "levels": ["undetermined"]},
    ]
    topics = [{"name": "mine", "owners": ["team:mine"]}, {"name": "theirs", "owners": ["team:theirs"]}]
    for topic in topics:
        platform.lake.index(topic["name"], [(0, 0, 10), (0, 20, 30)])
    platform.audit(*topics)
    platform.tick(*topics)
    told = [(one["topic"], one["owners"]) for one in platform.receiver.got]
    assert sorted(told) == [("mine", ["team:mine"]), ("theirs", ["team:theirs"])]


def test_without_a_channel_the_messages_go_to_the_log(platform: Platform, caplog: pytest.LogCaptureFixture):
    platform.alerts["channels"] = []
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.tick("t")
    assert "LOSS in t: 60 offsets" in caplog.text


def test_the_dead_man_ping_comes_only_while_every_topic_has_a_recent_verdict(platform: Platform):
    platform.alerts |= {"dead_man_url": {"env": "PING"}, "dead_man_allow_private": True}
    platform.lake.index("t", [(0, 0, 10)])
    assert "no dead-man ping" in platform.tick("t")
    assert platform.receiver.pings == 0
    platform.audit("t")
    platform.tick("t")
    platform.tick("t")
    assert platform.receiver.pings == 1  # at most one a minute
    platform.later = 10_000
    platform.tick("t")
    assert platform.receiver.pings == 1


def test_a_lost_state_tells_everything_that_is_open_once_more(platform: Platform):
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    platform.tick("t")
    platform.instance.run_storage.set_cursor_values({"lineage/incidents/hook": "{broken"})
    assert read_incidents(platform.instance, "hook") == {}
    platform.tick("t")
    assert platform.heard == [("opened", "loss")] * 2


def test_a_private_address_is_refused_unless_allowed(platform: Platform):
    platform.alerts["channels"] = [{**HOOK, "allow_private": False}]
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    with pytest.raises(AlertError, match=r"127\.0\.0\.1, which is not a public address"):
        platform.tick("t")
    assert platform.receiver.got == []


def test_apprise_sends_to_the_services_it_knows(platform: Platform):
    platform.alerts["channels"] = [{"name": "hook", "apprise": {"env": "HOOK"}, "allow_private": True}]
    platform.lake.index("t", [(9, 0, 100), (9, 160, 200)])
    platform.audit("t")
    settings = platform.settings("t")
    url = platform.receiver.url.replace("http://", "json://").partition("?")[0]
    sensor = alert_sensor(settings)
    notifier = Notifier(settings.alerts, {"HOOK": url})
    sensor(dg.build_sensor_context(instance=platform.instance, resources={"notifier": notifier}))
    assert platform.receiver.got[0]["title"] == "LOSS in t: 60 offsets"


@pytest.mark.parametrize(
    ("channels", "topic", "said"),
    [
        ([{"owners": ["team:a"]}], {"owners": ["team:b"]}, r"topic 't' \(owners: team:b\).*add a channel without"),
        ([{"owners": ["team:a"]}], {}, r"topic 't' \(no owners\)"),
        ([{"owners": ["team:a"]}, {"levels": ["undetermined", "warning"]}], {"owners": ["team:b"]}, "takes a loss"),
        ([{"owners": ["team:a"], "levels": ["warning"]}, {"owners": ["team:b"]}], {"owners": ["team:a"]}, "team:a"),
    ],
)
def test_a_topic_whose_losses_no_channel_takes_is_refused_by_name(
    channels: list[dict[str, Any]], topic: dict[str, Any], said: str, lake: Lake
):
    listed = [{**HOOK, "name": f"hook-{number}", **one} for number, one in enumerate(channels)]
    with pytest.raises(SettingsError, match=said):
        lake.definitions({"name": "t", **topic}, alerts={"channels": listed})
    lake.definitions({"name": "t", **topic}, alerts={"channels": [*listed, HOOK]})
