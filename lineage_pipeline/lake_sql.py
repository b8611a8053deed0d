"""DuckDB over a topic's three tables: the views `offset_index`, `data` and `quarantine`, on disk or on S3.

`data_deduplicated` and `quarantine_deduplicated` give each record once; `quarantine_open` what was not replayed.

Files are listed by us and named one by one, so that names beginning with `.` or `_` (uncommitted files) are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import duckdb
from pydantic import SecretStr

from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.dedup_sql import DEDUPLICATED, OPEN_QUERY, deduplicated_query
from lineage_pipeline.errors import StoreError, UsageError
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

# What a view without any file looks like; a data table's own fields are unknown then.
_EMPTY = {
    "offset_index": "NULL::INTEGER AS kafka_partition, NULL::BIGINT AS min_offset, NULL::BIGINT AS max_offset,"
    " NULL::BIGINT AS record_count, NULL::TIMESTAMP AS window_start, NULL::BIGINT AS quarantined_count,"
    " NULL::TIMESTAMP AS window_end, NULL::TIMESTAMP AS max_timestamp, NULL::INTEGER AS leader_epoch,"
    " NULL::VARCHAR AS writer",
    "data": "NULL::INTEGER AS kafka_partition, NULL::BIGINT AS kafka_offset, NULL::TIMESTAMP AS kafka_timestamp",
    "quarantine": "NULL::INTEGER AS kafka_partition, NULL::BIGINT AS kafka_offset, NULL::TIMESTAMP AS kafka_timestamp,"
    " NULL::VARCHAR AS error, NULL::BLOB AS payload",
}

VIEWS = tuple(_EMPTY)
QUERIES = ("count-gaps", "islands")


def named_query(name: str) -> str:
    """The SQL of one of QUERIES, which docs/audit.md explains."""
    return resources.files("lineage_pipeline").joinpath(f"queries/{name}.sql").read_text(encoding="utf-8")


class LakeSql:
    """One in-memory DuckDB with the views of one topic. `empty`: the views without a file, and where they looked."""

    def __init__(self, settings: Settings, topic: TopicSettings) -> None:
        """List the files and make the views. Raises StoreError when a place cannot be listed."""
        self._connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        self._connection.execute("SET TimeZone = 'UTC'")
        paths = {
            "offset_index": topic.paths.offset_index,
            "data": topic.paths.output,
            "quarantine": topic.paths.quarantine,
        }
        if any(urlsplit(path).scheme in {"s3", "s3a"} for path in paths.values()):
            self._register_s3(settings.aws)
        self.empty: dict[str, str] = {}
        for view, path in paths.items():
            files = _files(open_store(path, settings.aws), topic.name)
            if files:
                listed = ", ".join(_literal(file) for file in files)
                source = f"read_parquet([{listed}], hive_partitioning = true, union_by_name = true)"
            else:
                self.empty[view] = path
                source = f"(SELECT {_EMPTY[view]} WHERE false)"
            try:
                self._connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {source}")
            except duckdb.Error as error:
                raise StoreError(
                    f"the view {view} cannot be made, {_first_line(error)}: `lineage audit` names files that are broken"
                ) from None
        for view in DEDUPLICATED:
            self._connection.execute(f"CREATE VIEW {view}_deduplicated AS {deduplicated_query(view)}")
        self._connection.execute(f"CREATE VIEW quarantine_open AS {OPEN_QUERY}")

    def query(self, sql: str) -> duckdb.DuckDBPyRelation | None:
        """The result of the last statement, None when it has none. Raises UsageError with DuckDB's own words."""
        try:
            return self._connection.sql(sql)
        except duckdb.IOException as error:
            raise StoreError(f"a file could not be read: {error}") from None
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {error}") from None

    def rows(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]] | None:
        """Columns and rows of the last statement, None when it has none. Raises UsageError with DuckDB's own words."""
        relation = self.query(sql)
        if relation is None:
            return None
        try:
            return list(relation.columns), relation.fetchall()
        except duckdb.IOException as error:
            raise StoreError(f"a file could not be read: {error}") from None
        except duckdb.Error as error:  # much is found out only when rows are computed
            raise UsageError(f"the query failed: {error}") from None

    def value(self, sql: str) -> int:
        """The single integer a query gives; NULL (a sum over nothing) is 0."""
        found = self.rows(sql)
        return int(found[1][0][0] or 0) if found and found[1] else 0

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()

    def _register_s3(self, aws: Mapping[str, SecretStr]) -> None:
        from s3fs import S3FileSystem  # noqa: PLC0415 - only S3 users pay for it

        values = {name: secret.get_secret_value() for name, secret in aws.items()}
        self._connection.register_filesystem(
            S3FileSystem(
                key=values.get("AWS_ACCESS_KEY_ID"),
                secret=values.get("AWS_SECRET_ACCESS_KEY"),
                token=values.get("AWS_SESSION_TOKEN"),
                endpoint_url=values.get("AWS_ENDPOINT_URL_S3") or values.get("AWS_ENDPOINT_URL"),
                client_kwargs={"region_name": values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION")},
                use_listings_cache=False,  # the instance is cached for the process, and its listings would never expire
            )
        )


def _files(store: ObjectStore, topic: str) -> list[str]:
    """Full names of the topic's files: below `kafka_topic=T` where there is such a directory, else all."""
    if not store.exists():
        return []
    keys = sorted(info.key for info in store.list() if info.size > 0)
    own = [key for key in keys if f"kafka_topic={topic}/" in key]
    root = store.uri.rstrip("/")
    root = root.removeprefix("file://") if root.startswith("file://") else root
    return [f"{root}/{key}" for key in (own or [key for key in keys if "kafka_topic=" not in key])]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
