"""Pure: index rows that count fewer records than offsets, and whether more records are readable there than they count.

The original Java job writes such rows. Which offsets of the span they mean nobody can tell, but a span in which the
broker still has more records than all its rows count has lost some: a loss, though not an exact one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lineage_pipeline.core.coverage import PartitionCoverage, Windows
from lineage_pipeline.core.offsets import OffsetRange, RangeSet, exact_sum


@dataclass(frozen=True)
class ShortSpan:
    """Inexact rows that overlap each other: `count` records in `range`; no exact row has the offsets of `loose`."""

    range: OffsetRange
    count: int
    loose: RangeSet


def short_spans(coverage: PartitionCoverage, start: int, end: int) -> Iterator[ShortSpan]:
    """The spans of inexact rows within [start, end) that count fewer records than they have loose offsets.

    A span that the bounds cut is left out: which of its records lie inside is not known.
    """
    for span, count in _overlapping(coverage.windows):
        loose = RangeSet.of(span).difference(coverage.exact)
        if start <= span.start and span.end <= end and count < loose.total:
            yield ShortSpan(span, count, loose)


def proven_short(spans: Iterable[ShortSpan], readable: RangeSet, confirmed: RangeSet) -> list[tuple[ShortSpan, int]]:
    """The spans with more readable records than they count, each with the number of readable ones.

    Only those that an earlier look saw (`confirmed`): a listing is no snapshot, so a further row may just be coming.
    """
    found = []
    for span in spans:
        seen = readable.intersection(span.loose).total
        if seen > span.count and not len(span.loose.difference(confirmed)):
            found.append((span, seen))
    return found


def _overlapping(windows: Windows) -> Iterator[tuple[OffsetRange, int]]:
    """Rows that share offsets, together; neighbours stay apart, or what one counts twice would hide another's loss."""
    if not len(windows):
        return
    order = np.argsort(windows.starts, kind="stable")
    starts, counts = windows.starts[order], windows.counts[order]
    reach = np.maximum.accumulate(windows.ends[order])
    heads = [0, *(np.flatnonzero(starts[1:] >= reach[:-1]) + 1).tolist()]
    for head, stop in zip(heads, [*heads[1:], starts.size], strict=True):
        yield OffsetRange(int(starts[head]), int(reach[stop - 1])), exact_sum(counts[head:stop])
