"""Our offset index in a Table job that somebody else wrote: one call before the statement set is executed.

    statements = environment.create_statement_set()
    statements.add_insert_sql("INSERT INTO lake SELECT ... FROM orders")            # the job as it is
    add_offset_index(environment, statements, IndexedSource("orders", topic="orders"), "s3://lake/offset-index")
    statements.execute()

Both inserts read the one source in the one job, so index and data are cut at the same record by every checkpoint.
docs/adopt.md has the conditions, examples/existing_table_job.py a whole job.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
_MILLIS = {"": 1, "ms": 1, "s": 1000, "sec": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


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

    Turns mini-batch on for the whole job, and the settings without which the index would not be exact. Raises JobError
    when the job takes no checkpoints, or unaligned ones.
    """
    configuration = environment.get_config().get_configuration()
    _check(configuration)
    interval = _millis(configuration.get_string("execution.checkpointing.interval", "0"))
    ttl = _millis(configuration.get_string("table.exec.state.ttl", "0"))
    for key, value in _options(interval).items():
        environment.get_config().set(key, value)
    name = writer or f"{source.topic}-{uuid.uuid4().hex[:12]}"
    for statement in index_statements(source, path, (ttl or _DEFAULT_TTL_MS) // 2):
        environment.execute_sql(statement)
    insert = _renamed(inserts(record_schema("raw"))[-1])
    statements.add_insert_sql(
        insert.replace(WRITER_PLACEHOLDER, _quoted(name)).replace(TOPIC_PLACEHOLDER, source.topic)
    )
    return name


def index_statements(source: IndexedSource, path: str, island_ttl_ms: int) -> list[str]:
    """The views and the sink table, as SQL; all names begin with `lineage_`."""
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
    records = f"CREATE TEMPORARY VIEW decoded AS SELECT {chosen} FROM {_named(source.name)}"
    chain = create_views(raw, island_ttl_ms)[1:]
    table = create_tables(JobTables({}, "", "", path), raw)[-1]
    head, _, rest = table.partition("(")
    return [_renamed(records.partition(" AS SELECT ")[0]) + records[records.index(" AS SELECT ") :],
            *(_renamed(one) for one in chain), f"{_renamed(head)}({rest}"]  # fmt: skip


def check_one_source(statements: StatementSet) -> None:
    """Raise JobError unless data and index read one and the same source.

    For a test of the job, in an environment of its own: explaining a plan before executing it changes operator ids.
    """
    plan = statements.explain()
    optimized = plan.partition("== Optimized Execution Plan ==")[2]
    scans = re.findall(r"TableSourceScan\(table=\[\[([^\]]*)\]", optimized)
    if len(scans) != 1:
        raise JobError(
            f"the job reads {len(scans)} sources ({'; '.join(scans) or 'none'}): index and data must come from one"
            " scan, or a checkpoint cuts them at different records"
        )


def _check(configuration: Any) -> None:
    if _millis(configuration.get_string("execution.checkpointing.interval", "0")) <= 0:
        raise JobError(
            "the job takes no checkpoints, so no index file would ever appear: set execution.checkpointing.interval"
        )
    if configuration.get_string("execution.checkpointing.unaligned.enabled", "false").lower() == "true":
        raise JobError("with unaligned checkpoints index and data are cut at different records: turn them off")
    if configuration.get_string("execution.checkpointing.mode", "EXACTLY_ONCE").upper() != "EXACTLY_ONCE":
        raise JobError("the index proves nothing with checkpoints AT_LEAST_ONCE: set EXACTLY_ONCE")


def _options(interval_ms: int) -> dict[str, str]:
    return {
        "execution.checkpointing.unaligned.enabled": "false",
        "table.exec.mini-batch.enabled": "true",
        # bundles are flushed by the checkpoint barrier, never by this clock
        "table.exec.mini-batch.allow-latency": f"{max(3_600_000, 100 * interval_ms)} ms",
        "table.exec.mini-batch.size": "1000000",
        "table.optimizer.reuse-source-enabled": "true",
        "table.optimizer.reuse-sub-plan-enabled": "true",
    }


def _millis(text: str) -> int:
    """A duration as Flink writes it, in milliseconds; raises JobError for one that is not understood."""
    found = _TIME.fullmatch(text.lower())
    if found is None or found[2] not in _MILLIS:
        raise JobError(f"{text!r} is no duration that is understood here: write it as `60 s`")
    return int(found[1]) * _MILLIS[found[2]]


def _renamed(sql: str) -> str:
    return re.sub(rf"\b({'|'.join(_NAMES)})\b", rf"{_PREFIX}\1", sql)


def _named(identifier: str) -> str:
    return ".".join(f"`{part}`" for part in _parts(identifier))


def _parts(identifier: str) -> Iterator[str]:
    for part in identifier.split("."):
        yield part.strip("`").replace("`", "``")


def _quoted(text: str) -> str:
    return json.dumps(text)[1:-1].replace("'", "''")
