"""lake_files/<topic>: the audit that reads the lake's files, with checks, a job and a schedule of its own.

The frequent audit of audit/<topic> reads index files only. What this one finds damaged, that one knows from then on.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the asset's function as objects.

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from lineage_dagster import names
from lineage_dagster.auditor import Auditor
from lineage_dagster.cadence import batches, is_due
from lineage_dagster.judgement import Judgement, verdict_of
from lineage_dagster.lake_judgement import LAKE_CHECKS, absent_stretches, figures, judge_lake, look_again_at
from lineage_dagster.metadata import FEW_RANGE_COLUMNS, exact, ranges_table
from lineage_dagster.outcome import AuditOutcome
from lineage_pipeline.core.overdue import overdue_after
from lineage_pipeline.lake_request import has_data
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

LAKE_JOB = "audit_lake_files"
LOOK_AGAIN = "look_again_at"
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED]
_TOPIC_TAG = "lineage/topic"


class LakeConfig(dg.Config):
    """What a person may choose in the launchpad."""

    # Look at every file anew instead of those that are new or changed since the last audit.
    full: bool = False


def lake_files_key(topic: str) -> dg.AssetKey:
    """lake_files/<topic>."""
    return dg.AssetKey([names.LAKE_FILES, topic])


def lake_files_check_keys(topic: TopicSettings) -> tuple[dg.AssetCheckKey, ...]:
    """The checks of lake_files/<topic>; none where there is no place for data."""
    return tuple(dg.AssetCheckKey(lake_files_key(topic.name), kind.name) for kind in LAKE_CHECKS if has_data(topic))


def with_files(settings: Settings) -> list[TopicSettings]:
    """The topics whose files can be looked at: those with a place for data."""
    return [topic for topic in settings.topics if has_data(topic)]


def lake_files_asset(topic: TopicSettings, settle: float) -> dg.AssetsDefinition:
    """One audit by all books per materialisation, judged by what it says about files. `settle` in seconds."""
    key = lake_files_key(topic.name)
    oldest = timedelta(seconds=overdue_after(topic.lake_files.every, settle))
    books = _books(topic)
    spec = dg.AssetSpec(
        key,
        deps=[dg.AssetKey([names.LAKE, topic.name])],
        kinds={"python", "parquet"},
        group_name=names.LAKE,
        owners=list(topic.owners),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=oldest),
        description=(
            f"Proof that the files of {topic.name} are there and hold what the offset index says. Each file is looked "
            f"at once, its offset columns only; later audits list. Books that are read: {', '.join(books)}. See its "
            "Checks."
        ),
    )
    # one audit of a topic at a time, whichever asset it is for
    pool = names.op_name(topic.name)

    @dg.multi_asset(name=names.lake_files_op_name(topic.name), specs=[spec], pool=pool)
    def lake_files(
        context: dg.AssetExecutionContext, config: LakeConfig, auditor: dg.ResourceParam[Auditor]
    ) -> Iterator[dg.AssetCheckEvaluation | dg.MaterializeResult]:  # type: ignore[type-arg]  # nothing is pickled
        outcome = auditor.audit(topic.name, books, full=config.full)
        judged = judge_lake(outcome)
        context.log.info(judged[0].text)
        yield from _evaluations(topic, judged)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(outcome, judged[0], settle))

    return lake_files


def lake_files_checks(topic: TopicSettings) -> dg.AssetChecksDefinition:
    """The checks of lake_files/<topic>, as Dagster lists them; see `assets.audit_checks` for why they stand alone."""
    key = lake_files_key(topic.name)
    specs = [
        dg.AssetCheckSpec(one.name, asset=key, description=one.description, blocking=one.blocking)
        for one in LAKE_CHECKS
    ]
    name = names.lake_files_checks_op_name(topic.name)

    @dg.multi_asset_check(name=name, specs=specs, pool=names.op_name(topic.name))
    def checks(auditor: dg.ResourceParam[Auditor]) -> Iterator[dg.AssetCheckResult]:
        for one in _evaluations(topic, judge_lake(auditor.audit(topic.name, _books(topic)))):
            yield dg.AssetCheckResult(
                check_name=one.check_name,
                asset_key=key,
                passed=one.passed,
                severity=one.severity,
                description=one.description,
            )

    return checks


def lake_files_job(settings: Settings) -> Any:
    """Audits of all topics' files."""
    keys = (lake_files_key(topic.name) for topic in with_files(settings))
    return dg.define_asset_job(
        LAKE_JOB,
        selection=dg.AssetSelection.assets(*keys).without_checks(),  # the asset's own step gives their results
        description="Look at the files of topics. Launched here: of all of them.",
    )


def lake_files_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every lake_files.every seconds per topic; at once the first time, and as soon as a second look can decide."""
    plans = {topic.name: topic.lake_files.every for topic in with_files(settings)}

    @dg.schedule(
        name="scheduled_lake_audits",
        cron_schedule="* * * * *",
        job_name=LAKE_JOB,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Looks at each topic's files every lake_files.every seconds of lineage.yaml, spread over time.",
    )
    def scheduled_lake_audits(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        due = {topic for topic, every in plans.items() if is_due(topic, every, tick)}
        due |= _wanted(context.instance, plans, tick)
        ready = due - _under_way(context.instance)
        if not ready:
            return dg.SkipReason(
                f"all due topics are being looked at: {', '.join(sorted(due)[:10])}"
                if due
                else "no topic is due this minute"
            )
        return [
            dg.RunRequest(
                run_key=f"lake-{tick:%Y%m%dT%H%M}-{batch[0]}",
                job_name=LAKE_JOB,
                asset_selection=[lake_files_key(topic) for topic in batch],
                asset_check_keys=[],
                tags={_TOPIC_TAG: ",".join(batch)},
            )
            for batch in batches(ready, len(plans))
        ]

    return scheduled_lake_audits


def _books(topic: TopicSettings) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*topic.audit.books, "lake")))


def _wanted(instance: dg.DagsterInstance, topics: Iterable[str], tick: datetime) -> set[str]:
    """Topics whose files nobody has tried to look at, or where a second look can decide what the newest one saw."""
    keys = {lake_files_key(topic): topic for topic in topics}
    known = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(list(keys))}
    wanted = {topic for key, topic in keys.items() if key not in known or not known[key].last_run_id}
    for key, entry in known.items():
        made = entry.last_materialization.asset_materialization if entry.last_materialization else None
        again = made.metadata.get(LOOK_AGAIN) if made else None
        if isinstance(again, dg.TimestampMetadataValue) and tick.timestamp() >= again.value:
            wanted.add(keys[key])
    return wanted


def _under_way(instance: dg.DagsterInstance) -> set[str]:
    runs = instance.get_runs(dg.RunsFilter(job_name=LAKE_JOB, statuses=_WAITING))
    return {topic for run in runs for topic in run.tags.get(_TOPIC_TAG, "").split(",") if topic}


def _metadata(outcome: AuditOutcome, judged: Judgement, settle: float) -> dict[str, Any]:
    report = outcome.report
    found: dict[str, Any] = {"verdict": verdict_of(outcome, judged), "why": judged.text}
    again = look_again_at(outcome, settle)
    if again is not None:
        found[LOOK_AGAIN] = dg.MetadataValue.timestamp(again)
    if report is None:
        return {**found, "audited_at": dg.MetadataValue.timestamp(outcome.finished_at)}
    bad = absent_stretches(report)
    if bad:
        found["ranges"] = ranges_table(bad, FEW_RANGE_COLUMNS)
    totals = figures(report)
    found["in_files"] = exact(totals.held)
    found["damaged"] = exact(totals.damaged)
    found["not_proven"] = exact(totals.doubtful)
    found["repeated"] = exact(sum(one.decision.lake.repeats.surplus() for one in report.partitions))
    found["quarantined"] = exact(sum(one.decision.lake.quarantined.total for one in report.partitions))
    found["audited_at"] = dg.MetadataValue.timestamp(report.audited_at)
    if outcome.report_path:
        found["report"] = dg.MetadataValue.path(outcome.report_path)
    return found


def _evaluations(topic: TopicSettings, judged: Iterable[Judgement]) -> Iterator[dg.AssetCheckEvaluation]:
    blocking = {kind.name: kind.blocking for kind in LAKE_CHECKS}
    for one in judged:
        yield dg.AssetCheckEvaluation(
            asset_key=lake_files_key(topic.name),
            check_name=one.name,
            passed=one.passed,
            severity=dg.AssetCheckSeverity[one.severity],
            description=one.text,
            blocking=blocking[one.name],
        )
