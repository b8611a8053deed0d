"""Pure: the names under which Dagster knows a topic's assets, checks and ops."""

from __future__ import annotations

import re
import zlib

KAFKA, LAKE, AUDIT = "kafka", "lake", "audit"
LAKE_FILES = "lake_files"
SUMMARY = "summary"

# Checks are listed by name and the first is opened: the verdict must be that one.
COMPLETENESS = "completeness"
COUNTS_MATCH = "counts_match"
EVIDENCE_COMPLETE = "evidence_complete"
INDEX_FRESH = "index_fresh"
NO_DUPLICATES = "no_duplicates"
NO_STALLED_PARTITION = "no_stalled_partition"
NO_URGENT_FINDING = "no_urgent_finding"
# of lake_files/<topic>
FILES_HOLD_THE_INDEX = "files_hold_the_index"
FILES_INDEXED = "files_indexed"
FILES_READABLE = "files_readable"
NO_REPEATED_ROWS = "no_repeated_rows"
ALL_TOPICS_COMPLETE = "all_topics_complete"

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]")


def op_name(topic: str) -> str:
    """A name that Dagster takes for an op and a pool; different topics never share one.

    Kafka's names may hold dots and dashes: `a.b`, `a-b` and `a_b` are three topics.
    """
    if _PLAIN.fullmatch(topic):
        return f"audit_{topic}"
    return f"audit_{_NOT_PLAIN.sub('_', topic)}_{zlib.crc32(topic.encode()):08x}"


def checks_op_name(topic: str) -> str:
    """The op that evaluates the checks alone; no topic's `op_name` is like it."""
    return f"checks_of_{op_name(topic)}"


def lake_files_op_name(topic: str) -> str:
    """The op that audits by the files; no topic's `op_name` is like it."""
    return f"lake_files_of_{op_name(topic)}"


def lake_files_checks_op_name(topic: str) -> str:
    """The op that evaluates the checks of the files alone."""
    return f"checks_of_{lake_files_op_name(topic)}"
