"""The alert sensor: latest check results -> incidents -> messages, and the ping that says all of that works."""

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions as objects.

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dagster as dg

from lineage_dagster.assets import audit_check_keys
from lineage_dagster.cadence import sensor_seconds
from lineage_dagster.channels import Channel, Notifier
from lineage_dagster.check_history import latest_results
from lineage_dagster.check_result import CheckResult
from lineage_dagster.incidents import Incident, Notice, Patience, due, from_json, observe, to_json, told, undelivered
from lineage_dagster.lake_assets import lake_files_check_keys
from lineage_dagster.messages import Message, digest, message
from lineage_dagster.sightings import is_overdue, sighting, unless_overdue
from lineage_pipeline.core.overdue import overdue_after
from lineage_pipeline.errors import AlertError
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

MAX_SINGLE = 3  # more notices at once become one message
_KEY = "lineage/incidents/{}"  # of each channel, in the instance's key-value store
_PING_KEY = "lineage/dead-man-ping"
_PING_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0  # Dagster ends a tick after 60, and every channel wants its turn

_STORING = threading.Lock()

_Parcel = tuple[Message, list[Notice]]


@dataclass(frozen=True)
class Watched:
    """One topic as the alerts know it."""

    checks: tuple[dg.AssetCheckKey, ...]
    owners: tuple[str, ...]
    overdue_after: float
    file_checks: tuple[dg.AssetCheckKey, ...] = ()
    files_overdue_after: float = 0.0


def alert_sensor(settings: Settings, now: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """Tells each channel what opened, grew, lasts and is over. A tick with anything undelivered fails, and is retried.

    The state is in the instance's key-value store and not in the cursor, because a failed tick keeps no cursor.
    """
    watched = {topic.name: _watched(topic, settings.settle_seconds(topic)) for topic in settings.topics}

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=sensor_seconds(topic.audit.every for topic in settings.topics),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Messages about incidents. A failed tick says what could not be delivered; it is tried again.",
    )
    def alerts(context: dg.SensorEvaluationContext, notifier: dg.ResourceParam[Notifier]) -> dg.SkipReason:
        moment = now()
        results = _results(context.instance, watched, moment)

        def tell(channel: Channel) -> tuple[int, list[str]]:
            return _tell(context.instance, channel, notifier, watched, (results, moment))

        # Side by side, since Dagster ends a tick after a while: channels that hang must not starve those behind them.
        with ThreadPoolExecutor(len(notifier.channels), thread_name_prefix="tell") as pool:
            told = list(pool.map(tell, notifier.channels))
        said = [f"{one.name}: {count} messages" for one, (count, _) in zip(notifier.channels, told, strict=True)]
        undelivered = [failure for _, failures in told for failure in failures]
        if undelivered:
            raise AlertError(f"{len(undelivered)} messages undelivered, tried again at the next tick: {undelivered[0]}")
        late = [topic for topic, one in watched.items() if is_overdue(results[topic], one.overdue_after, moment)]
        failure = _ping(context.instance, notifier, late, moment)
        if failure:
            raise AlertError(failure)
        rest = f"; no dead-man ping, since {late[0]} has no recent verdict" if late else ""
        return dg.SkipReason(", ".join(said) + rest)

    return alerts


def read_incidents(instance: dg.DagsterInstance, channel: str) -> dict[str, Incident]:
    """What the channel was told so far; empty when that is lost, so that everything open is told once more."""
    key = _KEY.format(channel)
    with _STORING:
        text = instance.run_storage.get_cursor_values({key}).get(key)
    try:
        return from_json(json.loads(text)) if text else {}
    except ValueError:
        return {}


def _watched(topic: TopicSettings, settle: float) -> Watched:
    return Watched(
        audit_check_keys(topic),
        topic.owners,
        overdue_after(topic.audit.every, settle),
        lake_files_check_keys(topic),
        overdue_after(topic.lake_files.every, settle),
    )


def _results(
    instance: dg.DagsterInstance, watched: Mapping[str, Watched], moment: float
) -> dict[str, dict[str, CheckResult]]:
    found = latest_results(instance, [key for one in watched.values() for key in (*one.checks, *one.file_checks)])
    return {
        topic: {key.name: found[key] for key in one.checks}
        | {key.name: unless_overdue(found[key], one.files_overdue_after, moment) for key in one.file_checks}
        for topic, one in watched.items()
    }


def _tell(
    instance: dg.DagsterInstance,
    channel: Channel,
    notifier: Notifier,
    watched: Mapping[str, Watched],
    look: tuple[Mapping[str, Mapping[str, CheckResult]], float],
) -> tuple[int, list[str]]:
    """Messages sent and failures. The state is stored after each message, so that a crash repeats one at most."""
    results, moment = look
    known = read_incidents(instance, channel.name)
    mine = {topic: one for topic, one in watched.items() if _routed(channel, one)}
    seen = [sighting(topic, results[topic], one.overdue_after, moment) for topic, one in mine.items()]
    incidents = observe(known, seen)
    if incidents != known:
        _store(instance, channel.name, incidents)
    settings = notifier.settings
    patience = Patience(settings.undetermined_after, settings.warning_after, settings.remind_after, settings.quiet)
    notices = [one for one in due(incidents, patience, moment) if _wanted(channel, one)]
    if len(notices) > MAX_SINGLE:
        parcels: list[_Parcel] = [(digest(notices, settings.ui_url), notices)]
    else:
        parcels = [(message(one, settings.ui_url, _owners(watched, one), moment), [one]) for one in notices]
    failures = _deliver(instance, channel, parcels, incidents, moment)
    return len(parcels) - len(failures), failures


def _deliver(
    instance: dg.DagsterInstance,
    channel: Channel,
    parcels: Sequence[_Parcel],
    incidents: Mapping[str, Incident],
    moment: float,
) -> list[str]:
    """Why messages were not taken, one sentence each. A channel that keeps us waiting is asked once a tick."""
    failures: list[str] = []
    hopeless = False
    for parcel, carried in parcels:
        started = time.monotonic()
        failure = failures[-1] if hopeless else channel.send(parcel)
        for one in carried:
            incidents = told(incidents, one, moment) if failure is None else undelivered(incidents, one)
        _store(instance, channel.name, incidents)
        if failure is not None:
            failures.append(failure)
            hopeless = hopeless or time.monotonic() - started > _PATIENCE_SECONDS
    return failures


def _store(instance: dg.DagsterInstance, channel: str, incidents: Mapping[str, Incident]) -> None:
    with _STORING:
        instance.run_storage.set_cursor_values({_KEY.format(channel): json.dumps(to_json(incidents))})


def _routed(channel: Channel, topic: Watched) -> bool:
    return channel.settings is None or channel.settings.is_for(topic.owners)


def _wanted(channel: Channel, notice: Notice) -> bool:
    """By severity; whoever was told of an incident hears what becomes of it, also when that is less severe."""
    if channel.settings is None:
        return True
    return notice.before in channel.settings.levels or (
        notice.kind != "resolved" and notice.sighting.level in channel.settings.levels
    )


def _owners(watched: Mapping[str, Watched], notice: Notice) -> tuple[str, ...]:
    one = watched.get(notice.sighting.topic)
    return one.owners if one else ()


def _ping(instance: dg.DagsterInstance, notifier: Notifier, late: list[str], moment: float) -> str | None:
    """Ping when every topic has a recent verdict and everything was delivered; at most once a minute."""
    if late or notifier.settings.dead_man_url is None:
        return None
    last = instance.run_storage.get_cursor_values({_PING_KEY}).get(_PING_KEY)
    if last is not None and 0 <= moment - float(last) < _PING_SECONDS:
        return None
    failure = notifier.ping()
    if failure is None:
        instance.run_storage.set_cursor_values({_PING_KEY: str(moment)})
    return failure
