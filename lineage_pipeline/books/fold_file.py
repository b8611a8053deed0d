"""The fold as one Parquet object: equal folds give equal bytes; what is not a whole fold gives LedgerError."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineage_pipeline.books.arrow_columns import int64_array, int64_values, string_array
from lineage_pipeline.core.coverage import PartitionCoverage, Repeats, Windows
from lineage_pipeline.core.fold import Fold, MergedFile, Owner, owner_key
from lineage_pipeline.core.ledger_events import Incarnation
from lineage_pipeline.core.offsets import Int64Array, RangeSet
from lineage_pipeline.errors import LedgerError

FORMAT = "lineage-fold/1"
COMPRESSION = "zstd"
_RUN, _REPEAT, _WINDOW, _TOTAL, _FILE = range(5)
_NUMBERS = ("kind", "owner", "partition", "start", "end", "value")  # of a file: value is its size
_SCHEMA = pa.schema([*((name, pa.int64()) for name in _NUMBERS), ("key", pa.string()), ("etag", pa.string())])
_FOREIGN = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError)


def fold_bytes(fold: Fold, topic: str) -> bytes:
    """The fold of `topic` as Parquet: rows ordered by kind, owner, partition, start; files by key."""
    owners = sorted(fold.coverage, key=owner_key)
    numbers = [block for number, owner in enumerate(owners) for block in _blocks(number, fold.coverage[owner])]
    keys = sorted(fold.files)
    files = np.zeros((len(keys), len(_NUMBERS)), dtype=np.int64)
    files[:, 0] = _FILE
    files[:, 5] = [fold.files[key].size for key in keys]
    table = np.concatenate([*numbers, files])
    table = table[np.lexsort(tuple(table[:, column] for column in (3, 2, 1, 0)))]  # stable: files stay ordered by key
    nothing: list[str | None] = [None] * (len(table) - len(keys))
    columns = [int64_array(table[:, index]) for index in range(len(_NUMBERS))]
    columns.append(string_array([*nothing, *keys]))
    columns.append(string_array([*nothing, *(fold.files[key].etag for key in keys)]))
    about = json.dumps({"format": FORMAT, "topic": topic, "owners": [_owner_json(owner) for owner in owners]})
    buffer = io.BytesIO()
    schema = _SCHEMA.with_metadata({"lineage": about})
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema), buffer, compression=COMPRESSION, write_statistics=False
    )
    return buffer.getvalue()


def parse_fold(data: bytes, topic: str) -> Fold:
    """The fold that fold_bytes wrote. Raises LedgerError for another topic's, another version's, or no fold at all."""
    try:
        # threads and the data set layer cost more than they save on one small object
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(use_threads=False)
        about = json.loads(table.schema.metadata[b"lineage"])
        if about["format"] != FORMAT or about["topic"] != topic:
            text = f"the fold has the format {about['format']!r} and is of topic {about['topic']!r}"
            raise LedgerError(f"{text}, this version reads {FORMAT!r} and wants {topic!r}")
        owners = [_owner(one) for one in about["owners"]]
        numbers = np.stack([int64_values(table[name]) for name in _NUMBERS], axis=1)
        files = table.slice(int(np.searchsorted(numbers[:, 0], _FILE)))
        columns = (files[name].to_pylist() for name in ("key", "value", "etag"))
        merged = {key: MergedFile(size, etag) for key, size, etag in zip(*columns, strict=True)}
        return Fold(_coverage(numbers, owners), merged)
    except _FOREIGN as error:
        raise LedgerError(f"the fold is not readable ({' '.join(str(error).split())[:120]})") from None


def _blocks(owner: int, partitions: Any) -> Iterator[Any]:
    for partition, one in partitions.items():
        yield _block(_RUN, owner, partition, (one.exact.starts, one.exact.ends, None))
        yield _block(_REPEAT, owner, partition, (one.repeats.starts, one.repeats.ends, one.repeats.depths))
        yield _block(_WINDOW, owner, partition, (one.windows.starts, one.windows.ends, one.windows.counts))
        total = np.array([one.rows]), np.array([one.quarantined]), None
        yield _block(_TOTAL, owner, partition, total)


def _block(kind: int, owner: int, partition: int, values: tuple[Any, Any, Any]) -> Any:
    block = np.zeros((values[0].size, len(_NUMBERS)), dtype=np.int64)
    block[:, 0], block[:, 1], block[:, 2] = kind, owner, partition
    for column, value in zip((3, 4, 5), values, strict=True):
        if value is not None:
            block[:, column] = value
    return block


def _coverage(numbers: Any, owners: list[Owner]) -> dict[Owner, dict[int, PartitionCoverage]]:
    parts: dict[tuple[int, int], dict[int, Any]] = {}
    rows = numbers[: int(np.searchsorted(numbers[:, 0], _FILE))]
    if len(rows):
        border = np.flatnonzero((rows[1:, :3] != rows[:-1, :3]).any(axis=1)) + 1
        for block in np.split(rows, border):
            kind, owner, partition = block[0, :3].tolist()
            parts.setdefault((owner, partition), {})[kind] = np.ascontiguousarray(block[:, 3:].T)
    found: dict[Owner, dict[int, PartitionCoverage]] = {owner: {} for owner in owners}
    for (owner, partition), by_kind in sorted(parts.items()):
        found[owners[owner]][partition] = _partition(by_kind)
    return found


def _partition(by_kind: dict[int, Any]) -> PartitionCoverage:
    none: Int64Array = np.zeros((3, 0), dtype=np.int64)
    runs = by_kind.get(_RUN, none)
    rows, quarantined, _ = by_kind[_TOTAL][:, 0].tolist()
    return PartitionCoverage(
        exact=RangeSet(runs[0], runs[1]),
        repeats=Repeats(*by_kind.get(_REPEAT, none)),
        windows=Windows(*by_kind.get(_WINDOW, none)),
        rows=rows,
        quarantined=quarantined,
    )


def _owner_json(owner: Owner) -> Any:
    return [owner.cluster_id, owner.topic_id] if isinstance(owner, Incarnation) else owner


def _owner(value: Any) -> Owner:
    if isinstance(value, list):
        return Incarnation(str(value[0]), None if value[1] is None else str(value[1]))
    return None if value is None else str(value)
