"""Pure: when audits are due, and which topics share a run."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime

TICK_SECONDS = 60
ALONE = 20  # up to so many topics, each has runs of its own; starting a process costs more than an audit
PER_RUN = 20
SENSOR_SECONDS = 30
_FASTEST = 5  # Dagster's own loop is no faster


def is_due(topic: str, every: int, tick: datetime) -> bool:
    """Whether the tick of this minute is the topic's. Topics are spread evenly over `every` seconds."""
    period = max(every, TICK_SECONDS)
    offset = zlib.crc32(topic.encode()) % period
    now = int(tick.timestamp()) + offset
    return now // period != (now - TICK_SECONDS) // period


def sensor_seconds(periods: Iterable[int]) -> int:
    """Seconds between two ticks of a sensor: 30, or less when a topic is to be audited more often than each minute.

    `periods`: `audit.every` of all topics.
    """
    return max(_FASTEST, min([SENSOR_SECONDS, *(every // 2 for every in periods)]))


def batches(topics: Iterable[str], configured: int, after: str = "") -> Iterator[list[str]]:
    """The topics in the groups that share a run; `configured`: how many topics there are at all.

    Those behind the topic `after` come first, so that everyone has a turn where only some groups are taken.
    """
    listed = sorted(topics, key=lambda topic: (topic <= after, topic))
    size = 1 if configured <= ALONE else PER_RUN
    for first in range(0, len(listed), size):
        yield listed[first : first + size]
