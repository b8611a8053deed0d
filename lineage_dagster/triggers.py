"""What starts audits and renews the landing page: new files and verdicts (sensors), the clock (schedules), people."""

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions as objects.

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg

from lineage_dagster.assets import audit_check_keys, audit_key
from lineage_dagster.auditor import Auditor
from lineage_dagster.cadence import batches, is_due, sensor_seconds
from lineage_dagster.check_history import hidden_failures, latest_results
from lineage_dagster.check_result import CheckResult
from lineage_dagster.index_watch import read_cursor, read_turn, write_cursor
from lineage_dagster.lake_assets import lake_files_check_keys
from lineage_dagster.metadata import INCIDENT
from lineage_dagster.names import ALL_TOPICS_COMPLETE, COMPLETENESS, op_name
from lineage_dagster.summary import SUMMARY_JOB, SUMMARY_SECONDS, summary_key
from lineage_pipeline.errors import LineageError
from lineage_pipeline.settings import Settings

logger = logging.getLogger(__name__)
AUDIT_JOB = "audit_topics"
FULL_JOB = "audit_topics_in_full"
TOPIC_TAG = "lineage/topic"
CAUSE_TAG = "lineage/started_by"
MAX_RUNS_PER_TICK = 10
FULL_AT = "0 3 * * *"
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]


def audit_job(settings: Settings) -> Any:
    """Audits of all topics; launched from the UI it is the full re-audit."""
    # The audits evaluate their checks themselves: see assets.audit_checks.
    selection = dg.AssetSelection.assets(*(audit_key(topic.name) for topic in settings.topics)).without_checks()
    return dg.define_asset_job(
        AUDIT_JOB,
        selection=selection,
        description="Audit topics. Launched here: all of them. One topic: Materialize on the page of its audit asset.",
    )


def full_audit_job(settings: Settings) -> Any:
    """The full re-audit that a person starts: every topic, from all of its files."""
    return dg.define_asset_job(
        FULL_JOB,
        selection=dg.AssetSelection.assets(*(audit_key(topic.name) for topic in settings.topics)).without_checks(),
        config=_in_full(topic.name for topic in settings.topics),
        description="Audit every topic from all of its index files, closed days included. Touches no data.",
    )


def index_sensor(settings: Settings) -> dg.SensorDefinition:
    """Starts an audit when a topic has new index files; a burst of files is one audit."""
    topics = [topic.name for topic in settings.topics]

    @dg.sensor(
        name="index_files",
        job_name=AUDIT_JOB,
        minimum_interval_seconds=sensor_seconds(topic.audit.every for topic in settings.topics),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Audits a topic when its offset index has new files. What it misses, the schedule finds.",
    )
    def index_files(context: dg.SensorEvaluationContext, auditor: dg.ResourceParam[Auditor]) -> dg.SensorResult:
        seen = read_cursor(context.cursor)
        states, failures = _states(auditor, topics)
        changed = {topic for topic, state in states.items() if seen.get(topic) != state}
        # A run that waits has not looked yet, so it will see these files as well.
        ready, turn = changed - waiting_topics(context.instance), read_turn(context.cursor)
        chosen = list(batches(ready, len(topics), turn))[:MAX_RUNS_PER_TICK]
        requests = [
            audit_request_for(batch, "index files", _digest(f"{topic}={states[topic]}" for topic in batch))
            for batch in chosen
        ]
        for topic in (topic for batch in chosen for topic in batch):
            seen[topic] = states[topic]
        turn = chosen[-1][-1] if chosen else turn
        cursor = write_cursor({topic: state for topic, state in seen.items() if topic in topics}, turn)
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        return dg.SensorResult(skip_reason=_reason(changed, failures), cursor=cursor)

    return index_files


def audit_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Starts each topic's audit every `audit.every` seconds, whatever the sensor does."""
    plans = {topic.name: topic.audit.every for topic in settings.topics}

    @dg.schedule(
        name="scheduled_audits",
        cron_schedule="* * * * *",
        job_name=AUDIT_JOB,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Audits each topic every audit.every seconds of lineage.yaml, spread over time.",
    )
    def scheduled_audits(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        due = {topic for topic, every in plans.items() if is_due(topic, every, tick)}
        if not due:
            return dg.SkipReason("no topic is due this minute")
        waiting = waiting_topics(context.instance)
        ready = due - waiting
        if not ready:
            return dg.SkipReason(f"all due topics wait in the queue already: {', '.join(sorted(due)[:10])}")
        stamp = f"{tick:%Y%m%dT%H%M}"
        return [
            audit_request_for(batch, "schedule", f"{stamp}-{_digest(batch)}") for batch in batches(ready, len(plans))
        ]

    return scheduled_audits


def full_audit_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Reads every index file anew, once a day: what the frequent audits remember is held against the files."""
    topics = [topic.name for topic in settings.topics]

    @dg.schedule(
        name="full_audits",
        cron_schedule=FULL_AT,
        job_name=AUDIT_JOB,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Audits each topic from all of its index files, closed days included.",
    )
    def full_audits(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        stamp = f"full-{context.scheduled_execution_time:%Y%m%dT%H%M}"
        return [
            audit_request_for(batch, "full audit", f"{stamp}-{_digest(batch)}", full=True)
            for batch in batches(topics, len(topics))
        ]

    return full_audits


def summary_schedule() -> dg.ScheduleDefinition:
    """Renews the landing page."""
    return dg.ScheduleDefinition(
        name="summary_page",
        cron_schedule=f"*/{SUMMARY_SECONDS // 60} * * * *",
        job_name=SUMMARY_JOB,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Renews audit/summary from the stored reports.",
    )


def summary_sensor(settings: Settings) -> dg.SensorDefinition:
    """Renews the landing page soon after a verdict has changed, and states failed results again that the page hides."""
    keys = {topic.name: dg.AssetCheckKey(audit_key(topic.name), COMPLETENESS) for topic in settings.topics}
    shown = [group for topic in settings.topics for group in (audit_check_keys(topic), lake_files_check_keys(topic))]
    shown.append((dg.AssetCheckKey(summary_key(settings), ALL_TOPICS_COMPLETE),))

    @dg.sensor(
        name="verdicts",
        job_name=SUMMARY_JOB,
        minimum_interval_seconds=sensor_seconds(topic.audit.every for topic in settings.topics),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Renews audit/summary when a verdict has changed; keeps red what a dead run or others would hide.",
    )
    def verdicts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        again = hidden_failures(context.instance, shown)
        found = latest_results(context.instance, keys.values())
        state = _digest(f"{topic}={_outline(found[key])}" for topic, key in keys.items())
        if state == context.cursor:
            return dg.SensorResult(skip_reason=dg.SkipReason("no verdict has changed"), asset_events=again)
        if context.instance.get_runs_count(dg.RunsFilter(job_name=SUMMARY_JOB, statuses=_WAITING)):
            waits = dg.SkipReason("a run that has not begun yet will see the change")
            return dg.SensorResult(skip_reason=waits, asset_events=again)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(tags={CAUSE_TAG: "a verdict"})], cursor=state, asset_events=again
        )

    return verdicts


def _outline(result: CheckResult) -> str:
    """What the landing page says about a topic, without times, which every audit may change."""
    figures = result.metadata.get(INCIDENT)
    told = [figures.get(key) for key in ("verdict", "lost", "ranges_total")] if isinstance(figures, Mapping) else []
    return json.dumps([result.state, *told])


def audit_request_for(topics: list[str], cause: str, run_key: str, *, full: bool = False) -> dg.RunRequest:
    """A run for these topics. Whoever asks twice with the same key, two daemons even, gets one run."""
    return dg.RunRequest(
        run_key=run_key,
        job_name=AUDIT_JOB,
        asset_selection=[audit_key(topic) for topic in topics],
        asset_check_keys=[],
        run_config=_in_full(topics) if full else None,
        tags={TOPIC_TAG: ",".join(topics), CAUSE_TAG: cause},
    )


def _in_full(topics: Iterable[str]) -> dict[str, Any]:
    return {"ops": {op_name(topic): {"config": {"full": True}} for topic in topics}}


def waiting_topics(instance: dg.DagsterInstance) -> set[str]:
    """Topics with a run that has not started yet."""
    runs = instance.get_runs(dg.RunsFilter(job_name=AUDIT_JOB, statuses=_WAITING))
    return {topic for run in runs for topic in run.tags.get(TOPIC_TAG, "").split(",") if topic}


def _states(auditor: Auditor, topics: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The state of each topic's index, and why some have none."""
    states, failures = {}, {}

    def look(topic: str) -> tuple[str, str | None, str]:
        try:
            return topic, auditor.index_state(topic), ""
        except LineageError as error:
            return topic, None, str(error)
        except Exception as error:
            # One topic must not stop the others; the text may quote foreign data, so it goes to the log alone.
            logger.exception("the index of %s could not be listed", topic)
            return topic, None, f"an unexpected {type(error).__name__}, see the daemon's log"

    with ThreadPoolExecutor(auditor.listings_at_once, thread_name_prefix="list") as pool:
        for topic, state, failure in pool.map(look, topics):
            if state is None:
                failures[topic] = failure
            else:
                states[topic] = state
    return states, failures


def _reason(changed: set[str], failures: dict[str, str]) -> str:
    if failures:
        topic, text = next(iter(sorted(failures.items())))
        more = f" ({len(failures) - 1} more topics)" if len(failures) > 1 else ""
        return f"the index of {topic} could not be listed{more}: {text}; the scheduled audit reports it"
    return f"{len(changed)} topics wait in the queue already" if changed else "no new index files"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
