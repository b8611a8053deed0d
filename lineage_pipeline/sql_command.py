"""`lineage sql`."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import click

from lineage_pipeline.core.report import EXIT_CODES
from lineage_pipeline.errors import UsageError
from lineage_pipeline.lake_sql import QUERIES, VIEWS, LakeSql, named_query
from lineage_pipeline.settings import load_settings

_WIDE = 1000  # columns when nobody looks: a pipe must get every value whole


@click.command("sql")
@click.argument("query", required=False)
@click.option("--named", type=click.Choice(QUERIES), help="A query that comes with the tool: see docs/audit.md.")
@click.option("--topic", help="Which topic, when several are configured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of objects on stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header on stdout.")
def sql_command(query: str | None, named: str | None, topic: str | None, as_json: bool, as_csv: bool) -> None:
    """Run SQL (DuckDB) over the views offset_index, data and quarantine of a topic.

    Exit code 3: the result says nothing, for no table has a file, or the offset index of a --named query has none.

    Example: lineage sql "SELECT kafka_partition, count(*) FROM data GROUP BY ALL ORDER BY ALL"
    """
    if (query is None) == (named is None):
        raise click.UsageError("give either a query or --named, such as: lineage sql --named count-gaps")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    settings = load_settings(os.environ)
    lake = LakeSql(settings, settings.topic(topic))
    for view, path in lake.empty.items():
        click.echo(f"note: {view} has no files at {path}", err=True)
    for view, reason in lake.left_out.items():
        click.echo(f"note: there is no view {view}: {reason}", err=True)
    found = lake.rows(query if query is not None else named_query(str(named)))
    if found is not None:
        _write(*found, as_json=as_json, as_csv=as_csv)
    # Nothing was looked at, so no row of a gap must not read as no gap: a mistyped path, a job that never wrote.
    if len(lake.empty) == len(VIEWS) or (named is not None and "offset_index" in lake.empty):
        click.get_current_context().exit(EXIT_CODES["undetermined"])


def _write(columns: list[str], rows: list[tuple[Any, ...]], *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        _write_json(columns, rows)
    elif as_csv:
        _write_csv(columns, rows)
    else:
        _write_table(columns, rows)


def _write_json(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise UsageError(f"column {twice[0]!r} is there twice, and a JSON object has a name once: use AS, or --csv")
    listed = [dict(zip(columns, map(_in_json, row), strict=True)) for row in rows]
    click.echo(json.dumps(listed, default=_plain, allow_nan=False))


def _in_json(value: Any) -> Any:
    """The value with texts for the numbers that JSON lacks: NaN and the infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key if isinstance(key, str) else _plain(key): _in_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_json(one) for one in value]
    return value


def _write_csv(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    import csv  # noqa: PLC0415 - one of three renderings

    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    writer.writerows([_plain(value) if isinstance(value, bytes) else value for value in row] for row in rows)


def _write_table(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - one of three renderings
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, row_styles=["", "dim"] if len(rows) > 10 else None)  # noqa: PLR2004 - long tables read better so
    for row in rows:
        table.add_row(
            *("" if value is None else str(_plain(value) if isinstance(value, bytes) else value) for value in row)
        )
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
