"""audit/summary: one row per topic from the stored reports, the page to look at first, in a job of its own.

In one run with the audits it would not be made when it matters: a failed blocking check stops what is downstream.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the asset's function as objects.

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from lineage_dagster import names
from lineage_dagster.assets import audit_key
from lineage_dagster.auditor import Auditor
from lineage_dagster.metadata import exact
from lineage_pipeline.core.classes import VERDICTS
from lineage_pipeline.core.overdue import overdue_after
from lineage_pipeline.errors import LineageError
from lineage_pipeline.settings import Settings

SUMMARY_JOB = "audit_summary"
MAX_ROWS = 100
_FIGURES = ("missing", "damaged", "unknown", "duplicated", "expected", "actual")
_MAX_REMARK = 120  # characters; the topic's own page has all of it


@dataclass(frozen=True)
class SummaryRow:
    """One topic. `verdict` is undetermined when the report is absent, unreadable or too old; `remark` says why."""

    topic: str
    verdict: str
    audited_at: str
    figures: Mapping[str, int]
    remark: str


def summary_key(settings: Settings) -> dg.AssetKey:
    """audit/summary, or just summary when a topic has that name."""
    taken = any(topic.name == names.SUMMARY for topic in settings.topics)
    return dg.AssetKey([names.SUMMARY] if taken else [names.AUDIT, names.SUMMARY])


def summary_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset and its check."""
    key = summary_key(settings)
    oldest = {topic.name: overdue_after(topic.audit.every, settings.settle_seconds(topic)) for topic in settings.topics}

    @dg.asset(
        key=key,
        deps=[audit_key(topic.name) for topic in settings.topics],
        kinds={"python"},
        group_name=names.AUDIT,
        description="Start here: one row per topic with its latest verdict, the worst first.",
        check_specs=[
            dg.AssetCheckSpec(
                names.ALL_TOPICS_COMPLETE, asset=key, description="Every topic has a recent report that says complete."
            )
        ],
    )
    def summary(auditor: dg.ResourceParam[Auditor]) -> dg.MaterializeResult:  # type: ignore[type-arg]  # as in assets.py
        now = datetime.now(timezone.utc)
        rows = sorted((_row(auditor, topic, age, now) for topic, age in oldest.items()), key=_worst_first)
        open_rows = [row for row in rows if row.verdict != "complete"]
        text = f"All {len(rows)} topics are complete."
        if open_rows:
            named = ", ".join(f"{row.topic} ({row.verdict})" for row in open_rows[:5])
            more = f" and {len(open_rows) - 5} more" if len(open_rows) > 5 else ""  # noqa: PLR2004  five are named
            text = f"{len(open_rows)} of {len(rows)} topics are not complete: {named}{more}."
        counts = {verdict: sum(1 for row in rows if row.verdict == verdict) for verdict in VERDICTS}
        return dg.MaterializeResult(
            metadata={
                "state": text,
                "topics": _table(rows),
                **{f"topics_{verdict}": dg.MetadataValue.int(count) for verdict, count in counts.items()},
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=names.ALL_TOPICS_COMPLETE,
                    passed=not open_rows and bool(rows),
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=text,
                    metadata={"topics": _table(rows)},
                )
            ],
        )

    return summary


def summary_job(settings: Settings) -> Any:
    """Makes audit/summary alone."""
    return dg.define_asset_job(
        SUMMARY_JOB,
        selection=dg.AssetSelection.assets(summary_key(settings)),
        description="Renew the landing page from the stored reports; audits nothing.",
    )


def _row(auditor: Auditor, topic: str, oldest: float, now: datetime) -> SummaryRow:
    try:
        report = auditor.stored_report(topic)
        audited_at = datetime.strptime(str(report["audited_at"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        figures = {key: int(report["totals"][key]) for key in _FIGURES}
        verdict = str(report["verdict"])
    except LineageError as error:
        return SummaryRow(topic, "undetermined", "", {}, f"no report: {error}")
    except (KeyError, TypeError, ValueError):
        return SummaryRow(topic, "undetermined", "", {}, "the stored report cannot be read: audit the topic again")
    remark = str(report["problems"][0]) if report.get("problems") else ""
    if now - audited_at > timedelta(seconds=oldest):
        remark = f"the last report says {verdict}, but it is too old"
        verdict = verdict if verdict == "loss" else "undetermined"
    elif verdict not in VERDICTS:
        verdict, remark = "undetermined", f"the stored report says {verdict[:40]!r}, which is no verdict"
    return SummaryRow(topic, verdict, str(report["audited_at"]), figures, remark)


def _table(rows: list[SummaryRow]) -> dg.TableMetadataValue:
    columns = [
        *(dg.TableColumn(name, type="string") for name in ("topic", "verdict")),
        *(dg.TableColumn(name, type="int") for name in _FIGURES),
        *(dg.TableColumn(name, type="string") for name in ("audited_at", "remark")),
    ]
    records = [_record(row) for row in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        text = f"{len(rows) - MAX_ROWS} more topics, none of them worse"
        records.append(_record(SummaryRow("...", "", "", {}, text)))
    return dg.TableMetadataValue(records, dg.TableSchema(columns=columns))


def _record(row: SummaryRow) -> dg.TableRecord:
    figures: dict[str, Any] = {key: exact(row.figures[key]) if key in row.figures else "" for key in _FIGURES}
    remark = row.remark if len(row.remark) <= _MAX_REMARK else f"{row.remark[:_MAX_REMARK]} ..."
    return dg.TableRecord(
        {"topic": row.topic, "verdict": row.verdict, **figures, "audited_at": row.audited_at, "remark": remark}
    )


def _worst_first(row: SummaryRow) -> tuple[int, str]:
    return -VERDICTS.index(row.verdict) if row.verdict in VERDICTS else 0, row.topic
