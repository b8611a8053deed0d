"""All definitions of the location, built from settings; nothing here touches network, clock or environment."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from lineage_dagster.accepting import accept_job
from lineage_dagster.alerts import alert_sensor
from lineage_dagster.assets import audit_asset, audit_checks, external_assets
from lineage_dagster.auditor import SettingsAuditor
from lineage_dagster.channels import Notifier
from lineage_dagster.lake_assets import (
    lake_files_asset,
    lake_files_checks,
    lake_files_job,
    lake_files_schedule,
    with_files,
)
from lineage_dagster.maintenance import maintenance_job, maintenance_schedule
from lineage_dagster.summary import summary_asset, summary_check, summary_job
from lineage_dagster.triggers import (
    audit_job,
    audit_schedule,
    full_audit_job,
    full_audit_schedule,
    index_sensor,
    summary_schedule,
    summary_sensor,
)
from lineage_pipeline.errors import SettingsError
from lineage_pipeline.settings import Settings


def build_defs(
    settings: Settings, environ: Mapping[str, str] | None = None, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """The definitions for every topic of `settings`.

    Secrets of alert channels are looked up in `environ` when a message is sent. `resources` replace real ones by name
    (`auditor`, `notifier`), as tests do. Raises SettingsError for alerts that would tell nobody of some loss.
    """
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = [summary_asset(settings)]
    for topic in settings.topics:
        assets += [*external_assets(topic), audit_asset(topic, settings.settle_seconds(topic))]
    files = with_files(settings)
    assets += [lake_files_asset(topic, settings.settle_seconds(topic)) for topic in files]
    _require_takers(settings)
    real = {
        "auditor": SettingsAuditor(settings, reports_url=settings.alerts.reports_url),
        "notifier": Notifier(settings.alerts, environ or {}),
    }
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            summary_check(settings),
            *(audit_checks(topic) for topic in settings.topics),
            *(lake_files_checks(topic) for topic in files),
        ],
        jobs=[
            *(audit_job(settings), full_audit_job(settings), summary_job(settings)),
            *(accept_job(), maintenance_job(settings)),
            *([lake_files_job(settings)] if files else []),
        ],
        schedules=[
            *(audit_schedule(settings), full_audit_schedule(settings)),
            *(summary_schedule(), maintenance_schedule()),
            *([lake_files_schedule(settings)] if files else []),
        ],
        sensors=[index_sensor(settings), summary_sensor(settings), alert_sensor(settings)],
        resources={**real, **(resources or {})},
        # A process per step would cost more than the audit itself.
        executor=dg.in_process_executor,
    )


def _require_takers(settings: Settings) -> None:
    """Refuse channels that leave a topic out: a loss that nobody is told of would look like no loss."""
    channels = settings.alerts.channels
    for topic in settings.topics if channels else ():  # without any channel the log is told
        if not any("loss" in one.levels and one.is_for(topic.owners) for one in channels):
            owners = f"owners: {', '.join(topic.owners)}" if topic.owners else "no owners"
            raise SettingsError(
                f"`alerts.channels`: no channel takes a loss in topic {topic.name!r} ({owners}), so nobody would be "
                "told of it: add a channel without `owners`, or one of the topic's owners to a channel for `loss`; "
                "see docs/dagster.md"
            )
