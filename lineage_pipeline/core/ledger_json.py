"""Pure: events of the ledger as strict JSON lines.

A line with a field that this version does not know is refused: what a later version meant must not be guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, TypeVar, cast

from lineage_pipeline.core.classes import CAUSES, CLASSES, VERDICTS
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.ledger_events import (
    BaselineResolved,
    BaselinesLeft,
    Event,
    FilesVanished,
    FoldWritten,
    GapAccepted,
    GapChanged,
    HoleResolved,
    Incarnation,
    IncarnationOpened,
    IncarnationSealed,
    Judged,
    LakeLooked,
    LogTruncated,
    Looked,
    Proven,
    Reached,
    Restarted,
    Verified,
    WritersSeen,
)
from lineage_pipeline.core.memory import Damage, ObservedPartition
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import MAX_END, OffsetRange, RangeSet
from lineage_pipeline.errors import LedgerError

_T = TypeVar("_T")

_KINDS: dict[str, type[Any]] = {
    "restarted": Restarted,
    "baseline": BaselineResolved,
    "baselines-left": BaselinesLeft,
    "incarnation-opened": IncarnationOpened,
    "incarnation-sealed": IncarnationSealed,
    "looked": Looked,
    "lake-looked": LakeLooked,
    "writers": WritersSeen,
    "written-twice": WrittenTwice,
    "files-vanished": FilesVanished,
    "log-truncated": LogTruncated,
    "hole-resolved": HoleResolved,
    "gap-accepted": GapAccepted,
    "gap": GapChanged,
    "judged": Judged,
    "verified": Verified,
    "fold": FoldWritten,
    "proven": Proven,
    "reached": Reached,
}
# fields that earlier versions did not have: an entry of theirs says nothing about them
_ADDED: dict[str, dict[str, Any]] = {
    "hole-resolved": {"first_timestamp": None},
    "looked": {"counted": None, "refused": False},
    "reached": {"refused": False},
    "lake-looked": {"replayed": {}},
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_TIME_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def event_line(event: Event) -> str:
    """The event as one line of JSON, without the line's end; equal events give equal lines."""
    name = _NAMES[type(event)]
    values = {one: codec.write(getattr(event, one)) for one, codec in _FIELDS[name].items()}
    return json.dumps({"event": name, **values}, separators=(",", ":"))


def parse_event(line: str) -> Event:
    """The event in `line`. Raises LedgerError, saying what is wrong, unless it is exactly an event of this version."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raise LedgerError("a line is not JSON") from None
    name = raw.get("event") if isinstance(raw, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise LedgerError(f"event {str(name)[:80]!r} is not known to this version")
    codecs = _FIELDS[name]
    if name in _ADDED:
        raw = {**_ADDED[name], **raw}
    if len(raw) != len(codecs) + 1 or not raw.keys() >= codecs.keys():  # one more is `event` itself
        raise LedgerError(f"event {name!r} has not exactly the fields {', '.join(codecs)}")
    try:
        event = _KINDS[name](**{one: codec.read(raw[one]) for one, codec in codecs.items()})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise LedgerError(f"event {name!r} has a value that cannot be: {str(error)[:120]}") from None
    if isinstance(event, HoleResolved) and event.cause not in CAUSES[event.offset_class]:
        raise LedgerError(f"event {name!r} has the cause {event.cause!r}, which is none of {event.offset_class}")
    return cast("Event", event)


def time_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return f"{moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_time(value: Any) -> datetime:
    """The aware UTC time. Raises ValueError."""
    text = _text(value)
    if _TIME_TEXT.fullmatch(text):  # as time_text writes it: a tenth of what strptime costs
        return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class _Codec:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):  # texts and objects can be taken apart as well
        raise TypeError(f"{value!r} is no list")
    return value


def _whole(value: Any, limit: int = MAX_END) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise ValueError(f"{value!r} is not 0 to {limit}")
    return value


def _millis(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{value!r} is no timestamp")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _optional(read: Callable[[Any], _T]) -> Callable[[Any], _T | None]:
    return lambda value: None if value is None else read(value)


def _one_of(words: tuple[str, ...]) -> _Codec:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return cast("str", value)

    return _Codec(lambda value: value, read)


def _by_partition(codec: _Codec) -> _Codec:
    def read(value: Any) -> dict[int, Any]:
        found = {int(key): codec.read(one) for key, one in value.items()}
        if any(not 0 <= partition <= MAX_PARTITION for partition in found) or len(found) != len(value):
            raise ValueError("a partition is not 0 to 2**31 - 1")
        return found

    return _Codec(lambda value: {str(one): codec.write(value[one]) for one in sorted(value)}, read)


def _read_ranges(value: Any) -> RangeSet:
    return RangeSet.in_order([(_whole(start), _whole(end)) for start, end in map(_listed, _listed(value))])


def _read_range(value: Any) -> OffsetRange:
    start, end = _listed(value)
    return OffsetRange(_whole(start), _whole(end))


def _read_incarnation(value: Any) -> Incarnation:
    cluster_id, topic_id = _listed(value)
    return Incarnation(_text(cluster_id), _optional(_text)(topic_id))


def _read_seen(value: Any) -> ObservedPartition:
    last_stable, high_watermark, committed, holes, *added = _listed(value)
    end = _optional(_whole)
    log_start, epoch = [*added, None, None][: max(2, len(added))]  # earlier versions kept neither
    ends = end(last_stable), end(high_watermark), end(committed)
    return ObservedPartition(*ends, _read_ranges(holes), end(log_start), end(epoch))


def _read_counted(value: Any) -> tuple[int, int]:
    records, quarantined = _listed(value)
    return _whole(records), _whole(quarantined)


def _read_proven(value: Any) -> tuple[int, datetime]:
    offset, moment = _listed(value)
    return _whole(offset), parse_time(moment)


def _read_damage(value: Any) -> Damage:
    partition, ranges, cause, evidence = _listed(value)
    if cause not in CAUSES["damaged"]:
        raise ValueError(f"{cause!r} is no cause of damage")
    return Damage(_whole(partition, MAX_PARTITION), _read_ranges(ranges), cause, _text(evidence))


def _write_damage(value: Damage) -> list[Any]:
    return [value.partition, _write_ranges(value.ranges), value.cause, value.evidence]


def _write_ranges(value: RangeSet) -> list[list[int]]:
    return [[start, end] for start, end in zip(value.starts.tolist(), value.ends.tolist(), strict=True)]


def _write_seen(value: ObservedPartition) -> list[Any]:
    return [
        *(value.last_stable, value.high_watermark, value.committed),
        *(_write_ranges(value.holes), value.log_start, value.leader_epoch),
    ]


_TEXT = _Codec(_text, _text)
_TIME = _Codec(time_text, parse_time)
_NUMBER = _Codec(_whole, _whole)
_RANGES = _Codec(_write_ranges, _read_ranges)
_INCARNATION = _Codec(lambda value: [value.cluster_id, value.topic_id], _read_incarnation)
_NO_INCARNATION = _Codec(_optional(_INCARNATION.write), _optional(_read_incarnation))
_SEEN = _Codec(_write_seen, _read_seen)
_PROVEN = _Codec(lambda value: [value[0], time_text(value[1])], _read_proven)
_CODECS: dict[str, _Codec] = {
    **dict.fromkeys(("at", "began_at", "finished_at"), _TIME),
    **dict.fromkeys(("reason", "source", "author", "evidence", "digest", "cause"), _TEXT),
    "partition": _Codec(_whole, lambda value: _whole(value, MAX_PARTITION)),
    "offset": _NUMBER,
    "range": _Codec(lambda value: [value.start, value.end], _read_range),
    "ranges": _RANGES,
    "incarnation": _INCARNATION,
    "gap-accepted.incarnation": _NO_INCARNATION,
    "gap.incarnation": _NO_INCARNATION,
    "first_timestamp": _Codec(_optional(_millis), _optional(_millis)),
    "baselines": _by_partition(_NUMBER),
    "counted": _Codec(_optional(list), _optional(_read_counted)),
    "depth": _NUMBER,
    "whole": _Codec(bool, _flag),
    "refused": _Codec(bool, _flag),
    "looks": _NUMBER,
    "records": _NUMBER,
    "same": _by_partition(_RANGES),
    "differing": _by_partition(_RANGES),
    "open_gaps": _by_partition(_RANGES),
    "high_watermarks": _by_partition(_NUMBER),
    "rows_without_writer_doubtful": _Codec(bool, _flag),
    "writers": _Codec(list, lambda value: tuple(_text(one) for one in _listed(value))),
    "verdict": _one_of(VERDICTS),
    "offset_class": _one_of(CLASSES),
    "status": _one_of(("opened", "healed", "accepted")),
    "listing": _one_of(("full", "open-days")),
    "index_ends": _by_partition(_NUMBER),
    "partitions": _by_partition(_RANGES),
    "looked.partitions": _by_partition(_SEEN),
    "absent": _by_partition(_RANGES),
    "replayed": _by_partition(_NUMBER),
    "damage": _Codec(
        lambda value: [_write_damage(one) for one in value],
        lambda value: tuple(_read_damage(one) for one in _listed(value)),
    ),
    "proven.partitions": _by_partition(_PROVEN),
}
_FIELDS: dict[str, dict[str, _Codec]] = {
    name: {one.name: _CODECS.get(f"{name}.{one.name}") or _CODECS[one.name] for one in fields(kind)}
    for name, kind in _KINDS.items()
}
