"""Pure: what one replay of the quarantine has taken on, as a value and as JSON. Names of its objects follow from it.

A claim is written once, before anything else, and no other claim takes the same offsets. So a replay that was killed is
gone on with under the same names, and what it writes replaces what was there instead of doubling it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage_pipeline.core.claim_text import read_strictly
from lineage_pipeline.core.ledger_json import parse_time, time_text
from lineage_pipeline.core.offsets import RangeSet
from lineage_pipeline.core.repair_claim import Ranges, read_ranges, written_ranges
from lineage_pipeline.core.repair_plan import union_by_partition
from lineage_pipeline.errors import LedgerError

FORMAT = "lineage-replay/1"
FOLDER = "_replays"
MAX_RECORDS = 1_000_000  # of one claim, which is one JSON object


@dataclass(frozen=True)
class ReplayClaim:
    """One replay. `number` counts the topic's replays from 1; `at`: when it was claimed (UTC); `by`: a person.

    `parts`: by partition, the offsets of each data object. `cluster_id` and `topic_id`: whose offsets these are; None
    where no deployment record says it.
    """

    number: int
    topic: str
    cluster_id: str | None
    topic_id: str | None
    parts: tuple[Ranges, ...]
    at: datetime
    by: str

    @property
    def writer(self) -> str:
        """Its name: by number, topic, incarnation and offsets."""
        told = [self.topic, self.cluster_id, self.topic_id, [written_ranges(one) for one in self.parts]]
        return f"replay-{self.number:06d}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}"

    def object_keys(self) -> tuple[str, ...]:
        """The key of each part's data object below OUTPUT_PATH; the hour is that of the claim."""
        folder = f"kafka_topic={self.topic}/dt={self.at:%Y-%m-%d}/hour={self.at:%H}"
        writer = self.writer
        return tuple(f"{folder}/{writer}-{number}.parquet" for number in range(len(self.parts)))

    @property
    def records(self) -> int:
        """How many offsets it has."""
        return sum(ranges.total for part in self.parts for ranges in part.values())

    def to_json(self) -> str:
        """The claim's text; equal claims give equal text."""
        return json.dumps(
            {
                "format": FORMAT,
                "number": self.number,
                "writer": self.writer,
                "topic": self.topic,
                "cluster_id": self.cluster_id,
                "topic_id": self.topic_id,
                "parts": [written_ranges(one) for one in self.parts],
                "at": time_text(self.at),
                "by": self.by,
            }
        )


def claimed_offsets(claims: Iterable[ReplayClaim]) -> dict[int, RangeSet]:
    """By partition, all offsets of the claims."""
    return union_by_partition(pair for one in claims for part in one.parts for pair in part.items())


def parse_replay_claim(name: str, text: str) -> ReplayClaim:
    """The claim in `text`; `name` is its key, for messages.

    Raises LedgerError, naming the key, for anything that is not exactly a claim of this version: what an earlier
    replay has taken on must not be guessed.
    """
    try:
        return read_strictly(text, FORMAT, _claim)
    except ValueError as error:
        raise _refused(name, str(error)) from None


def _claim(raw: Mapping[str, Any]) -> ReplayClaim:
    if not isinstance(raw["by"], str) or raw["number"] < 1 or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", raw["topic"]):
        raise ValueError(f"{raw['number']!r}, {raw['topic']!r}")
    return ReplayClaim(
        number=raw["number"],
        topic=raw["topic"],
        cluster_id=raw["cluster_id"],
        topic_id=raw["topic_id"],
        parts=tuple(read_ranges(one) for one in raw["parts"]),
        at=parse_time(raw["at"]),
        by=raw["by"],
    )


def _refused(name: str, why: str) -> LedgerError:
    return LedgerError(f"replay claim {name} cannot be read ({why}): restore it before anything is replayed")
