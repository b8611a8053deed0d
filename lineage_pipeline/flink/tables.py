"""The job's tables, views and inserts as SQL text. Pure: strings in, strings out; nothing is executed here.

Every `CREATE TABLE` takes its options from `JobTables`, so the compiled plan (which holds schemas only) never sees a
path, an address or a secret. Columns and partition directories are docs/offset-index.md and contract "Files".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from lineage_pipeline.core.key_schema import HEADERS_COLUMN, KEY_COLUMN
from lineage_pipeline.core.record_schema import RecordSchema

DECODE_FUNCTION = "decode_value"
# Stand in the compiled plan where the deployment's id and the topic belong; replaced as text at every start.
WRITER_PLACEHOLDER = "@lineage-writer@"
TOPIC_PLACEHOLDER = "@lineage-topic@"

# Parquet has no map with names that may be NULL, and Kafka no header without a name.
_HEADERS_TYPE = "MAP<STRING NOT NULL, BYTES>"

_PARQUET = {
    "connector": "filesystem",
    "format": "parquet",
    "parquet.compression": "ZSTD",
    # Without these Flink writes INT96 in the session's zone.
    "parquet.write.int64.timestamp": "true",
    "parquet.timestamp.time.unit": "millis",
    "parquet.utc-timezone": "true",
}


@dataclass(frozen=True)
class JobTables:
    """Where the tables are: the source's connector options and three directories (Flink file system URIs)."""

    source_options: Mapping[str, str] = field(repr=False)  # may hold secrets
    output: str
    quarantine: str
    offset_index: str


def create_tables(tables: JobTables, schema: RecordSchema) -> list[str]:
    """CREATE TABLE statements of the source and the three sinks."""
    hive = "kafka_topic STRING, dt STRING"
    fields = "".join(f"{column}, " for column in schema.table_columns)
    coordinates = "kafka_partition INT, kafka_offset BIGINT, kafka_timestamp TIMESTAMP_LTZ(3)"
    raw_key = [f"{KEY_COLUMN} BYTES"] if schema.key is not None else []
    key = [f"{column.identifier} {column.sql_type}" for column in schema.decoded_columns[len(schema.columns) :]]
    headers = [f"{HEADERS_COLUMN} {_HEADERS_TYPE}"] if schema.headers else []
    arriving = [
        "payload BYTES",
        *raw_key,
        "kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL",
        "kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL",
        "kafka_timestamp TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL",
        "leader_epoch INT METADATA FROM 'leader-epoch' VIRTUAL",
        *(f"{column} METADATA FROM 'headers' VIRTUAL" for column in headers),
        "arrived AS PROCTIME()",
    ]
    columns = ",\n  ".join(arriving)
    source = f"CREATE TEMPORARY TABLE kafka_source (\n  {columns}\n) WITH ({_options(tables.source_options)})"
    sinks = {
        "data": (
            f"{fields}{', '.join([coordinates, *raw_key, *key, *headers, hive])}, `hour` STRING",
            "kafka_topic, dt, `hour`",
            tables.output,
            {},
        ),
        "quarantine": (
            f"{coordinates}, error STRING, payload BYTES, {', '.join([*raw_key, *headers, hive])}",
            "kafka_topic, dt",
            tables.quarantine,
            {},
        ),
        "offset_index": (
            "kafka_partition INT, min_offset BIGINT, max_offset BIGINT, record_count BIGINT,"
            " window_start TIMESTAMP_LTZ(3), quarantined_count BIGINT, window_end TIMESTAMP_LTZ(3),"
            f" max_timestamp TIMESTAMP_LTZ(3), leader_epoch INT, writer STRING, {hive}",
            "kafka_topic, dt",
            tables.offset_index,
            {"sink.parallelism": "1"},  # one index file per checkpoint, whatever the job's parallelism
        ),
    }
    return [
        source,
        *(
            f"CREATE TEMPORARY TABLE {name} ({listed}) PARTITIONED BY ({partitions})"
            f" WITH ({_options({**_PARQUET, 'path': path, **extra})})"
            for name, (listed, partitions, path, extra) in sinks.items()
        ),
    ]


def create_views(schema: RecordSchema, island_ttl_ms: int) -> list[str]:
    """CREATE VIEW statements: `decoded` (one row per record), then the chain that ends in `offset_runs`."""
    common = ", ".join(
        ["kafka_partition, kafka_offset, kafka_timestamp, leader_epoch, arrived, payload", *_asked(schema)]
    )
    if not schema.is_decoded:
        decoded = (
            f"CREATE TEMPORARY VIEW decoded AS SELECT {common}, CAST(0 AS BIGINT) AS quarantined FROM kafka_source"
        )
        views = [decoded]
    else:
        arguments = f"payload, {KEY_COLUMN}" if schema.decoded_columns != schema.columns else "payload"
        views = [
            f"CREATE TEMPORARY VIEW with_record AS SELECT {common}, {DECODE_FUNCTION}({arguments}) AS record"
            " FROM kafka_source",
            f"CREATE TEMPORARY VIEW decoded AS SELECT {common}, record,"
            " CASE WHEN record.`error` IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END AS quarantined"
            " FROM with_record",
        ]
    chain = resources.files(__package__).joinpath("sql/offset_index.sql").read_text(encoding="utf-8")
    code = "\n".join(line for line in chain.splitlines() if not line.startswith("--"))
    statements = Template(code).substitute(island_ttl=f"{island_ttl_ms}ms").split(";")
    return [*views, *(statement.strip() for statement in statements if statement.strip())]


def inserts(schema: RecordSchema) -> list[str]:
    """The three INSERT statements of the one statement set. Directories are named by processing time in UTC."""
    now = "CURRENT_TIMESTAMP"  # per record in streaming mode; a producer's clock must not name directories
    day, hour = f"DATE_FORMAT({now}, 'yyyy-MM-dd')", f"DATE_FORMAT({now}, 'HH')"
    coordinates, topic = "kafka_partition, kafka_offset, kafka_timestamp", _text(TOPIC_PLACEHOLDER)
    asked = "".join(f"{column}, " for column in _asked(schema))
    if not schema.is_decoded:
        data = f"INSERT INTO data SELECT payload, {coordinates}, {asked}{topic}, {day}, {hour} FROM decoded"
        bad = "SELECT {}, CAST(NULL AS STRING), payload, {}{}, {} FROM decoded WHERE quarantined > 0"
    else:
        width = len(schema.columns)
        projections = [f"{column.projection('record')}, " for column in schema.decoded_columns]
        fields, key = "".join(projections[:width]), "".join(projections[width:])
        raw_key, headers = (f"{name}, " if name in _asked(schema) else "" for name in (KEY_COLUMN, HEADERS_COLUMN))
        data = (
            f"INSERT INTO data SELECT {fields}{coordinates}, {raw_key}{key}{headers}{topic}, {day}, {hour}"
            " FROM decoded WHERE record.`error` IS NULL"
        )
        bad = "SELECT {}, record.`error`, payload, {}{}, {} FROM decoded WHERE record.`error` IS NOT NULL"
    index = (
        "INSERT INTO offset_index SELECT kafka_partition, min_offset, max_offset, record_count, window_start,"
        " quarantined_count, window_end, max_timestamp, leader_epoch,"
        f" {_text(WRITER_PLACEHOLDER)}, {topic}, {day} FROM offset_runs"
    )
    return [data, f"INSERT INTO quarantine {bad.format(coordinates, asked, topic, day)}", index]


def _asked(schema: RecordSchema) -> list[str]:
    """The columns of the record itself that are asked for on top of the value."""
    return [*([KEY_COLUMN] if schema.key is not None else []), *([HEADERS_COLUMN] if schema.headers else [])]


def _text(placeholder: str) -> str:
    """A constant of any length: a bare literal is CHAR(n), so what takes its place would be padded to the same n."""
    return f"CAST('{placeholder}' AS STRING)"


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"'{_escape(key)}' = '{_escape(value)}'" for key, value in options.items())


def _escape(text: str) -> str:
    return text.replace("'", "''")
