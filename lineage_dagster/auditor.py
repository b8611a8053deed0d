"""The resource behind every audit asset: runs the use case for one topic and never lets an error hide the outcome."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import quote

from lineage_dagster.cadence import ALONE
from lineage_dagster.index_watch import index_state, newest_file
from lineage_dagster.outcome import AuditOutcome
from lineage_pipeline.accept import Acceptance, accept_gap
from lineage_pipeline.audit_topic import audit_request, audit_topic, audit_twice, index_path
from lineage_pipeline.books.index_store import TOPIC_DIRECTORY
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.report import FORMAT
from lineage_pipeline.errors import LineageError, StoreError, UsageError
from lineage_pipeline.remembering import LATEST, PAGE
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

logger = logging.getLogger(__name__)
LONGEST_WAIT_SECONDS = 60.0
_REMOTE_LISTINGS = 32


class Auditor(Protocol):
    """What the assets ask for. Tests put a model behind it."""

    @property
    def listings_at_once(self) -> int:
        """How many topics' listings, or reports, at the same time pay off."""

    def audit(self, topic: str, books: Sequence[str] = (), *, full: bool = False) -> AuditOutcome:
        """One audit by these books, or by those of the settings; a `full` one reads every index file anew.

        Never raises: a failure is part of the outcome.
        """

    def index_state(self, topic: str) -> str:
        """A digest that changes when index files do. Raises LineageError when they cannot be listed."""

    def accept(self, topic: str, accepted: Acceptance) -> str:
        """Take on a gap, and say so in a sentence. Raises LineageError when that cannot be done."""

    def stored_report(self, topic: str) -> Mapping[str, Any]:
        """The JSON of the last stored report. Raises LineageError when there is none, or none that can be read."""


class SettingsAuditor:
    """Audits the topics of `settings` for real, each continuing the audit before it."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        wait: Callable[[float], None] = time.sleep,
        reports_url: str | None = None,
    ) -> None:
        self._settings = settings
        self._reports_url = reports_url
        self._now = now
        self._wait = wait

    @property
    def listings_at_once(self) -> int:
        """Threads shorten the wait for a network; on a disk they only wait for each other."""
        remote = any("://" in one.paths.offset_index.removeprefix("file://") for one in self._settings.topics)
        return _REMOTE_LISTINGS if remote else 1

    def audit(self, topic: str, books: Sequence[str] = (), *, full: bool = False) -> AuditOutcome:
        """See Auditor.audit. A new hole is looked at twice within the audit when nobody waits long for that."""
        try:
            return self._audit(self._settings.topic(topic), books, full=full)
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

    def accept(self, topic: str, accepted: Acceptance) -> str:
        """See Auditor.accept."""
        chosen = self._settings.topic(topic)
        request = audit_request(self._settings, chosen, ["index"])
        if request.plan is None:
            raise UsageError(
                f"the audits of {topic} are not remembered, so nothing can be accepted: set its audit path"
            )
        return accept_gap(request.plan.state, accepted, request.rules, self._now())

    def stored_report(self, topic: str) -> Mapping[str, Any]:
        """See Auditor.stored_report."""
        chosen = self._settings.topic(topic)
        key = _report_key(topic)
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

    def _audit(self, topic: TopicSettings, books: Sequence[str], *, full: bool) -> AuditOutcome:
        request = audit_request(self._settings, topic, books or topic.audit.books)
        if request.plan is not None:
            request = replace(request, plan=replace(request.plan, full=full))
        newest = self._newest_file(topic)
        # The next audit takes the second look where this one is remembered; a run that waits long would block it, and
        # all the topics that share the run.
        short = request.rules.settle <= LONGEST_WAIT_SECONDS and len(self._settings.topics) <= ALONE
        wait = request.plan is None or short
        report = audit_twice(request, self._now, self._wait) if wait else audit_topic(request, self._now)
        state = request.plan.state if request.plan is not None else None
        return AuditOutcome(
            topic.name,
            self._now(),
            report,
            newest_file=newest,
            report_path=state.place(LATEST) if state else None,
            page_path=self._page(topic.name, state.place(PAGE)) if state else None,
        )

    def _page(self, topic: str, path: str) -> str:
        """Where people open the report: an address where there is one."""
        if self._reports_url is None:
            return path
        return f"{self._reports_url.rstrip('/')}/{TOPIC_DIRECTORY}{quote(topic)}/{PAGE}"

    def _newest_file(self, topic: TopicSettings) -> datetime | None:
        try:
            return newest_file(index_path(self._settings, topic), self._now())
        except StoreError:
            return None  # the audit meets the same error and reports it


def _report_key(topic: str) -> str:
    return f"{TOPIC_DIRECTORY}{topic}/{LATEST}"
