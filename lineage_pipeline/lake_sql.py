"""DuckDB over a topic's three tables: the views `offset_index`, `data` and `quarantine`, on disk or on S3.

`data_deduplicated` and `quarantine_deduplicated` give each record once; `quarantine_open` what was not replayed.

Files are listed by us and named one by one, so that names beginning with `.` or `_` (uncommitted files) are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
from pydantic import SecretStr

from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.dedup_sql import DEDUPLICATED, PlaceColumns, deduplicated_query, open_query
from lineage_pipeline.errors import StoreError, UsageError
from lineage_pipeline.lake_request import has_data, has_quarantine
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings

VIEWS = ("offset_index", "data", "quarantine")
QUERIES = ("count-gaps", "islands")


def named_query(name: str) -> str:
    """The SQL of one of QUERIES, which docs/audit.md explains."""
    return resources.files("lineage_pipeline").joinpath(f"queries/{name}.sql").read_text(encoding="utf-8")


class LakeSql:
    """One in-memory DuckDB with the views of one topic.

    `empty`: the views without a file, and where they looked. `left_out`: those that the files do not allow, and why.
    """

    def __init__(self, settings: Settings, topic: TopicSettings) -> None:
        """List the files and make the views. Raises StoreError when a place cannot be listed."""
        self._connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        self._connection.execute("SET TimeZone = 'UTC'")
        paths = _chosen_paths(topic)
        if any(urlsplit(path).scheme in {"s3", "s3a"} for path in paths.values() if path):
            self._register_s3(settings.aws)
        self.empty: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        layout = topic.lake_files
        columns = PlaceColumns(layout.partition_column, layout.offset_column, layout.timestamp_column)
        for view, path in paths.items():
            files = _files(path, settings, topic.name) if path else []
            if not files:
                self.empty[view] = path or "any place, since none is set"
            try:
                self._connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {_source(view, files, columns)}")
            except duckdb.Error as error:
                raise StoreError(
                    f"the view {view} cannot be made, {_first_line(error)}: `lineage audit` names files that are broken"
                ) from None
        derived = {f"{view}_deduplicated": deduplicated_query(view, columns) for view in DEDUPLICATED}
        for view, query in {**derived, "quarantine_open": open_query(columns)}.items():
            try:
                self._connection.execute(f"CREATE VIEW {view} AS {query}")
            except duckdb.BinderException as error:  # files of others may have the partition in their name only
                self.left_out[view] = _first_line(error)

    def query(self, sql: str) -> duckdb.DuckDBPyRelation | None:
        """The result of the last statement, None when it has none. Raises UsageError with DuckDB's own words."""
        try:
            return self._connection.sql(sql)
        except duckdb.IOException as error:
            raise StoreError(f"a file could not be read or written: {_one_line(error)}") from None
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {_one_line(error)}") from None

    def rows(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]] | None:
        """Columns and rows of the last statement, None when it has none. Raises UsageError with DuckDB's own words."""
        relation = self.query(sql)
        if relation is None:
            return None
        try:
            return list(relation.columns), relation.fetchall()
        except duckdb.IOException as error:
            raise StoreError(f"a file could not be read or written: {_one_line(error)}") from None
        except duckdb.Error as error:  # much is found out only when rows are computed
            raise UsageError(f"the query failed: {_one_line(error)}") from None

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


def _chosen_paths(topic: TopicSettings) -> dict[str, str | None]:
    """Where each view's files are; None where nobody chose a place: who asks the index alone needs no other."""
    return {
        "offset_index": topic.paths.offset_index,
        "data": topic.paths.output if has_data(topic) else None,
        "quarantine": topic.paths.quarantine if has_data(topic) and has_quarantine(topic) else None,
    }


def _source(view: str, files: list[str], columns: PlaceColumns) -> str:
    """What a view selects from; without a file its own columns, of which a data table's further ones are unknown."""
    if files:
        # names of directories are columns where all files have the same; DuckDB refuses others
        keys = {tuple(part.partition("=")[0] for part in file.split("/")[:-1] if "=" in part) for file in files}
        listed = ", ".join(_literal(file) for file in files)
        hive = str(len(keys) == 1).lower()
        return f"read_parquet([{listed}], hive_partitioning = {hive}, union_by_name = true)"
    partition, offset, timestamp = columns.quoted()
    place = f"NULL::INTEGER AS {partition}, NULL::BIGINT AS {offset}, NULL::TIMESTAMP AS {timestamp}"
    empty = {
        "offset_index": "NULL::INTEGER AS kafka_partition, NULL::BIGINT AS min_offset, NULL::BIGINT AS max_offset,"
        " NULL::BIGINT AS record_count, NULL::TIMESTAMP AS window_start, NULL::BIGINT AS quarantined_count,"
        " NULL::TIMESTAMP AS window_end, NULL::TIMESTAMP AS max_timestamp, NULL::INTEGER AS leader_epoch,"
        " NULL::VARCHAR AS writer",
        "data": place,
        "quarantine": f"{place}, NULL::VARCHAR AS error, NULL::BLOB AS payload",
    }
    return f"(SELECT {empty[view]} WHERE false)"


def _files(path: str, settings: Settings, topic: str) -> list[str]:
    """Full names of the topic's files: below `kafka_topic=T` where there is such a directory, else all."""
    store = open_store(path, settings.aws)
    if not store.exists():
        return []
    keys = sorted(info.key for info in store.list() if info.size > 0)
    own = [key for key in keys if f"kafka_topic={topic}/" in key]
    return [f"{_root(path)}/{key}" for key in (own or [key for key in keys if "kafka_topic=" not in key])]


def _root(path: str) -> str:
    """The place as DuckDB names it: without the %-signs of a URI."""
    parts = urlsplit(path)
    if parts.scheme == "file":
        return unquote(parts.path).rstrip("/")
    if parts.scheme in {"s3", "s3a"}:
        return f"s3://{parts.netloc}/{unquote(parts.path).strip('/')}".rstrip("/")
    return path.rstrip("/")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _one_line(error: Exception) -> str:
    """DuckDB's words; the picture of the place that it draws below them would not survive."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
