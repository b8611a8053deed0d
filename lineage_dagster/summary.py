"""audit/summary: one row per topic from the stored reports. The page that people open first."""

# No `from __future__ import annotations` here: Dagster reads the annotations of the asset's function as objects.

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from lineage_dagster import names
from lineage_dagster.assets import audit_key
from lineage_dagster.auditor import Auditor
from lineage_dagster.messages import check_url
from lineage_dagster.metadata import MAX_MARKDOWN, exact
from lineage_dagster.summary_rows import FIGURES, Expected, SummaryRow, headline, summary_row, unreadable, worst_first
from lineage_pipeline.core.classes import VERDICTS
from lineage_pipeline.core.overdue import overdue_after
from lineage_pipeline.errors import LineageError
from lineage_pipeline.settings import Settings

logger = logging.getLogger(__name__)
SUMMARY_JOB = "audit_summary"
SUMMARY_SECONDS = 300  # how often the page is renewed in any case
MAX_ROWS = 100
_NARROW = ("topic", "verdict", "lost", "not_proven", "doubled")  # the asset's page cuts wide tables off
_WIDE = ("topic", "verdict", "what", *FIGURES, "audited_at")


def summary_key(settings: Settings) -> dg.AssetKey:
    """audit/summary, or just summary when a topic has that name."""
    taken = any(topic.name == names.SUMMARY for topic in settings.topics)
    return dg.AssetKey([names.SUMMARY] if taken else [names.AUDIT, names.SUMMARY])


def summary_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset; its own step evaluates the check of `summary_check`."""
    key = summary_key(settings)
    spec = dg.AssetSpec(
        key,
        deps=[audit_key(topic.name) for topic in settings.topics],
        kinds={"python"},
        group_name=names.AUDIT,
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(seconds=overdue_after(SUMMARY_SECONDS, settle=0.0))
        ),
        description="Start here: one row per topic with its latest verdict, the worst first.",
    )

    @dg.multi_asset(name=names.SUMMARY, specs=[spec])
    def summary(
        auditor: dg.ResourceParam[Auditor],
    ) -> Iterator[dg.AssetCheckEvaluation | dg.MaterializeResult]:  # type: ignore[type-arg]  # as in assets.py
        rows = _rows(settings, auditor)
        counts = {verdict: sum(1 for row in rows if row.verdict == verdict) for verdict in VERDICTS}
        judged = _judged(rows)
        # Before the materialisation, as in assets.py.
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=names.ALL_TOPICS_COMPLETE,
            passed=judged.passed,
            severity=judged.severity,
            description=judged.description,
            metadata=judged.metadata,
        )
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "state": dg.MetadataValue.md(_markdown(rows)),
                "topics": _table(rows, _NARROW),
                **{f"topics_{verdict}": dg.MetadataValue.int(count) for verdict, count in counts.items()},
            },
        )

    return summary


def summary_check(settings: Settings) -> dg.AssetChecksDefinition:
    """The check as Dagster lists it. It stands alone, so that no run that waits or dies hides its last answer."""

    @dg.asset_check(
        asset=summary_key(settings),
        name=names.ALL_TOPICS_COMPLETE,
        description="Every topic has a recent report that says complete.",
    )
    def check(auditor: dg.ResourceParam[Auditor]) -> dg.AssetCheckResult:
        return _judged(_rows(settings, auditor))

    return check


def summary_job(settings: Settings) -> Any:
    """Makes audit/summary alone."""
    return dg.define_asset_job(
        SUMMARY_JOB,
        selection=dg.AssetSelection.assets(summary_key(settings)).without_checks(),
        description="Renew the landing page from the stored reports; audits nothing.",
    )


def _rows(settings: Settings, auditor: Auditor) -> list[SummaryRow]:
    now = datetime.now(timezone.utc)
    expected = [
        Expected(topic.name, topic.audit.books, overdue_after(topic.audit.every, settings.settle_seconds(topic)))
        for topic in settings.topics
    ]
    with ThreadPoolExecutor(auditor.listings_at_once, thread_name_prefix="report") as pool:
        return worst_first(pool.map(lambda one: _row(auditor, one, now), expected))


def _row(auditor: Auditor, expected: Expected, now: datetime) -> SummaryRow:
    topic = expected.topic
    try:
        return summary_row(expected, auditor.stored_report(topic), now)
    except LineageError as error:
        return unreadable(topic, str(error))
    except Exception as error:
        # A page that fails would go on showing what it showed before; the text may quote foreign data: see the log.
        logger.exception("the report of %s could not be read", topic)
        return unreadable(topic, f"an unexpected {type(error).__name__}, see the log of this run")


def _judged(rows: Sequence[SummaryRow]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=names.ALL_TOPICS_COMPLETE,
        passed=bool(rows) and all(row.verdict == "complete" for row in rows),
        severity=dg.AssetCheckSeverity.ERROR,
        description=headline(rows),
        metadata={"topics": _table(rows, _WIDE)},
    )


def _markdown(rows: Sequence[SummaryRow]) -> str:
    """The headline, and a line with a link for each topic that is not complete, as long as Dagster shows them."""
    text = headline(rows)
    for row in rows:
        line = f"\n- [`{row.topic}`]({check_url('', row.topic)}) **{row.verdict}**: {row.what}"
        if row.verdict == "complete" or len(text) + len(line) > MAX_MARKDOWN:
            break
        text += f"\n{line}" if "\n" not in text else line
    return text


def _table(rows: Sequence[SummaryRow], columns: Sequence[str]) -> dg.TableMetadataValue:
    shown = [_record(row, columns) for row in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        text = f"{len(rows) - MAX_ROWS} more, none of them worse"
        shown.append(_record(SummaryRow("...", text, "", {}, ""), columns))
    schema = [dg.TableColumn(name, type="int" if name in FIGURES else "string") for name in columns]
    return dg.TableMetadataValue(shown, dg.TableSchema(columns=schema))


def _record(row: SummaryRow, columns: Sequence[str]) -> dg.TableRecord:
    figures = {key: exact(row.figures[key]) if key in row.figures else "" for key in FIGURES}
    values: dict[str, Any] = {
        "topic": row.topic,
        "verdict": row.verdict,
        "audited_at": row.audited_at,
        "what": row.what,
        **figures,
    }
    return dg.TableRecord({name: values[name] for name in columns})
