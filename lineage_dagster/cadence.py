"""Pure: when audits are due, and which topics share a run."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime

TICK_SECONDS = 60
ALONE = 20  # up to so many topics, each has runs of its own; starting a process costs more than an audit
PER_RUN = 20


def is_due(topic: str, every: int, tick: datetime) -> bool:
    """Whether the tick of this minute is the topic's. Topics are spread evenly over `every` seconds."""
    period = max(every, TICK_SECONDS)
    offset = zlib.crc32(topic.encode()) % period
    now = int(tick.timestamp()) + offset
    return now // period != (now - TICK_SECONDS) // period


def batches(topics: Iterable[str], configured: int) -> Iterator[list[str]]:
    """The topics in the groups that share a run; `configured`: how many topics there are at all."""
    listed = sorted(topics)
    size = 1 if configured <= ALONE else PER_RUN
    for first in range(0, len(listed), size):
        yield listed[first : first + size]
