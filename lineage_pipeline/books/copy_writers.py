"""Who wrote offsets more than once: index files read again, the newest days first, until all rows are found.

The writers of a range are looked for once and then remembered; how many files that may cost is bounded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from lineage_pipeline.books.index_file import read_rows_by_writer
from lineage_pipeline.books.index_files import work_through
from lineage_pipeline.books.object_store import ObjectStore
from lineage_pipeline.core.copies import Tracing, WrittenTwice
from lineage_pipeline.core.offset_index import IndexRows
from lineage_pipeline.errors import IndexFileError

MAX_RANGES = 200
MAX_FILES = 500
_AT_ONCE = 50  # files fetched before it is seen whether more are needed


def trace_writers(
    store: ObjectStore, keys: Iterable[str], wanted: Sequence[WrittenTwice], sealed: Container[str] = ()
) -> tuple[WrittenTwice, ...]:
    """The ranges with their writers, from at most MAX_FILES of the index files `keys`.

    `sealed` writers wrote for an earlier topic of the name. Never raises: of a file that cannot be read the
    audit itself says so, and what it holds is not among the writers.
    """
    tracing = Tracing(wanted)
    newest_first = sorted(keys, key=lambda key: (key.rpartition("/")[0], key), reverse=True)[:MAX_FILES]
    for start in range(0, len(newest_first), _AT_ONCE):
        if tracing.done:
            break
        for _, parts in work_through(store, newest_first[start : start + _AT_ONCE], _rows):
            if not isinstance(parts, IndexFileError):
                for writer, rows in parts:
                    if writer not in sealed:
                        tracing.add(writer, rows)
    return tracing.found()


def _rows(name: str, data: bytes) -> list[tuple[str | None, IndexRows]]:
    return list(read_rows_by_writer(name, data))
