"""Pure: the latest check results of one topic as a sighting for the incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lineage_dagster import names
from lineage_dagster.check_result import CheckResult
from lineage_dagster.incidents import Sighting
from lineage_pipeline.core.overdue import counts_no_more


def sighting(topic: str, results: Mapping[str, CheckResult], overdue_after: float, now: float) -> Sighting:
    """What the results, by check name, say together. `overdue_after`: seconds after which a verdict counts no more."""
    verdict = results.get(names.COMPLETENESS, CheckResult("never"))
    if verdict.state == "never":
        return Sighting(topic, "undetermined", f"NOT PROVEN: {topic} was never audited.", now)
    if verdict.state == "crashed":
        return Sighting(topic, "undetermined", f"NOT PROVEN: the audit did not finish: {verdict.text}.", now)
    at = verdict.at if verdict.at is not None else now
    seen_at = min(at, now)  # one from a time yet to come, by whatever clock, must not wait for that time
    others = [
        (name, one) for name, one in sorted(results.items()) if one.state != "passed" and name != names.COMPLETENESS
    ]
    beside = f" Failed as well: {', '.join(name for name, _ in others)}." if others else ""
    if verdict.state == "failed":
        figures = verdict.metadata.get("incident")
        seen = Sighting(topic, "undetermined", verdict.text + beside, seen_at)
        return _with_figures(seen, figures) if isinstance(figures, Mapping) and figures.get("version") == 1 else seen
    if counts_no_more(now - at, overdue_after):
        text = f"NOT PROVEN: no audit of {topic} has finished for {now - at:,.0f} s; the last one found everything."
        if at > now:
            text = f"NOT PROVEN: the last audit of {topic} is from a time that is yet to come: some clock is wrong."
        return Sighting(topic, "undetermined", text, seen_at)
    if others:
        told = " ".join(f"{name}: {one.text or one.state}" for name, one in others)
        return Sighting(topic, "warning", f"{verdict.text} {told}", seen_at)
    return Sighting(topic, "ok", verdict.text, seen_at)


def is_overdue(results: Mapping[str, CheckResult], overdue_after: float, now: float) -> bool:
    """Whether there is no verdict, or only one that is too old."""
    verdict = results.get(names.COMPLETENESS)
    return verdict is None or verdict.at is None or counts_no_more(now - verdict.at, overdue_after)


def unless_overdue(result: CheckResult, overdue_after: float, now: float) -> CheckResult:
    """The result, but a passed one that is too old has failed: nobody has looked again."""
    if result.state == "passed" and result.at is not None and counts_no_more(now - result.at, overdue_after):
        return replace(result, state="failed", text=f"passed {now - result.at:,.0f} s ago, and nobody has looked since")
    return result


def _with_figures(seen: Sighting, figures: Mapping[str, Any]) -> Sighting:
    """With level, lost offsets, partitions, ranges and remedy of metadata.incident_figures."""
    seen = replace(seen, partitions=int(figures.get("partitions", 0)))
    seen = replace(seen, command=figures.get("command"), report=figures.get("report"))
    if figures.get("verdict") != "loss":
        return seen
    return replace(
        seen,
        level="loss",
        lost=int(figures["lost"]),
        spans=tuple((one[0], one[1], one[2]) for one in figures.get("ranges", ())),
        repairable_until=figures.get("repairable_until"),
    )
