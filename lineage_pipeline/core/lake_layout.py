"""Pure: how the files of a table are named and which of their columns say what: ours by default, others' by settings.

A path template is a key below the table's path with `{topic}`, `{partition}`, `{number}` (digits), `*` (anything within
one segment) and `**` (any number of segments), such as `topics/{topic}/partition={partition}/*.parquet`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lineage_pipeline.core.lake_manifest import LakeTable
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.errors import SettingsError

_PIECES = re.compile(r"(\{[^{}]*\}|\*\*/|\*\*|\*)")
_PLACEHOLDERS = ("{topic}", "{partition}", "{number}")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that tell where a record came from.

    `topic`: for files that hold several topics' records, whose other rows are skipped; else None.
    """

    partition: str = "kafka_partition"
    offset: str = "kafka_offset"
    timestamp: str = "kafka_timestamp"
    topic: str | None = None


@dataclass(frozen=True)
class PathTemplate:
    """A template, checked. Raises SettingsError for one that cannot be understood."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what no key could match, or what means nothing."""
        if not self.text or self.text.startswith("/") or ".." in self.text.split("/"):
            raise SettingsError(f"path template {self.text!r}: write a key below the table, with no first slash")
        for piece in _PIECES.findall(self.text):
            if piece.startswith("{") and piece not in _PLACEHOLDERS:
                raise SettingsError(f"path template {self.text!r}: {piece} is none of {', '.join(_PLACEHOLDERS)}")

    @property
    def names_partition(self) -> bool:
        """Whether the partition is taken from the path."""
        return "{partition}" in self.text

    def folder(self, topic: str) -> str:
        """The whole segments before the first placeholder: what has to be listed."""
        fixed = self.text.replace("{topic}", topic)
        first = _PIECES.search(fixed)
        return fixed[: first.start() if first else len(fixed)].rpartition("/")[0]

    def match(self, topic: str, key: str) -> Match | None:
        """What the key says, or None when it is no file of the topic."""
        found = self._pattern(topic).fullmatch(key)
        if found is None:
            return None
        named = [int(value) for value in found.groups()]
        if not named:
            return Match()
        if len(set(named)) > 1 or named[0] > MAX_PARTITION:
            return None
        return Match(named[0])

    def _pattern(self, topic: str) -> re.Pattern[str]:
        return re.compile("".join(_piece(piece, topic) for piece in _PIECES.split(self.text)))


@dataclass(frozen=True)
class Match:
    """A key that belongs to the topic; `partition` where the path names it."""

    partition: int | None = None


@dataclass(frozen=True)
class Rival:
    """Another topic whose files are at the same path, and by which template."""

    topic: str
    template: PathTemplate


@dataclass(frozen=True)
class LakeLayout:
    """Which files are the topic's, and what their columns are called.

    Without a template a file is the topic's when it is below `kafka_topic=T`, or in no such directory where no other
    topic uses the path (`sole`). `rivals`: topics whose templates may take the same file; whose it is nobody can tell.
    """

    topic: str
    sole: bool = True
    columns: Columns = Columns()
    data: PathTemplate | None = None
    quarantine: PathTemplate | None = None
    rivals: tuple[Rival, ...] = ()

    def rival_of(self, key: str) -> Rival | None:
        """Another topic whose template takes the key too; None where a column tells the topic of each row."""
        if self.columns.topic is not None:
            return None
        return next((one for one in self.rivals if one.template.match(one.topic, key) is not None), None)

    def template(self, table: LakeTable) -> PathTemplate | None:
        """The table's template."""
        return self.data if table == "data" else self.quarantine

    def partition_of(self, table: LakeTable, key: str) -> int | None:
        """The partition that the path names; None where a column does."""
        template = self.template(table)
        found = template.match(self.topic, key) if template is not None else None
        return found.partition if found is not None else None

    @cached_property
    def fingerprint(self) -> str:
        """Changes when files would be read in another way, so that what was seen before no longer counts."""
        one = self.columns
        shown = (one.partition, one.offset, one.timestamp, one.topic, self.data, self.quarantine)
        return repr(tuple(getattr(value, "text", value) for value in shown))


def _piece(piece: str, topic: str) -> str:
    if piece == "{topic}":
        return re.escape(topic)
    if piece == "{partition}":
        return r"(\d{1,10})"
    if piece == "{number}":
        return r"\d+"
    if piece == "**/":
        return "(?:.*/)?"
    if piece == "**":
        return ".*"
    return "[^/]*" if piece == "*" else re.escape(piece)
