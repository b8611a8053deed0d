"""The columns of a topic's table in the lake, for the catalog."""

from __future__ import annotations

import dagster as dg

from lineage_pipeline.books.schema_file import topic_schema
from lineage_pipeline.core.column_listing import listed_columns
from lineage_pipeline.errors import LineageError
from lineage_pipeline.topic_settings import TopicSettings


def table_schema(topic: TopicSettings) -> dg.TableSchema | None:
    """Names, Parquet types and where they come from; None when a schema cannot be read, which the job says much louder.

    It is what `lineage job plan` prints.
    """
    try:
        columns = listed_columns(topic_schema(topic))
    except (LineageError, OSError, UnicodeDecodeError):
        return None
    return dg.TableSchema(
        columns=[
            dg.TableColumn(one.name, type=one.parquet_type, description=f"{one.source}: {one.source_type}")
            for one in columns
        ]
    )
