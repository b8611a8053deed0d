"""Our offset index in a Table job that somebody else wrote: one call before the statement set is executed.

    statements = environment.create_statement_set()
    statements.add_insert_sql("INSERT INTO lake SELECT ... FROM orders")            # the job as it is
    source = IndexedSource("orders", topic="orders", partition="partition", offset="offset", timestamp="timestamp")
    add_offset_index(environment, statements, source, "s3://lake/offset-index")
    statements.execute()

The three names are the source's columns. Both inserts read the one source in the one job, so index and data are cut at
the same record by every checkpoint. docs/adopt.md has the conditions, examples/existing_table_job.py a whole job.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage_pipeline.core.record_schema import record_schema
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
    from pyflink.table import StatementSet, TableEnvironment

_NAMES = ("decoded", "numbered", "islands", "island_changes", "island_steps", "offset_runs", "offset_index")
_PREFIX = "lineage_"
_DEFAULT_TTL_MS = 86_400_000  # of the island's state, where the job has no table.exec.state.ttl of its own
_TIME = re.compile(r"\s*(\d+)\s*([a-z]*)\s*")
_UNITS = {  # as Flink names them; what is shorter than a millisecond is no interval of checkpoints
    1: ("", "ms", "milli", "millis", "millisecond", "milliseconds"),
    1000: ("s", "sec", "secs", "second", "seconds"),
    60_000: ("m", "min", "minute", "minutes"),
    3_600_000: ("h", "hour", "hours"),
    86_400_000: ("d", "day", "days"),
}
_MILLIS = {word: factor for factor, words in _UNITS.items() for word in words}
_PART = re.compile(r"(?:`((?:[^`]|``)+)`|([^.`]+))")


@dataclass(frozen=True)
class IndexedSource:
    """The table or view that the job reads, and which of its columns say where a record came from.

    It holds the records of one `topic`, each once, with the metadata of Flink's Kafka connector as columns:
    `partition` INT, `offset` BIGINT, `timestamp` TIMESTAMP_LTZ(3), and if there is one the leader epoch INT.
    `quarantined`: a condition in SQL that is true for records that do not go to the data table.
    """

    name: str
    topic: str
    partition: str = "kafka_partition"
    offset: str = "kafka_offset"
    timestamp: str = "kafka_timestamp"
    leader_epoch: str | None = None
    quarantined: str = "FALSE"


def add_offset_index(
    environment: TableEnvironment, statements: StatementSet, source: IndexedSource, path: str, writer: str | None = None
) -> str:
    """Add the index of `source` to the statements, written to the Flink path `path`; returns the writer's id.

    Turns mini-batch on for the whole job, so that its own aggregates emit once a checkpoint too; what it has set
    for its latency and size stays. Raises JobError when the job takes no checkpoints, unaligned ones or such that are
    not EXACTLY_ONCE, and when it has turned off what the index needs. May be called for several sources.
    """
    config = environment.get_config()
    for key, value in index_options(lambda key: str(config.get(key, "") or "")).items():
        config.set(key, value)
    ttl = _millis(config.get("table.exec.state.ttl", "") or "0")
    name = writer or f"{source.topic}-{uuid.uuid4().hex[:12]}"
    for statement in index_statements(source, path, (ttl or _DEFAULT_TTL_MS) // 2):
        environment.execute_sql(statement)
    statements.add_insert_sql(index_insert(source, name))
    return name


def index_options(given: Callable[[str], str]) -> dict[str, str]:
    """The options to set, beside those that the job has; `given` tells the job's, empty where it has none.

    Raises JobError for those with which an index would prove nothing, or not be written.
    """
    interval = _millis(given("execution.checkpointing.interval") or "0")
    if interval <= 0:
        raise JobError(
            "the job takes no checkpoints, so no index file would ever appear: set execution.checkpointing.interval"
        )
    if given("execution.checkpointing.unaligned.enabled").lower() == "true":
        raise JobError("with unaligned checkpoints index and data are cut at different records: turn them off")
    if (given("execution.checkpointing.mode") or "EXACTLY_ONCE").upper() != "EXACTLY_ONCE":
        raise JobError("the index proves nothing with checkpoints AT_LEAST_ONCE: set EXACTLY_ONCE")
    needed = {
        "table.exec.mini-batch.enabled": "without it every record is an index row of its own",
        "table.optimizer.reuse-source-enabled": "index and data have to come from one scan",
        "table.optimizer.reuse-sub-plan-enabled": "index and data have to come from one scan",
    }
    for key, why in needed.items():
        if given(key).lower() == "false":
            raise JobError(f"the job sets {key} to false, and the index needs it ({why}): leave it out")
    chosen = {
        # bundles are flushed by the checkpoint barrier, never by this clock
        "table.exec.mini-batch.allow-latency": f"{max(3_600_000, 100 * interval)} ms",
        "table.exec.mini-batch.size": "1000000",
    }
    return {**dict.fromkeys(needed, "true"), **{key: given(key) or value for key, value in chosen.items()}}


def index_statements(source: IndexedSource, path: str, island_ttl_ms: int) -> list[str]:
    """The views and the sink table, as SQL; all names begin with `lineage_` and the topic. Raises JobError."""
    raw = record_schema("raw")
    columns = {
        "kafka_partition": f"CAST({_named(source.partition)} AS INT)",
        "kafka_offset": f"CAST({_named(source.offset)} AS BIGINT)",
        "kafka_timestamp": f"CAST({_named(source.timestamp)} AS TIMESTAMP_LTZ(3))",
        "leader_epoch": "CAST(NULL AS INT)" if source.leader_epoch is None else _named(source.leader_epoch),
        "quarantined": f"CASE WHEN {source.quarantined} THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END",
        "arrived": "PROCTIME()",
    }
    chosen = ", ".join(f"{value} AS {column}" for column, value in columns.items())
    records = _renamed("CREATE TEMPORARY VIEW decoded", source.topic)
    chain = create_views(raw, island_ttl_ms)[1:]
    head, _, rest = create_tables(JobTables({}, "", "", path), raw)[-1].partition("(")
    return [
        f"{records} AS SELECT {chosen} FROM {_named(source.name)}",
        *(_renamed(one, source.topic) for one in chain),
        f"{_renamed(head, source.topic)}({rest}",
    ]


def index_insert(source: IndexedSource, writer: str) -> str:
    """The INSERT of the index, its rows marked with this writer's id."""
    insert = _renamed(inserts(record_schema("raw"))[-1], source.topic)
    return insert.replace(WRITER_PLACEHOLDER, _quoted(writer)).replace(TOPIC_PLACEHOLDER, _quoted(source.topic))


def check_one_source(statements: StatementSet, besides: Collection[str] = ()) -> None:
    """Raise JobError unless data and index read one and the same source.

    `besides`: names of other tables that the job reads, those it joins for instance. For a test of the job, in an
    environment of its own: explaining a plan before executing it changes operator ids.
    """
    plan = statements.explain()
    optimized = plan.partition("== Optimized Execution Plan ==")[2]
    scans = [one.split(", ") for one in re.findall(r"TableSourceScan\(table=\[\[([^\]]*)\]", optimized)]
    ours = [".".join(one[:3]) for one in scans if one[2:3] and one[2] not in besides]
    if len(ours) != 1:
        raise JobError(
            f"the job reads {len(ours)} sources ({'; '.join(ours) or 'none'}): index and data must come from one"
            " scan, or a checkpoint cuts them at different records"
        )


def _millis(text: str) -> int:
    """A duration as Flink writes it, in milliseconds; raises JobError for one that is not understood."""
    found = _TIME.fullmatch(text.lower())
    if found is None or found[2] not in _MILLIS:
        raise JobError(f"{text!r} is no duration that is understood here: write it as `60 s`")
    return int(found[1]) * _MILLIS[found[2]]


def _renamed(sql: str, topic: str) -> str:
    prefix = f"{_PREFIX}{re.sub(r'[^A-Za-z0-9]', '_', topic)}_"
    return re.sub(rf"\b({'|'.join(_NAMES)})\b", rf"{prefix}\1", sql)


def _named(identifier: str) -> str:
    """A name as SQL quotes it; dots outside of backticks part it. Raises JobError."""
    if re.fullmatch(rf"{_PART.pattern}(?:\.{_PART.pattern})*", identifier) is None:
        raise JobError(f"{identifier!r} is no name of a table or column: quote its parts with backticks")
    return ".".join(f"`{quoted or plain}`" for quoted, plain in _PART.findall(identifier))


def _quoted(text: str) -> str:
    return text.replace("'", "''")
