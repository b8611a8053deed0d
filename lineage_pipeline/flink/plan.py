"""The compiled plan: made once per shape of the job, stored, and executed on every start, so that state restores.

Operator ids live in the plan; planning again, or even explaining before executing, would give other ids and lose the
state. The plan holds schemas but no table options. The writer's id and the topic are put in as text at each start.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.errors import JobError
from lineage_pipeline.flink.tables import (
    TOPIC_PLACEHOLDER,
    WRITER_PLACEHOLDER,
    JobTables,
    create_tables,
    create_views,
    inserts,
)

if TYPE_CHECKING:
    from pyflink.table import TableEnvironment

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what Kafka allows for a topic
_DECODERS = "stream-exec-python-calc"


def plan_hash(schema: RecordSchema, island_ttl_ms: int, flink_version: str) -> str:
    """Names the plan by all that shapes it: the SQL without options and the planner's version; 16 hex digits."""
    bare = JobTables(source_options={}, output="", quarantine="", offset_index="")
    shape = [*create_tables(bare, schema), *create_views(schema, island_ttl_ms), *inserts(schema), flink_version]
    return hashlib.sha256("\n".join(shape).encode()).hexdigest()[:16]


def compile_plan(environment: TableEnvironment, schema: RecordSchema) -> str:
    """The plan's JSON text, with the writer's placeholder in it.

    Raises JobError when the planner did not give what exactness needs; this is a defect, not a user's mistake.
    """
    statements = environment.create_statement_set()
    for insert in inserts(schema):
        statements.add_insert_sql(insert)
    text = str(statements.compile_plan().as_json_string())
    check_plan(text, schema)
    return text


def check_plan(text: str, schema: RecordSchema) -> None:
    """Raise JobError unless the plan decodes once, aggregates in two phases, and holds no option of any table."""
    kinds = node_types(text)
    decoders = sum(kind == _DECODERS for kind in kinds)
    expected = 1 if schema.is_decoded else 0
    problems = [
        (decoders != expected, f"it decodes {decoders} times instead of {expected}"),
        ("stream-exec-local-group-aggregate" not in kinds, "islands are not aggregated before the exchange"),
        (WRITER_PLACEHOLDER not in text, "the writer's placeholder is missing"),
        (TOPIC_PLACEHOLDER not in text, "the topic's placeholder is missing"),
        ('"options"' in text, "it holds table options"),
    ]
    for wrong, what in problems:
        if wrong:
            raise JobError(f"the compiled plan cannot be used: {what}; was a table.* option of Flink overridden?")


def node_types(text: str) -> Sequence[str]:
    """Kinds of the plan's nodes without their version, in plan order."""
    return [node["type"].rsplit("_", 1)[0] for node in json.loads(text)["nodes"]]


def plan_for(text: str, writer: str, topic: str) -> str:
    """The plan with the writer's id and the topic in their places. Raises JobError for what is not a plain name."""
    for what, name in (("writer id", writer), ("topic", topic)):
        if not _NAME.fullmatch(name):
            raise JobError(f"{what} {name!r} must be 1 to 249 letters, digits, dots, dashes or underscores")
    return text.replace(WRITER_PLACEHOLDER, writer).replace(TOPIC_PLACEHOLDER, topic)
