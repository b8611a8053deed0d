"""What Dagster's page calls a check, asked of the functions that the page asks."""

from __future__ import annotations

import asyncio

import dagster as dg
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord


def shown(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> str:
    """Its status, or `Not evaluated` for one of another materialisation."""

    async def ask() -> str:
        context = LoadingContextForTest(instance)
        record = await AssetCheckExecutionRecord.gen(context, key)
        if record is None or not await record.targets_latest_materialization(context):
            return "Not evaluated"
        return (await record.resolve_status(context)).value

    return asyncio.run(ask())
