"""Removing old runs with their events: Dagster keeps all of them for ever, and a run per topic and minute adds up."""

# No `from __future__ import annotations` here: Dagster reads the annotations of op functions as objects.

from datetime import datetime, timedelta, timezone

import dagster as dg
from pydantic import Field

from lineage_dagster.assets import audit_key
from lineage_dagster.lake_assets import lake_files_key, with_files
from lineage_dagster.summary import summary_key
from lineage_pipeline.settings import Settings

MAINTENANCE_JOB = "remove_old_runs"
_PAGE = 500
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


class KeepConfig(dg.Config):
    """How long runs are kept."""

    keep_days: int = Field(default=30, ge=1)


def maintenance_job(settings: Settings) -> dg.JobDefinition:
    """Removes runs that ended long ago; never the one behind an asset's latest materialisation."""
    keys = [summary_key(settings), *(audit_key(topic.name) for topic in settings.topics)]
    keys += [lake_files_key(topic.name) for topic in with_files(settings)]

    @dg.op(name="remove_runs")
    def remove_runs(context: dg.OpExecutionContext, config: KeepConfig) -> None:
        before = datetime.now(timezone.utc) - timedelta(days=config.keep_days)
        removed = remove_old_runs(context.instance, keys, before)
        context.log.info("removed %d runs that were created before %s", removed, before.isoformat())

    @dg.job(name=MAINTENANCE_JOB, description="Remove runs and events older than keep_days (30). Touches no data.")
    def remove_old() -> None:
        remove_runs()

    return remove_old


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Every night, once somebody has switched it on."""
    return dg.ScheduleDefinition(name="remove_old_runs_daily", cron_schedule="30 3 * * *", job_name=MAINTENANCE_JOB)


def remove_old_runs(instance: dg.DagsterInstance, keys: list[dg.AssetKey], before: datetime) -> int:
    """Remove finished runs created before then, and return how many."""
    kept = set()
    for key in keys:
        event = instance.get_latest_materialization_event(key)
        if event is not None:
            kept.add(event.run_id)
    removed, cursor = 0, None
    while True:
        wanted = dg.RunsFilter(statuses=_FINISHED, created_before=before)
        page = instance.get_runs(wanted, cursor=cursor, limit=_PAGE)
        for run in page:
            if run.run_id not in kept:
                instance.delete_run(run.run_id)
                removed += 1
        remaining = [run.run_id for run in page if run.run_id in kept]
        if len(page) < _PAGE:
            return removed
        cursor = remaining[-1] if remaining else None
