"""Pure: which incidents are open and what is to be told about them, per channel; no clock, no I/O, no Dagster.

An incident is everything that is wrong with one topic at a time, so a storm over a thousand partitions is one incident.
`observe` notes what the checks say, `due` lists what has to be said, and `told` moves on; call that one only after the
channel took the message. Then nothing is lost while a channel is down, and nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lineage_pipeline.core.overdue import CLOCK_SKEW

Level = Literal["ok", "warning", "undetermined", "loss"]
NoticeKind = Literal["opened", "grown", "reminded", "resolved"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "undetermined", "loss")  # from best to worst
VERSION = 1

Span = tuple[int, int, int]  # partition, start, end; half-open


@dataclass(frozen=True)
class Sighting:
    """What the latest check results say about one topic.

    `text`: the whole sentence. `spans`: the widest ranges concerned, `lost` and `partitions` count all of them.
    `observed_at`: epoch seconds. `command`: what to type first. `repairable_until`: when the first of the lost records
    may leave Kafka (epoch seconds), as far as that is known. `report`: where all of it can be read. `gone`: nobody
    audits the topic any more, so its incident ends without being over.
    """

    topic: str
    level: Level
    text: str
    observed_at: float
    lost: int = 0
    partitions: int = 0
    spans: tuple[Span, ...] = ()
    command: str | None = None
    repairable_until: float | None = None
    report: str | None = None
    gone: bool = False


@dataclass(frozen=True)
class Told:
    """What a channel was told last about an incident, and when (epoch seconds).

    `over`: it was told that the incident is over, though a warning is left, which that message named.
    """

    level: Level
    at: float
    lost: int = 0
    spans: tuple[Span, ...] = ()
    over: bool = False


@dataclass(frozen=True)
class Incident:
    """Something wrong with a topic `since` then (epoch seconds); at level `ok` only its end is still to be told.

    `missed`: the worst that the channel should have been told and did not take, until it is told of it.
    """

    since: float
    last: Sighting
    told: Told | None = None
    missed: Sighting | None = None


@dataclass(frozen=True)
class Notice:
    """One thing to say about one incident."""

    kind: NoticeKind
    since: float
    sighting: Sighting
    before: Level = "ok"  # what was told before


@dataclass(frozen=True)
class Patience:
    """How long to hold back, in seconds. A loss is told at once; what is merely not proven only when it lasts.

    `quiet`: between two messages about the growth of one incident.
    """

    undetermined: float = 900.0
    warning: float = 900.0
    remind: float = 14_400.0
    quiet: float = 900.0


Incidents = Mapping[str, Incident]


def observe(incidents: Incidents, sightings: Iterable[Sighting]) -> dict[str, Incident]:
    """The incidents after these sightings, one per topic that is or was watched.

    A topic that is watched no longer counts as over, since nobody can say anything about it any more.
    """
    seen = {one.topic: one for one in sightings}
    after: dict[str, Incident] = {}
    for topic, sighting in seen.items():
        known = incidents.get(topic)
        ended = known is not None and known.told is not None and known.told.over and sighting.level != "warning"
        if known is None or ended:
            if sighting.level != "ok":
                after[topic] = Incident(sighting.observed_at, sighting)
        elif sighting.level != "ok" or known.told is not None or known.missed is not None:
            after[topic] = replace(known, last=sighting)
    for topic, known in incidents.items():
        if topic not in seen and (known.missed is not None or (known.told is not None and not known.told.over)):
            text = (
                f"{topic} is not among the audited topics of this channel any more; the incident was open until then."
            )
            over = replace(known.last, level="ok", text=text, command=None, repairable_until=None, gone=True)
            after[topic] = replace(known, last=over)
    return after


def due(incidents: Incidents, patience: Patience, now: float) -> list[Notice]:
    """What is to be said now, the worst first."""
    notices = []
    for incident in incidents.values():
        kind = _kind(incident, patience, now)
        if kind is not None:
            notices.append(Notice(kind, incident.since, _with_missed(incident, kind), _before(incident) or "ok"))
    return sorted(notices, key=lambda one: (-LEVELS.index(one.sighting.level), one.sighting.topic))


def told(incidents: Incidents, notice: Notice, now: float) -> dict[str, Incident]:
    """The incidents after a channel took the notice."""
    after = dict(incidents)
    sighting = notice.sighting
    if sighting.level == "ok":
        after.pop(sighting.topic, None)
    else:
        said = Told(sighting.level, now, sighting.lost, sighting.spans, over=notice.kind == "resolved")
        after[sighting.topic] = replace(after[sighting.topic], told=said, missed=None)
    return after


def undelivered(incidents: Incidents, notice: Notice) -> dict[str, Incident]:
    """The incidents after a channel did not take the notice.

    What opens or gets worse is told late, even when it is over by then, or only a doubt is left of a loss.
    """
    after = dict(incidents)
    topic = notice.sighting.topic
    known = after[topic]
    if notice.kind in {"opened", "grown"} and not _is_worse(known.missed, notice.sighting.level):
        after[topic] = replace(known, missed=known.last)
    return after


def to_json(incidents: Incidents) -> dict[str, Any]:
    """For the store; `from_json` reads it back."""
    return {"version": VERSION, "incidents": {topic: asdict(one) for topic, one in incidents.items()}}


def from_json(value: object) -> dict[str, Incident]:
    """The incidents again. Raises ValueError for another version or anything else that `to_json` did not write."""
    try:
        if not isinstance(value, Mapping) or value["version"] != VERSION:
            raise ValueError("the incidents are of another version")
        return {topic: _incident(one) for topic, one in value["incidents"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the incidents cannot be read: {type(error).__name__}") from None


def _kind(incident: Incident, patience: Patience, now: float) -> NoticeKind | None:
    level, before, said = incident.last.level, _before(incident), incident.told
    if before is None:
        return "opened" if _ripe(level, patience, now - incident.since) else None
    if said is not None and said.over:
        return "reminded" if _lasted(now - said.at, patience.remind) else None
    if level == "ok" or (level == "warning" and before != "warning"):
        return "resolved"
    if said is None:
        return "opened" if _ripe(before, patience, now - incident.since) else None
    if _is_worse(incident.missed, said.level) and _is_worse(incident.missed, level):
        return "grown"  # it is not any more, but nobody knows that it was
    return _kind_again(incident.last, said, patience, now)


def _kind_again(last: Sighting, said: Told, patience: Patience, now: float) -> NoticeKind | None:
    worse = LEVELS.index(last.level) > LEVELS.index(said.level)
    if worse and _ripe(last.level, patience, now - said.at):
        return "grown"
    if last.level == "loss" and not worse and _more(last, said) and _lasted(now - said.at, patience.quiet):
        return "grown"
    return "reminded" if _lasted(now - said.at, patience.remind) else None


def _before(incident: Incident) -> Level | None:
    """The worst that the channel was told last, or should have been told but did not take; None for nothing yet."""
    levels = [one.level for one in (incident.told, incident.missed) if one is not None]
    return max(levels, key=LEVELS.index) if levels else None


def _is_worse(missed: Sighting | None, level: Level) -> bool:
    return missed is not None and LEVELS.index(missed.level) > LEVELS.index(level)


def _with_missed(incident: Incident, kind: NoticeKind) -> Sighting:
    """The sighting as it is told: with what the channel did not take before, unless this says as much."""
    last, missed, said = incident.last, incident.missed, incident.told
    known: Level = said.level if said is not None else "ok"
    if missed is None or not (_is_worse(missed, known) and (kind == "resolved" or _is_worse(missed, last.level))):
        return last
    text = f"{last.text} It could not be told before, while it was: {missed.text}"
    return replace(last, text=text, lost=missed.lost, partitions=missed.partitions, spans=missed.spans)


def _ripe(level: Level, patience: Patience, age: float) -> bool:
    wait = {"warning": patience.warning, "undetermined": patience.undetermined, "loss": 0.0}
    return level in wait and _lasted(age, wait[level])


def _lasted(age: float, wait: float) -> bool:
    """Whether it waited so long. After a clock that was ahead was put right nobody knows, and then it did."""
    return max(age, 0.0) >= wait or age < -CLOCK_SKEW


def _more(now: Sighting, before: Told) -> bool:
    """Whether more is lost than was told: a larger number, or an offset that was not in the ranges told."""
    return now.lost > before.lost or any(not _covered(span, before.spans) for span in now.spans)


def _covered(span: Span, known: Iterable[Span]) -> bool:
    partition, start, end = span
    for other, first, last in sorted(known):
        if other == partition and first <= start < last:
            start = last
    return start >= end


def _incident(value: Mapping[str, Any]) -> Incident:
    said, missed = value["told"], value.get("missed")
    return Incident(
        float(value["since"]),
        _sighting(value["last"]),
        None if said is None else Told(**{**said, "spans": _spans(said["spans"])}),
        None if missed is None else _sighting(missed),
    )


def _sighting(value: Mapping[str, Any]) -> Sighting:
    return Sighting(**{**value, "spans": _spans(value["spans"])})


def _spans(values: Iterable[Iterable[int]]) -> tuple[Span, ...]:
    return tuple((partition, start, end) for partition, start, end in values)
