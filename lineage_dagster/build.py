"""All definitions of the location, built from settings; nothing here touches network, clock or environment."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from lineage_dagster.assets import audit_asset, external_assets
from lineage_dagster.auditor import SettingsAuditor
from lineage_pipeline.settings import Settings


def build_defs(settings: Settings, resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions for every topic of `settings`; `resources` replace real ones by name, as tests do."""
    assets: list[dg.AssetSpec | dg.AssetsDefinition] = []
    for topic in settings.topics:
        assets += [*external_assets(topic), audit_asset(topic)]
    return dg.Definitions(
        assets=assets,
        resources={"auditor": SettingsAuditor(settings), **(resources or {})},
        # A process per step would cost more than the audit itself.
        executor=dg.in_process_executor,
    )
