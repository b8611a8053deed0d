"""The one check that every scenario ends with: each record is in the lake once, and the index says exactly that."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import fastavro
import pyarrow as pa

from lineage_pipeline.local.demo_record import schema_text
from tests.e2e.pipeline import Pipeline, Place, Record

_SCHEMA = fastavro.parse_schema(json.loads(schema_text()))


def assert_exact(pipeline: Pipeline, produced: Mapping[Place, Record]) -> None:
    """`produced` is what a read_committed consumer saw of the topic; all of it and nothing else must be in the lake.

    Nothing twice in data, quarantine or index; runs disjoint, each as long as its count; quarantined counts add up;
    values, payloads and timestamps as produced.
    """
    assert produced, "an empty topic proves nothing"
    data, quarantine = pipeline.rows("output"), pipeline.rows("quarantine")
    assert _twice(data) == {}
    assert _twice(quarantine) == {}
    in_data, in_quarantine = set(_places(data)), set(_places(quarantine))
    assert in_data & in_quarantine == set()
    _assert_same(in_data | in_quarantine, set(produced))
    assert_index(pipeline.rows("offset-index"), set(produced), in_quarantine)
    _assert_values(data, quarantine, produced)


def assert_index(index: pa.Table, expected: set[Place], quarantined: set[Place]) -> None:
    """Every record of `expected` is in one run, each run is as long as its count, and the quarantined ones add up."""
    covered: Counter[Place] = Counter()
    for run in index.to_pylist():
        partition, first, last = run["kafka_partition"], run["min_offset"], run["max_offset"]
        assert run["record_count"] == last - first + 1, run
        places = {(partition, offset) for offset in range(first, last + 1)}
        assert run["quarantined_count"] == len(places & quarantined), run
        assert run["window_start"] <= run["window_end"], run
        covered.update(places)
    assert {place: times for place, times in covered.items() if times > 1} == {}
    _assert_same(set(covered), expected)


def _assert_values(data: pa.Table, quarantine: pa.Table, produced: Mapping[Place, Record]) -> None:
    columns = ("value",) if "value" in data.column_names else ("uuid", "timestamp")  # of a raw topic, of the demo's
    expected = _payload if columns == ("value",) else _decoded
    written = _columns(data, "kafka_partition", "kafka_offset", "kafka_timestamp", *columns)
    for partition, offset, kafka_timestamp, *values in written:
        record = produced[partition, offset]
        assert kafka_timestamp == record.timestamp, (partition, offset)
        assert values == expected(record), (partition, offset)
    refused = _columns(quarantine, "kafka_partition", "kafka_offset", "kafka_timestamp", "payload", "error")
    for partition, offset, kafka_timestamp, payload, error in refused:
        record = produced[partition, offset]
        assert (kafka_timestamp, payload) == (record.timestamp, record.payload), (partition, offset)
        assert error, (partition, offset)


def _payload(record: Record) -> list[Any]:
    return [record.payload]


def _decoded(record: Record) -> list[Any]:
    value: Any = fastavro.schemaless_reader(io.BytesIO(record.payload or b""), _SCHEMA, None)
    return [value["uuid"], round(value["timestamp"].timestamp() * 1000)]


def _columns(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    """Rows as tuples; timestamps as milliseconds."""
    if not table.num_rows:
        return []
    columns = [table[name] for name in names]
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in columns]
    return list(zip(*(column.to_pylist() for column in plain), strict=True))


def _places(table: pa.Table) -> list[Place]:
    return [(partition, offset) for partition, offset in _columns(table, "kafka_partition", "kafka_offset")]


def _twice(table: pa.Table) -> dict[Place, int]:
    return {place: times for place, times in Counter(_places(table)).items() if times > 1}


def _assert_same(found: set[Place], expected: set[Place]) -> None:
    """In few enough words to read."""
    lost, extra = sorted(expected - found), sorted(found - expected)
    assert not lost, f"{len(lost)} lost: {lost[:10]}"
    assert not extra, f"{len(extra)} never produced: {extra[:10]}"
