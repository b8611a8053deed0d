"""The resource behind every audit asset: runs the use case for one topic and never lets an error hide the outcome."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from lineage_dagster.index_watch import index_state
from lineage_dagster.outcome import AuditOutcome
from lineage_pipeline.audit_topic import LATEST, audit_request, audit_twice, index_path, store_report
from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, list_index
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.report import FORMAT
from lineage_pipeline.errors import LineageError, StoreError
from lineage_pipeline.settings import Settings, TopicSettings

logger = logging.getLogger(__name__)


class Auditor(Protocol):
    """What the assets ask for. Tests put a model behind it."""

    def audit(self, topic: str, books: Sequence[str] = ()) -> AuditOutcome:
        """One audit by these books, or by those of the settings. Never raises: a failure is part of the outcome."""

    def index_state(self, topic: str) -> str:
        """A digest that changes when index files do. Raises LineageError when they cannot be listed."""

    def stored_report(self, topic: str) -> Mapping[str, Any]:
        """The JSON of the last stored report. Raises LineageError when there is none, or none that can be read."""


class SettingsAuditor:
    """Audits the topics of `settings` for real. A hole seen for the first time is looked at twice, `settle` apart."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._now = now
        self._wait = wait

    def audit(self, topic: str, books: Sequence[str] = ()) -> AuditOutcome:
        """See Auditor.audit; the report is stored under the topic's audit path."""
        try:
            return self._audit(self._settings.topic(topic), books)
        except LineageError as error:
            return AuditOutcome(topic, self._now(), failure=str(error))
        except Exception as error:
            # A defect of ours must be red as well. Its text may quote foreign data, so it goes to the log alone.
            logger.exception("the audit of %s failed unexpectedly", topic)
            text = (
                f"the audit stopped with an unexpected {type(error).__name__}: see the log of this run, and report it"
            )
            return AuditOutcome(topic, self._now(), failure=text)

    def index_state(self, topic: str) -> str:
        """See Auditor.index_state; only the open days are listed."""
        return index_state(index_path(self._settings, self._settings.topic(topic)), self._now())

    def stored_report(self, topic: str) -> Mapping[str, Any]:
        """See Auditor.stored_report."""
        chosen = self._settings.topic(topic)
        key = f"{TOPIC_DIRECTORY}{topic}/{LATEST}"
        content = open_store(chosen.paths.audit, self._settings.aws).get(key)
        try:
            report = json.loads(content)
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, Mapping) or report.get("format") != FORMAT:
            raise StoreError(
                f"{chosen.paths.audit.rstrip('/')}/{key} is no report of this version: audit the topic again"
            )
        return report

    def _audit(self, topic: TopicSettings, books: Sequence[str]) -> AuditOutcome:
        request = audit_request(self._settings, topic, books or topic.audit.books)
        newest = self._newest_file(topic)
        report = audit_twice(request, self._now, self._wait)
        path, failure = None, None
        try:
            key = store_report(open_store(topic.paths.audit, self._settings.aws), report)
            path = f"{topic.paths.audit.rstrip('/')}/{key}"
        except StoreError as error:
            failure = f"the report could not be stored: {error}"
        return AuditOutcome(topic.name, self._now(), report, None, newest, path, failure)

    def _newest_file(self, topic: TopicSettings) -> datetime | None:
        try:
            files = list_index(index_path(self._settings, topic)).files
        except StoreError:
            return None  # the audit meets the same error and reports it
        newest = max((info.last_modified for info in files), default=None)
        return None if newest is None else datetime.fromtimestamp(newest, timezone.utc)
