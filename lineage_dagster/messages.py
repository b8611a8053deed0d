"""Pure: a notice as a message for people and machines; bounded, whatever the size of the incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from lineage_dagster import names
from lineage_dagster.incidents import Notice
from lineage_pipeline.core.expiry import span

FORMAT = "lineage-alert/1"
MAX_TEXT = 2_500  # characters; Slack cuts at 3,000
MAX_SPANS = 10
MAX_TOPICS = 20
MAX_LISTED = 100  # topics in the payload of a digest
_TITLES = {"loss": "LOSS", "undetermined": "NOT PROVEN", "warning": "WARNING", "ok": "RESOLVED"}
_KINDS = {"opened": "", "grown": "GROWN: ", "reminded": "STILL OPEN: ", "resolved": "RESOLVED: "}


@dataclass(frozen=True)
class Message:
    """What a channel sends. `payload` is the same for machines, with a `dedup_key` that stays through an incident."""

    title: str
    text: str
    payload: dict[str, Any]


def check_url(ui_url: str, topic: str) -> str:
    """The page of the topic's verdict in Dagster's UI."""
    return f"{ui_url.rstrip('/')}/assets/{names.AUDIT}/{quote(topic)}?view=checks&checkDetail={names.COMPLETENESS}"


def message(notice: Notice, ui_url: str, owners: Sequence[str], now: float) -> Message:
    """One notice as one message. `now`: epoch seconds."""
    sighting = notice.sighting
    title = _title(notice)
    since = _time(notice.since)
    url = check_url(ui_url, sighting.topic)
    command = sighting.command or f"lineage audit --topic {sighting.topic}"
    until = sighting.repairable_until
    lines = [sighting.text, f"Since {since}.", *([] if until is None else [_time_left(until, now)])]
    lines += [f"Owners: {', '.join(owners)}."] if owners else []
    more = len(sighting.spans) - MAX_SPANS
    if len(sighting.spans) > 1:
        lines += [f"- partition {one[0]}: {one[1]} to {one[2] - 1}" for one in sighting.spans[:MAX_SPANS]]
        lines += [f"- and {more} more ranges in {sighting.partitions} partitions"] if more > 0 else []
    last = "".join(f"\n{line}" for line in (command, sighting.report, url) if line)
    text = _cut("\n".join(lines), MAX_TEXT - len(last)) + last
    payload = {
        "format": FORMAT,
        "kind": notice.kind,
        "topic": sighting.topic,
        "level": _level(notice),
        "title": title,
        "text": sighting.text,
        "lost": sighting.lost,
        "partitions": sighting.partitions,
        "ranges": [{"partition": one[0], "start": one[1], "end": one[2]} for one in sighting.spans],
        "since": since,
        "observed_at": _time(sighting.observed_at),
        "repairable_until": None if until is None else _time(until),
        "seconds_left": None if until is None else max(0, int(until - now)),
        "owners": list(owners),
        "command": command,
        "report": sighting.report,
        "url": url,
        "dedup_key": f"lineage/{sighting.topic}/{int(notice.since)}",
    }
    return Message(title, text, payload)


def digest(notices: Sequence[Notice], ui_url: str) -> Message:
    """Many notices as one message: a broker that is down concerns all topics at once."""
    counts: dict[str, int] = {}
    for one in notices:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    title = f"{len(notices)} topics: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    lines = [_cut(f"- {_title(one)}: {one.sighting.text}", 300) for one in notices[:MAX_TOPICS]]
    left = len(notices) - MAX_TOPICS
    lines += [f"- and {left} more topics"] if left > 0 else []
    url = f"{ui_url.rstrip('/')}/assets/{names.AUDIT}/{names.SUMMARY}"
    text = _cut("\n".join(lines), MAX_TEXT - len(url) - 1) + f"\n{url}"
    topics = [
        {
            "topic": one.sighting.topic,
            "kind": one.kind,
            "level": _level(one),
            "lost": one.sighting.lost,
            "repairable_until": None if until is None else _time(until),
        }
        for one in notices[:MAX_LISTED]
        for until in [one.sighting.repairable_until]
    ]
    counted = {"topics": topics, "more_topics": len(notices) - len(topics)}
    payload = {"format": FORMAT, "kind": "digest", "title": title, "text": text, **counted, "url": url}
    return Message(title, text, payload)


def _title(notice: Notice) -> str:
    sighting = notice.sighting
    if sighting.gone:
        return f"NO LONGER AUDITED: {_TITLES[notice.before]} in {sighting.topic} was open"
    if notice.kind == "resolved":
        return f"RESOLVED: {_TITLES[notice.before]} in {sighting.topic} is over"
    count = f": {sighting.lost:,} offsets" if sighting.level == "loss" and sighting.lost else ""
    return f"{_KINDS[notice.kind]}{_TITLES[sighting.level]} in {sighting.topic}{count}"


def _level(notice: Notice) -> str:
    """The end of an incident that nobody looks at any more is no `ok`."""
    return "undetermined" if notice.sighting.gone else notice.sighting.level


def _time_left(until: float, now: float) -> str:
    if until <= now:
        return "Time left to repair: none that is sure, Kafka may remove the first of the records at any time."
    return f"Time left to repair: {span(until - now)}, until {_time(until)}."


def _time(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 4]} ..."
