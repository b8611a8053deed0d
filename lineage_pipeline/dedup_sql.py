"""Pure: SQL that gives each record once where a table holds it more often. Nothing is deleted from the table."""

from __future__ import annotations

from dataclasses import astuple, dataclass

DEDUPLICATED = ("data", "quarantine")


@dataclass(frozen=True)
class PlaceColumns:
    """What the columns are called that say where in Kafka a record was."""

    partition: str = "kafka_partition"
    offset: str = "kafka_offset"
    timestamp: str = "kafka_timestamp"

    def quoted(self) -> tuple[str, str, str]:
        """The names as SQL; those of our own tables are plain in every dialect."""
        partition, offset, timestamp = (
            name if name == own else '"' + name.replace('"', '""') + '"'
            for name, own in zip(astuple(self), astuple(_OURS), strict=True)
        )
        return partition, offset, timestamp


_OURS = PlaceColumns()


def open_query(columns: PlaceColumns = _OURS) -> str:
    """What is in quarantine only: a replay writes a row into data and leaves the other, see docs/quarantine.md."""
    same = " AND ".join(f"data.{name} = quarantine.{name}" for name in columns.quoted()[:2])
    return f"SELECT * FROM quarantine WHERE NOT EXISTS (SELECT 1 FROM data WHERE {same})"


def deduplicated_query(table: str, columns: PlaceColumns = _OURS) -> str:
    """One row per partition and offset, in the SQL of DuckDB, Spark and others that know QUALIFY.

    Copies hold the same values, so it does not matter which of them is kept.
    """
    partition, offset, timestamp = columns.quoted()
    return (
        f"SELECT * FROM {table} QUALIFY row_number() OVER (PARTITION BY {partition}, {offset} ORDER BY {timestamp}) = 1"
    )
