"""Pure: Arrow arrays of numbers and of text from and to their buffers, as `pa.array` and `Array.to_numpy` give them.

Those two import pandas, wherever it is installed, to ask whether the values are its own: a third of the processor time
of a short audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lineage_pipeline.core.offsets import Int64Array

_LONGEST = 2**31 - 1  # bytes of text that one Arrow array can hold


def int64_array(values: Int64Array) -> Any:
    """One dimension of numbers, none of them null."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def int64_values(column: Any) -> Int64Array:
    """The numbers of an array, of one or of many chunks. Raises ValueError for a null, ArrowInvalid for no int64."""
    parts = [_numbers(one) for one in (column.chunks if isinstance(column, pa.ChunkedArray) else [column]) if len(one)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _numbers(array: Any) -> Int64Array:
    if array.null_count:
        raise ValueError("a null is no number")
    if array.type == pa.int32():  # the job's partitions; measured: a cast by Arrow costs twenty times as much
        return np.frombuffer(array.buffers()[1], np.int32, len(array), array.offset * 4).astype(np.int64)
    if array.type != pa.int64():
        array = array.cast(pa.int64())
    return np.frombuffer(array.buffers()[1], np.int64, len(array), array.offset * 8)


def string_array(values: Sequence[str | None]) -> Any:
    """Text, null where it is None. Raises UnicodeEncodeError for what is no text."""
    texts = [None if one is None else one.encode() for one in values]
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([0 if one is None else len(one) for one in texts], out=ends[1:])
    if ends[-1] > _LONGEST:
        return pa.array(values, pa.string())  # in several chunks
    present = np.array([one is not None for one in texts], dtype=np.bool_)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [validity, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(one for one in texts if one))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)
