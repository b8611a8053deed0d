"""Pure: what one attempt to audit a topic gave, also when it gave nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lineage_pipeline.core.report import AuditReport


@dataclass(frozen=True)
class AuditOutcome:
    """One attempt. `report` is None when the audit could not run, and `failure` says why, in one sentence.

    `newest_file`: when the newest index file was written (UTC); None without files, or when they could not be listed.
    `report_path`: where audits store the report's JSON, `page_path`: as a page, or its address; None when there
    is no place for it.
    """

    topic: str
    finished_at: datetime
    report: AuditReport | None = None
    failure: str | None = None
    newest_file: datetime | None = None
    report_path: str | None = None
    page_path: str | None = None
