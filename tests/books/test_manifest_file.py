"""The file manifest as an object: what it gives back, and what it refuses to be."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.books.lake_book import LakeBook
from lineage_pipeline.books.manifest_file import manifest_bytes, parse_manifest
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.lake_evidence import LakeReading
from lineage_pipeline.core.lake_layout import Columns, LakeLayout, PathTemplate
from lineage_pipeline.core.lake_manifest import LakeManifest
from lineage_pipeline.errors import LedgerError
from tests.books.index_files import put
from tests.books.lake_tables import data_file, hour, span

TOPIC = "orders"
KEY = f"kafka_topic={TOPIC}/_lake/files.parquet"
NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)


def book(root: Path) -> LakeBook:
    return LakeBook({"data": open_store(str(root / "output"), {})}, LakeLayout(TOPIC), open_store(str(root), {}))


def read(root: Path) -> LakeReading:
    return book(root).read(NOW)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lake of two files that was looked at once."""
    put(tmp_path / "output", hour(TOPIC, "part-1"), data_file([*span(0, 0, 8), (0, 3), *span(1, 5, 9)]))
    put(tmp_path / "output", hour(TOPIC, "part-2"), data_file(span(0, 8, 20)))
    assert len(read(tmp_path).manifest.files) == 2
    return tmp_path


def test_any_tool_reads_which_file_holds_what(root: Path) -> None:
    rows = duckdb.sql(
        f'SELECT key, rows, r.partition, r.start, r."end", r.times FROM (SELECT key, rows, unnest(runs) AS r'
        f" FROM '{root / KEY}') ORDER BY ALL"
    ).fetchall()
    assert [(key[-6:], *rest) for key, *rest in rows] == [
        ("part-1", 13, 0, 0, 8, 1),
        ("part-1", 13, 0, 3, 4, 1),
        ("part-1", 13, 1, 5, 9, 1),
        ("part-2", 12, 0, 8, 20, 1),
    ]


def test_what_was_stored_comes_back_and_equal_manifests_are_equal_bytes(root: Path) -> None:
    data = (root / KEY).read_bytes()
    layout = LakeLayout(TOPIC).fingerprint
    assert manifest_bytes(parse_manifest(data, TOPIC, layout), TOPIC, layout) == data
    empty = manifest_bytes(LakeManifest(), TOPIC, layout)
    assert parse_manifest(empty, TOPIC, layout).files == ()


def test_of_which_topic_it_is_comes_back_and_manifests_from_before_do_not_tell(root: Path) -> None:
    data = (root / KEY).read_bytes()
    layout = LakeLayout(TOPIC).fingerprint
    since = parse_manifest(data, TOPIC, layout).of_topic(1764028800.125)
    stored = manifest_bytes(since, TOPIC, layout)
    assert parse_manifest(stored, TOPIC, layout).since == 1764028800.125
    assert b"since" not in data
    assert parse_manifest(data, TOPIC, layout).since is None
    with pytest.raises(LedgerError, match="not readable"):
        parse_manifest(rewritten(stored, since="yesterday"), TOPIC, layout)


def rewritten(data: bytes, **about: str) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    old = json.loads(table.schema.metadata[b"lineage"])
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"lineage": json.dumps({**old, **about})}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ({"format": "lineage-lake-files/2"}, "of another format"),
        ({"topic": "other"}, "of another topic"),
        ({"layout": "other"}, "of another layout"),
    ],
)
def test_a_manifest_of_another_version_topic_or_layout_is_not_believed(
    root: Path, about: dict[str, str], text: str
) -> None:
    data = rewritten((root / KEY).read_bytes(), **about)
    with pytest.raises(LedgerError, match=text):
        parse_manifest(data, TOPIC, LakeLayout(TOPIC).fingerprint)
    (root / KEY).write_bytes(data)
    (root / "output" / hour(TOPIC, "part-2")).unlink()
    reading = read(root)  # then the lake itself is looked at again
    assert [one.kind for one in reading.notes] == ["manifest-lost"]
    assert [one.listed.key[-6:] for one in reading.manifest.files] == ["part-1"]
    assert reading.first


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "no table"])
def test_a_manifest_that_is_not_whole_is_not_believed(root: Path, harm: str) -> None:
    data = (root / KEY).read_bytes()
    middle = len(data) // 8
    harmed = {
        "cut": data[:-20],
        "empty": b"",
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "no table": b"hello",
    }[harm]
    with pytest.raises(LedgerError, match="not readable"):
        parse_manifest(harmed, TOPIC, LakeLayout(TOPIC).fingerprint)
    (root / KEY).write_bytes(harmed)
    reading = read(root)
    assert [one.kind for one in reading.notes] == ["manifest-lost"]
    assert len(reading.manifest.files) == 2


@pytest.mark.parametrize(
    "layout",
    [
        LakeLayout(TOPIC, columns=Columns(offset="o")),
        LakeLayout(TOPIC, columns=Columns(topic="t")),
        LakeLayout(TOPIC, data=PathTemplate("**/part-*")),
        LakeLayout(TOPIC, quarantine=PathTemplate("bad/*")),
    ],
)
def test_changed_columns_or_templates_make_every_file_be_looked_at_anew(root: Path, layout: LakeLayout) -> None:
    with pytest.raises(LedgerError, match="of another layout"):
        parse_manifest((root / KEY).read_bytes(), TOPIC, layout.fingerprint)
