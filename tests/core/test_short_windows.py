"""Index rows that count fewer records than offsets, held against sets of single offsets."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.coverage import CoverageBuilder
from lineage_pipeline.core.short_windows import short_spans
from tests.core.worlds import SPAN, Row, rows_of, spans, together


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], int, int]:
    """Rows, and bounds that often are an end of one of them."""
    found = [Row(0, *one) for one in draw(st.lists(spans(), max_size=2))]
    for start, end in draw(st.lists(spans(), min_size=1, max_size=5)):
        found.append(Row(0, start, end, count=draw(st.integers(1, end - start + 2))))
    edges = [0, SPAN, *(row.start for row in found), *(row.end for row in found)]
    bounds = st.just(0) | st.sampled_from(edges), st.just(SPAN) | st.sampled_from(edges)
    return draw(st.permutations(found)), draw(bounds[0]), draw(bounds[1])


@settings(max_examples=300, deadline=None)
@given(cases())
@example(([Row(0, 0, 10, count=8), Row(0, 3, 5)], 0, SPAN))  # its eight may be all the others
def test_a_span_is_short_when_its_rows_together_count_fewer_records_than_it_has_offsets_of_its_own(
    case: tuple[list[Row], int, int],
) -> None:
    rows, start, end = case
    builder = CoverageBuilder()
    builder.add(rows_of(rows))
    exact = {offset for row in rows if row.exact for offset in range(row.start, row.end)}
    expected = [
        (min(offsets), max(offsets) + 1, count, offsets - exact)
        for offsets, count in together(rows)
        if start <= min(offsets) and max(offsets) < end and count < len(offsets - exact)
    ]
    found = [
        (one.range.start, one.range.end, one.count, {o for part in one.loose for o in range(part.start, part.end)})
        for one in short_spans(builder.build()[0], start, end)
    ]
    assert found == sorted(expected, key=lambda one: one[0])
