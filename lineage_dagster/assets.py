"""The assets of one topic: kafka/<topic> -> lake/<topic> (both made by others) -> audit/<topic> with its checks."""

# No `from __future__ import annotations` here: Dagster reads the annotations of the asset's function as objects.

from collections.abc import Iterable, Iterator
from datetime import timedelta

import dagster as dg
from pydantic import Field

from lineage_dagster import names
from lineage_dagster.auditor import Auditor
from lineage_dagster.judgement import AuditPromise, Judgement, checks_for, judge
from lineage_dagster.metadata import asset_metadata, check_metadata
from lineage_dagster.outcome import AuditOutcome
from lineage_dagster.table_columns import table_schema
from lineage_pipeline.core.overdue import overdue_after
from lineage_pipeline.topic_settings import TopicSettings


class AuditConfig(dg.Config):
    """What a person may choose in the launchpad."""

    # Empty: the books that lineage.yaml names for this topic.
    books: list[str] = Field(default=[])
    # Read every index file anew instead of those that are new since the last audit.
    full: bool = False


def audit_key(topic: str) -> dg.AssetKey:
    """audit/<topic>."""
    return dg.AssetKey([names.AUDIT, topic])


def audit_check_keys(topic: TopicSettings) -> tuple[dg.AssetCheckKey, ...]:
    """The checks of audit/<topic>."""
    return tuple(dg.AssetCheckKey(audit_key(topic.name), kind.name) for kind in checks_for(topic.audit.books))


def external_assets(topic: TopicSettings) -> list[dg.AssetSpec]:
    """The Kafka topic and its table in the lake: what the audit compares, made by others."""
    owners = list(topic.owners)
    columns = table_schema(topic)
    kafka = dg.AssetKey([names.KAFKA, topic.name])
    return [
        dg.AssetSpec(
            kafka,
            kinds={"kafka"},
            group_name=names.KAFKA,
            owners=owners,
            tags={"format": topic.format},
            description=f"The Kafka topic {topic.name}, as producers write it.",
        ),
        dg.AssetSpec(
            dg.AssetKey([names.LAKE, topic.name]),
            deps=[kafka],
            kinds={"flink", "parquet", "s3" if topic.paths.output.startswith("s3") else "file"},
            group_name=names.LAKE,
            owners=owners,
            tags={"format": "parquet"},
            description=f"The table that the Flink job writes. Is all of {topic.name} there? See audit/{topic.name}.",
            metadata={
                "dagster/table_name": topic.name,
                "data": dg.MetadataValue.path(topic.paths.output),
                "offset_index": dg.MetadataValue.path(topic.paths.offset_index),
                "quarantine": dg.MetadataValue.path(topic.paths.quarantine),
                **({"dagster/column_schema": columns} if columns is not None else {}),
            },
        ),
    ]


def audit_asset(topic: TopicSettings, settle: float) -> dg.AssetsDefinition:
    """audit/<topic>: one audit per materialisation, judged in the same step, so that no check is older than its asset.

    The step itself never fails on what it finds out; the blocking check fails the run. `settle`: seconds until a hole
    is looked at again.
    """
    key = audit_key(topic.name)
    oldest = timedelta(seconds=overdue_after(topic.audit.every, settle))
    spec = dg.AssetSpec(
        key,
        deps=[dg.AssetKey([names.LAKE, topic.name])],
        kinds={"python"},
        group_name=names.AUDIT,
        owners=list(topic.owners),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=oldest),
        description=(
            f"Did every record of {topic.name} reach the lake? Open Checks: completeness is the answer, as sets of "
            f"offset ranges for each partition, never as counts. Read for it: {', '.join(topic.audit.books)}."
        ),
    )

    @dg.multi_asset(name=names.op_name(topic.name), specs=[spec], pool=names.op_name(topic.name))
    def audit(
        context: dg.AssetExecutionContext, config: AuditConfig, auditor: dg.ResourceParam[Auditor]
    ) -> Iterator[dg.AssetCheckEvaluation | dg.MaterializeResult]:  # type: ignore[type-arg]  # nothing is pickled
        outcome = auditor.audit(topic.name, tuple(config.books), full=config.full)
        judged = judge(outcome, _promise(topic))
        context.log.info(judged[0].text)
        # Before the materialisation: after it, the page would call the checks "Not evaluated" for a moment.
        yield from _evaluations(topic, judged, outcome)
        yield dg.MaterializeResult(asset_key=key, metadata=asset_metadata(outcome, judged[0]))

    return audit


def audit_checks(topic: TopicSettings) -> dg.AssetChecksDefinition:
    """The checks of audit/<topic>, as Dagster lists them; their results come from `audit_asset`.

    They are not outputs of the asset's own step on purpose: Dagster marks such checks as planned when a run is queued,
    and from then on the page shows neither their last result nor its text. Run by themselves they audit anew.
    """
    key = audit_key(topic.name)
    kinds = checks_for(topic.audit.books)
    specs = [
        dg.AssetCheckSpec(one.name, asset=key, description=one.description, blocking=one.blocking) for one in kinds
    ]

    @dg.multi_asset_check(name=names.checks_op_name(topic.name), specs=specs, pool=names.op_name(topic.name))
    def checks(auditor: dg.ResourceParam[Auditor]) -> Iterator[dg.AssetCheckResult]:
        outcome = auditor.audit(topic.name)
        for one in _evaluations(topic, judge(outcome, _promise(topic)), outcome):
            yield dg.AssetCheckResult(
                check_name=one.check_name,
                asset_key=key,
                passed=one.passed,
                severity=one.severity,
                description=one.description,
                metadata=one.metadata,
            )

    return checks


def _promise(topic: TopicSettings) -> AuditPromise:
    return AuditPromise(timedelta(seconds=topic.max_delay), topic.audit.books)


def _evaluations(
    topic: TopicSettings, judged: Iterable[Judgement], outcome: AuditOutcome
) -> Iterator[dg.AssetCheckEvaluation]:
    blocking = {kind.name: kind.blocking for kind in checks_for(topic.audit.books)}
    for one in judged:
        yield dg.AssetCheckEvaluation(
            asset_key=audit_key(topic.name),
            check_name=one.name,
            passed=one.passed,
            severity=dg.AssetCheckSeverity[one.severity],
            description=one.text,
            metadata=check_metadata(one, outcome),
            blocking=blocking[one.name],
        )
