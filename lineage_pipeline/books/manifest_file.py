"""The file manifest as one Parquet object that any tool can query: a row per object, its runs as a list of structs.

Rows of table `retired` hold what left by retention; of which topic, the metadata tells. Equal manifests give equal
bytes; what is not whole is LedgerError.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineage_pipeline.core.lake_manifest import FAULTS, LEFT, TABLES, LakeFile, LakeManifest, LakeObject
from lineage_pipeline.core.lake_runs import Runs
from lineage_pipeline.core.offset_index import MAX_PARTITION
from lineage_pipeline.core.offsets import Int64Array, RangeSet
from lineage_pipeline.errors import LedgerError

FORMAT = "lineage-lake-files/1"
_RETIRED = "retired"
_RUN = pa.struct([("partition", pa.int64()), ("start", pa.int64()), ("end", pa.int64()), ("times", pa.int64())])
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("table", "key", "etag", "fault", "problem", "left")),
        *((name, pa.int64()) for name in ("size", "rows", "first_timestamp", "last_timestamp")),
        *((name, pa.float64()) for name in ("modified", "looked_at", "left_at")),
        ("runs", pa.list_(_RUN)),
    ]
)
_DELTA = {
    **{f"runs.list.element.{name}": "DELTA_BINARY_PACKED" for name in ("partition", "start", "end", "times")},
    **dict.fromkeys(("size", "rows", "first_timestamp", "last_timestamp"), "DELTA_BINARY_PACKED"),
}
_FOREIGN = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError)


def manifest_bytes(manifest: LakeManifest, topic: str, layout: str) -> bytes:
    """The manifest of `topic`, read by the layout of that fingerprint, as Parquet."""
    files = manifest.files
    retired = sorted((partition, one) for partition, one in manifest.retired.items() if len(one))
    columns: dict[str, list[Any]] = {
        "table": [one.listed.table for one in files],
        "key": [one.listed.key for one in files],
        "etag": [one.listed.etag for one in files],
        "fault": [one.fault for one in files],
        "problem": [one.problem for one in files],
        "left": [one.left for one in files],
        "size": [one.listed.size for one in files],
        "rows": [one.rows for one in files],
        "first_timestamp": [one.first_timestamp for one in files],
        "last_timestamp": [one.last_timestamp for one in files],
        "modified": [one.listed.modified for one in files],
        "looked_at": [one.looked_at for one in files],
        "left_at": [one.left_at for one in files],
    }
    filler = {"table": _RETIRED, "key": "", "size": 0, "rows": 0, "modified": 0.0, "looked_at": 0.0}
    for name, values in columns.items():
        values.extend([filler.get(name)] * len(retired))
    arrays = [pa.array(columns[field.name], field.type) for field in list(_SCHEMA)[:-1]]
    about: dict[str, Any] = {"format": FORMAT, "topic": topic, "layout": layout}
    if manifest.since is not None:
        about["since"] = manifest.since
    schema = _SCHEMA.with_metadata({"lineage": json.dumps(about)})
    table = pa.Table.from_arrays([*arrays, _runs(manifest, retired)], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        use_dictionary=["table", "fault", "left"],
        column_encoding=_DELTA,
        write_page_checksum=True,
    )
    return buffer.getvalue()


def parse_manifest(data: bytes, topic: str, layout: str) -> LakeManifest:
    """What manifest_bytes wrote. Raises LedgerError for another topic, layout or version, and for no manifest."""
    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(use_threads=False)
        about = json.loads(table.schema.metadata[b"lineage"])
        wanted = {"format": FORMAT, "topic": topic, "layout": layout}
        other = [name for name, value in wanted.items() if about.get(name) != value]
        if other:
            raise LedgerError(f"the file manifest is of another {' and '.join(other)}")
        since = about.get("since")  # versions before this one did not tell
        return _parsed(table, None if since is None else float(since))
    except _FOREIGN as error:
        raise LedgerError(f"the file manifest is not readable ({' '.join(str(error).split())[:120]})") from None


def _parsed(table: Any, since: float | None) -> LakeManifest:
    runs = _parsed_runs(table.column("runs").combine_chunks())
    columns = {name: table.column(name).to_pylist() for name in table.schema.names if name != "runs"}
    count = sum(1 for one in columns["table"] if one != _RETIRED)
    files = tuple(_file({name: values[row] for name, values in columns.items()}) for row in range(count))
    retired = {partition: one.ranges() for partition, one in runs.where(runs.files >= count).by_partition()}
    return LakeManifest(files, runs.where(runs.files < count), retired, since)


def _file(row: dict[str, Any]) -> LakeFile:
    for name, words in (("table", (*TABLES,)), ("fault", (*FAULTS, None)), ("left", (*LEFT, None))):
        if row[name] not in words:
            raise ValueError(f"{name} {row[name]!r} is not known to this version")
    listed = LakeObject(row["table"], row["key"], row["size"], row["etag"], row["modified"])
    return LakeFile(
        listed,
        row["looked_at"],
        row["rows"],
        row["first_timestamp"],
        row["last_timestamp"],
        row["fault"],
        row["problem"],
        row["left"],
        row["left_at"],
    )


def _runs(manifest: LakeManifest, retired: list[tuple[int, RangeSet]]) -> Any:
    """A list of runs for every row: files first, then what is retired."""
    first, runs = len(manifest.files), manifest.runs
    extra = [(first + row, partition, one) for row, (partition, one) in enumerate(retired)]
    rows: Int64Array = np.concatenate([runs.files, *(np.full(len(one), row) for row, _, one in extra)]).astype(np.int64)
    partitions = np.concatenate([runs.partitions, *(np.full(len(one), number) for _, number, one in extra)])
    starts = np.concatenate([runs.starts, *(one.starts for _, _, one in extra)])
    ends = np.concatenate([runs.ends, *(one.ends for _, _, one in extra)])
    weights = np.concatenate([runs.weights, *(np.ones(len(one)) for _, _, one in extra)])
    offsets = np.searchsorted(rows, np.arange(first + len(retired) + 1)).astype(np.int32)
    values = [pa.array(one.astype(np.int64)) for one in (partitions, starts, ends, weights)]
    struct = pa.StructArray.from_arrays(values, fields=list(_RUN))
    return pa.ListArray.from_arrays(pa.array(offsets), struct)


def _parsed_runs(column: Any) -> Runs:
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    struct = column.flatten()
    partitions, starts, ends, weights = (
        struct.field(name).to_numpy(zero_copy_only=False).astype(np.int64)
        for name in ("partition", "start", "end", "times")
    )
    bad = (partitions < 0) | (partitions > MAX_PARTITION) | (starts < 0) | (ends <= starts) | (weights < 1)
    if struct.null_count or bool(bad.any()):
        raise ValueError("a run is no range of offsets")
    rows = np.repeat(np.arange(len(column), dtype=np.int64), lengths)
    return Runs(rows, partitions, starts, ends, weights)
