"""Pure: what a person does about a report, the most urgent step first, each with the command for it if there is one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from lineage_pipeline.core.expiry import shown, span
from lineage_pipeline.core.offsets import OffsetRange
from lineage_pipeline.core.report import AuditReport


@dataclass(frozen=True)
class Step:
    """One thing to do. `text` is a sentence; `command`, if any, is what to type."""

    text: str
    command: str | None = None


_Places = list[tuple[int, OffsetRange]]  # partition and range
_Ranges = dict[tuple[str, str | None], _Places]

# class and cause (None: every other) -> what to do about the {offsets}, the first range of which is {first}
_STEPS: tuple[tuple[str, str | None, str, str | None], ...] = (
    (
        "missing",
        "expired",
        "{offsets} left Kafka, so nobody can put them back. Ask the producers for the records, or"
        " take the gap on, so that it no longer hides others.",
        'lineage accept {first} --reason "..." {topic}',
    ),
    (
        "missing",
        "truncated",
        "{offsets} were cut off the log. Ask who replaced or truncated the broker's data.",
        None,
    ),
    (
        "missing",
        "unresolved",
        "{offsets} are in no index row. Ask the broker whether records are there.",
        "lineage audit --books index,broker --wait {topic}",
    ),
    (
        "damaged",
        None,
        "{offsets} are indexed, but the lake's objects do not hold them: restore the objects, or write them again as"
        " far as Kafka still has them.",
        "lineage repair {topic}",
    ),
    (
        "pending",
        "suspected",
        "{offsets} were seen missing for the first time. A second look decides.",
        "lineage audit --wait {topic}",
    ),
    (
        "pending",
        "stalled",
        "{offsets} have waited for too long: does the job run, and does it complete checkpoints?",
        "lineage job run {topic}",
    ),
    (
        "unknown",
        "broker-unreachable",
        "The broker did not answer about {offsets}: check address, network and rights, then audit again.",
        "lineage audit {topic}",
    ),
    (
        "unknown",
        "index-unreadable",
        "{offsets} may be in index files that cannot be read: see the problems below.",
        None,
    ),
    (
        "unknown",
        "index-vanished",
        "The index files of {offsets} are gone: restore them, or take it on.",
        'lineage accept {first} --reason "..." {topic}',
    ),
    ("unknown", "budget", "{offsets} are not looked at yet: audit again.", "lineage audit {topic}"),
    (
        "unknown",
        "incarnation",
        "{offsets} may be of a topic that is no more. If it was recreated on purpose, begin anew.",
        "lineage audit --baseline declared {topic}",
    ),
    (
        "unknown",
        "no-baseline",
        "Nobody says where the accounting of {offsets} begins: tell it.",
        "lineage audit --baseline PARTITION=OFFSET {topic}",
    ),
    (
        "unknown",
        None,
        "{offsets} cannot be proven: the evidence beside each range says why.",
        None,
    ),
)


def next_steps(report: AuditReport) -> tuple[Step, ...]:
    """The steps, most urgent first; empty when there is nothing to do."""
    topic = f"--topic {shlex.quote(report.topic)}"
    ranges: _Ranges = {}
    for one in report.partitions:
        for ranged in one.ranges:
            ranges.setdefault((ranged.range_class, ranged.cause), []).append((one.partition, ranged.range))
    steps = [*_about_evidence(report)]
    repairable = ranges.pop(("missing", "repairable"), [])
    steps += [_repair(report, repairable, topic)] if repairable else []
    steps += _about_ranges(ranges, topic)
    if any(one.kind == "stuck-transaction" for one in report.findings):
        text = "A transaction has been open for too long: find its producer and end it, or abort it."
        steps.append(Step(text, "kafka-transactions.sh --bootstrap-server BROKER find-hanging --broker-id ID"))
    if any(one.kind == "quarantine-rate" for one in report.findings):
        text = "Too many records could not be decoded: look at them by their error, mend the schema, replay them."
        steps.append(Step(text, f"lineage quarantine {topic}"))
    surplus = report.totals["duplicated"]
    if surplus:
        copies = "1 copy" if surplus == 1 else f"{surplus:,} copies"
        text = f"The lake holds {copies} of records beyond the first: read the view that gives each record once."
        steps.append(Step(text, f'lineage sql "SELECT count(*) FROM data_deduplicated" {topic}'))
    return tuple(steps)


def _about_evidence(report: AuditReport) -> Iterator[Step]:
    if not report.partitions:
        yield Step("No partition is in any book: check the topic's name, the paths and the broker's address.")
    if report.problems:
        count = "1 problem" if len(report.problems) == 1 else f"{len(report.problems)} problems"
        yield Step(f"The evidence is not whole: mend the {count} listed below; until then nothing is proven complete.")


def _repair(report: AuditReport, found: _Places, topic: str) -> Step:
    text, until = f"{_counted(found)} can be put back from Kafka", report.repairable_until
    if until is None:
        text += "; until when is not known"
    elif until <= report.audited_at:
        text += ", though retention lets the broker remove the first of them at any time: do it now"
    else:
        text += f" until {shown(until)}, {span((until - report.audited_at).total_seconds())} from this audit"
    return Step(f"{text}. The command shows the plan; with --execute it carries it out.", f"lineage repair {topic}")


def _about_ranges(ranges: _Ranges, topic: str) -> Iterator[Step]:
    for offset_class, cause, text, command in _STEPS:
        keys = [key for key in ranges if key[0] == offset_class and cause in {None, key[1]}]
        found = sorted(place for key in keys for place in ranges.pop(key))
        if found:
            partition, first = found[0]
            values = {
                "offsets": _counted(found),
                "first": f"{partition} {first.start} {first.end}",
                "topic": topic,
            }
            yield Step(text.format(**values), command.format(**values) if command else None)


def _counted(found: _Places) -> str:
    total = sum(len(one) for _, one in found)
    offsets = "1 offset" if total == 1 else f"{total:,} offsets"
    return offsets if len(found) == 1 else f"{offsets} in {len(found):,} ranges"
