"""Use case: the newest stored reports as metrics, read anew at each look.

What is not known is never a number: a report that is absent, unreadable, too old or from a time that is yet to come
gives the verdict `unknown`, and figures that it does not hold have no sample at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily

from lineage_pipeline import __version__
from lineage_pipeline.accept import stored_watermark
from lineage_pipeline.audit_topic import Clock, state_plan
from lineage_pipeline.books.audit_state import COMPLETE_THROUGH
from lineage_pipeline.core.classes import CLASSES, VERDICTS
from lineage_pipeline.core.overdue import counts_no_more, overdue_after
from lineage_pipeline.core.report import FORMAT
from lineage_pipeline.errors import LineageError, StoreError
from lineage_pipeline.remembering import LATEST
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

UNKNOWN = "unknown"
_AT_ONCE = 8  # reports read at a time


@dataclass(frozen=True)
class TopicFacts:
    """What is stored of one topic. `report` and `through` are None where they could not be read; `problem` says why."""

    topic: str
    every: int
    overdue: float
    report: Mapping[str, Any] | None
    through: Mapping[str, Any] | None
    problem: str | None


@final
class ReportCollector:
    """A prometheus_client collector over the stored reports of all topics. `problems`: sentences of the last look."""

    def __init__(self, settings: Settings, now: Clock) -> None:
        self._settings = settings
        self._now = now
        self.problems: tuple[str, ...] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metric families. Never raises for a report: what cannot be read is in them as unknown."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            facts = list(pool.map(lambda topic: topic_facts(self._settings, topic), self._settings.topics))
        families = _Families()
        problems = []
        for one in facts:
            problem = families.add(one, self._now())
            problems += [f"{one.topic}: {problem}"] if problem else []
        self.problems = tuple(problems)
        yield from families.all()


def registry(collector: ReportCollector) -> CollectorRegistry:
    """A registry with these metrics alone: none of this process."""
    made = CollectorRegistry()
    made.register(collector)
    return made


def topic_facts(settings: Settings, topic: TopicSettings) -> TopicFacts:
    """Read what the newest audit of the topic stored. Never raises."""
    report = through = problem = None
    try:
        plan = state_plan(settings, topic)
        if plan is None:
            raise StoreError("audits have no place to be remembered: set AUDIT_PATH")
        report = plan.state.get_json(LATEST)
        if not isinstance(report, Mapping) or report.get("format") != FORMAT or report.get("topic") != topic.name:
            report = None
            raise StoreError(f"{LATEST} is no report of this topic and version: audit the topic again")
        through = stored_watermark(plan.state, COMPLETE_THROUGH)
    except (LineageError, ValueError, RecursionError) as error:
        problem = str(error)
    overdue = overdue_after(topic.audit.every, settings.settle_seconds(topic))
    return TopicFacts(topic.name, topic.audit.every, overdue, report, through, problem)


class _Families:
    """The families, filled topic by topic."""

    def __init__(self) -> None:
        topic, partition = ["topic"], ["topic", "partition"]
        self._info = _gauge("lineage_build_info", "Always 1; the version that read the reports.", ["version"])
        self._info.add_metric([__version__], 1)
        self.readable = _gauge("lineage_report_readable", "1 if a stored report was read, 0 if there is none.", topic)
        self.verdict = _gauge(
            "lineage_verdict", "1 for the verdict that counts now; unknown: no report, or too old.", [*topic, "verdict"]
        )
        self.audited = _seconds("lineage_audited_timestamp_seconds", "When the newest audit looked.", topic)
        self.overdue = _seconds("lineage_overdue_timestamp_seconds", "From when on its verdict counts no more.", topic)
        self.proven = _seconds(
            "lineage_complete_through_timestamp_seconds", "Everything that the topic held then is proven.", topic
        )
        self.book = _gauge("lineage_book_read", "1 if the newest audit could read the book.", [*topic, "book"])
        self.problems = _gauge("lineage_problems", "Problems with the evidence of the newest audit.", topic)
        self.findings = _gauge("lineage_findings", "Findings beside the verdict.", [*topic, "kind", "severity"])
        self.p_verdict = _gauge("lineage_partition_verdict", "The same, of the partition.", [*partition, "verdict"])
        self.offsets = _gauge("lineage_offsets", "Offsets from baseline to end, by class.", [*partition, "class"])
        self.duplicated = _gauge("lineage_duplicated_offsets", "Surplus occurrences in the lake.", partition)
        self.quarantined = _gauge("lineage_quarantined_records", "Records in quarantine.", partition)
        self.end = _gauge("lineage_end_offset", "End of the log; only where the broker was read.", partition)
        self.through = _gauge("lineage_complete_through_offset", "The first offset not proven.", partition)
        self.lag = _gauge(
            "lineage_lag_offsets", "From there to the end of the log; only where the broker was read.", partition
        )
        self.repairable = _seconds(
            "lineage_repairable_until_timestamp_seconds", "When the log may drop missing records.", partition
        )

    def all(self) -> Iterator[GaugeMetricFamily]:
        """Every family, also one without a sample."""
        yield from (one for one in vars(self).values() if isinstance(one, GaugeMetricFamily))

    def add(self, facts: TopicFacts, now: datetime) -> str | None:
        """Add one topic; what is wrong with its stored state in a sentence, or None."""
        samples: list[tuple[GaugeMetricFamily, list[str], float]] = []
        verdict, problem = UNKNOWN, facts.problem
        if facts.report is not None:
            try:
                samples, verdict = self._topic(facts, facts.report, now)
                if verdict == UNKNOWN:
                    problem = (
                        "the newest report is too old to count, or from a time that is yet to come: does the audit"
                        " still run, is some clock wrong?"
                    )
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                problem = f"the stored report cannot be read ({type(error).__name__}): audit the topic again"
        self.readable.add_metric([facts.topic], 1.0 if samples else 0.0)
        for word in (*VERDICTS, UNKNOWN):
            self.verdict.add_metric([facts.topic, word], float(word == verdict))
        for family, labels, value in samples:
            family.add_metric(labels, value)
        return problem

    def _topic(
        self, facts: TopicFacts, report: Mapping[str, Any], now: datetime
    ) -> tuple[list[tuple[GaugeMetricFamily, list[str], float]], str]:
        """All samples of a report, none if any part of it is senseless, and the verdict that counts now."""
        topic, audited = facts.topic, _time(report["audited_at"])
        overdue = audited + facts.overdue
        samples = [
            (self.audited, [topic], audited),
            (self.overdue, [topic], overdue),
            (self.problems, [topic], float(len(report["problems"]))),
            *((self.book, [topic, str(book)], float(state == "read")) for book, state in report["books"].items()),
        ]
        if facts.through is not None and facts.through["time"] is not None:
            samples.append((self.proven, [topic], _time(facts.through["time"])))
        kinds = [(str(one["kind"]), str(one["severity"])) for one in report["findings"]]
        samples += [(self.findings, [topic, *kind], float(kinds.count(kind))) for kind in sorted(set(kinds))]
        stale = counts_no_more(now.timestamp() - audited, facts.overdue)
        for one in report["partitions"]:
            samples += self._partition(topic, one, broker=report["books"]["broker"] == "read", stale=stale)
        return samples, _verdict(report["verdict"], stale=stale)

    def _partition(
        self, topic: str, one: Mapping[str, Any], *, broker: bool, stale: bool
    ) -> Iterator[tuple[GaugeMetricFamily, list[str], float]]:
        labels = [topic, str(int(one["partition"]))]
        verdict, through, end = _verdict(one["verdict"], stale=stale), int(one["complete_through"]), int(one["end"])
        yield from ((self.p_verdict, [*labels, word], float(word == verdict)) for word in (*VERDICTS, UNKNOWN))
        yield from ((self.offsets, [*labels, name], float(int(one[name]))) for name in CLASSES)
        yield self.duplicated, labels, float(int(one["duplicated"]))
        yield self.quarantined, labels, float(int(one["quarantined"]))
        yield self.through, labels, float(through)
        if broker:
            yield self.end, labels, float(end)
            yield self.lag, labels, float(end - through)
        deadlines = [_time(ranged["repairable_until"]) for ranged in one["ranges"] if ranged["repairable_until"]]
        if deadlines:
            yield self.repairable, labels, min(deadlines)


def _gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _seconds(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels, unit="seconds")


def _verdict(word: Any, *, stale: bool) -> str:
    """The verdict that counts now: a loss that nobody looks at is not over, anything else is not known any more."""
    if word not in VERDICTS:
        raise ValueError("no verdict")
    return UNKNOWN if stale and word != "loss" else str(word)


def _time(text: Any) -> float:
    return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
