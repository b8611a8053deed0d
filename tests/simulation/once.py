"""What costs a history much and is not what it is about, done once or left out while one is played.

Every audit of a history stands for a process of its own: it reads again, byte for byte, what others read before. Here
the same bytes are parsed once; that they always give the same value is for the tests of these readers to hold. Folds
are stored as they are otherwise, but not compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from lineage_pipeline.books import audit_state, fold_file, index_merge
from lineage_pipeline.core.offset_index import IndexRows

_KEPT = 512  # values of each reader: several histories' worth


def _kept(read: Callable[..., Any]) -> Callable[..., Any]:
    return lru_cache(_KEPT)(read)


@lru_cache(_KEPT)
def _rows(name: str, data: bytes) -> tuple[tuple[str | None, IndexRows], ...]:
    return tuple(_READ_ROWS(name, data))


_READ_ROWS = index_merge.read_rows_by_writer
_INSTEAD = (
    (audit_state, "parse_entry", _kept(audit_state.parse_entry)),
    (audit_state, "parse_fold", _kept(audit_state.parse_fold)),
    (index_merge, "read_rows_by_writer", _rows),
    (fold_file, "COMPRESSION", "none"),
)


@contextmanager
def read_once() -> Iterator[None]:
    """Within it audits read no bytes twice."""
    with ExitStack() as stack:
        for module, name, instead in _INSTEAD:
            stack.enter_context(patch.object(module, name, instead))
        yield
