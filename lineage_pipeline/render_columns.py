"""Which column of the data table comes from where, for people."""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from lineage_pipeline.core.column_listing import listed_columns, listed_directories
from lineage_pipeline.core.record_schema import RecordSchema

_WIDTH_WITHOUT_TERMINAL = 160


def render_columns(topic: str, schema: RecordSchema, out: TextIO) -> None:
    """Print one line per column: source, its type, column, its type in Parquet."""
    console = Console(file=out, highlight=False, markup=False, width=None if out.isatty() else _WIDTH_WITHOUT_TERMINAL)
    formats = [f"values {schema.format}"]
    if schema.key is not None:
        formats.append(f"keys {schema.key.format}")
    table = Table(title=f"{topic}: {', '.join(formats)}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("of the record", "type", "column", "in Parquet"):
        table.add_column(heading, overflow="fold")
    for one in (*listed_columns(schema), *listed_directories()):
        table.add_row(one.source, one.source_type, one.name, one.parquet_type)
    console.print(table)
