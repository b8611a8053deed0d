"""Pure: SQL that gives each record once where a table holds it more often. Nothing is deleted from the table."""

from __future__ import annotations

DEDUPLICATED = ("data", "quarantine")
# A replay writes a row into data and leaves the one in quarantine: see docs/quarantine.md.
OPEN_QUERY = (
    "SELECT * FROM quarantine WHERE NOT EXISTS (SELECT 1 FROM data WHERE data.kafka_partition ="
    " quarantine.kafka_partition AND data.kafka_offset = quarantine.kafka_offset)"
)


def deduplicated_query(table: str) -> str:
    """One row per partition and offset, in the SQL of DuckDB, Spark and others that know QUALIFY.

    Copies hold the same values, so it does not matter which of them is kept.
    """
    return (
        f"SELECT * FROM {table} QUALIFY row_number() OVER"
        " (PARTITION BY kafka_partition, kafka_offset ORDER BY kafka_timestamp) = 1"
    )
