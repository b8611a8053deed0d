"""Who wrote offsets more than once, against a count of single offsets."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.copies import REMEMBERED, Tracing, WrittenTwice, told_writers, untraced
from lineage_pipeline.core.coverage import CoverageBuilder, PartitionCoverage
from lineage_pipeline.core.offsets import OffsetRange
from tests.core.worlds import Row, rows_of

runs = st.tuples(st.sampled_from([None, "w1", "w2", "w3"]), st.integers(0, 1), st.integers(0, 20), st.integers(1, 9))
Run = tuple[str | None, int, int, int]


def coverage_of(written: list[Run]) -> dict[int, PartitionCoverage]:
    builder = CoverageBuilder()
    builder.add(rows_of([Row(partition, start, start + length) for _, partition, start, length in written]))
    return builder.build()


def traced(written: list[Run], wanted: tuple[WrittenTwice, ...]) -> tuple[WrittenTwice, ...]:
    tracing = Tracing(wanted)
    for writer, partition, start, length in written:
        tracing.add(writer, rows_of([Row(partition, start, start + length)]))
    return tracing.found()


@settings(max_examples=200, deadline=None)
@given(st.lists(runs, max_size=8))
def test_every_repeated_offset_gets_exactly_the_writers_of_its_range(written: list[Run]) -> None:
    wanted = untraced(coverage_of(written), (), 100)
    times: dict[tuple[int, int], list[str]] = {}
    for writer, partition, start, length in written:
        for offset in range(start, start + length):
            times.setdefault((partition, offset), []).append(writer or "")
    repeated = {place for place, writers in times.items() if len(writers) > 1}
    found = traced(written, wanted)
    assert {(one.partition, offset) for one in found for offset in range(one.range.start, one.range.end)} == repeated
    for one in found:
        places = [(one.partition, offset) for offset in range(one.range.start, one.range.end)]
        assert all(len(times[place]) == one.depth for place in places)
        assert one.writers == tuple(sorted({writer for place in places for writer in times[place]}))
        assert one.whole
    assert not untraced(coverage_of(written), found, 100)


def test_a_further_copy_is_looked_up_again_and_the_rest_is_not() -> None:
    written: list[Run] = [("w1", 0, 0, 20), ("w2", 0, 5, 3), ("w2", 0, 10, 3)]
    found = traced(written, untraced(coverage_of(written), (), 100))
    (again,) = untraced(coverage_of([*written, ("w3", 0, 10, 3)]), found, 100)
    assert (again.range, again.depth) == (OffsetRange(10, 13), 3)


def test_what_was_not_found_is_not_whole_and_no_more_is_looked_for_than_is_remembered() -> None:
    written: list[Run] = [("w1", 0, 0, 20), ("w2", 0, 5, 3)]
    (one,) = traced(written[1:], untraced(coverage_of(written), (), 100))
    assert (one.writers, one.whole) == (("w2",), False)
    known = [WrittenTwice(1, OffsetRange(at, at + 1), 2) for at in range(REMEMBERED)]
    assert untraced(coverage_of(written), known, 100) == ()
    assert len(untraced(coverage_of(written), known[1:], 100)) == 1


def test_writers_are_told_in_words() -> None:
    one = WrittenTwice(0, OffsetRange(0, 1), 2, ("w1",), whole=True)
    assert told_writers([]) == ""
    assert told_writers([replace(one, writers=(), whole=False)]) == ""
    assert told_writers([one]) == "by w1 alone"
    assert told_writers([one, replace(one, writers=("", "w2"))]) == "by rows that name no writer, w1 and w2"
    assert told_writers([replace(one, whole=False)]) == "by w1 and rows in index files that were not looked at"
    many = replace(one, writers=tuple(f"w{number}" for number in range(9)))
    assert told_writers([many]) == "by w0, w1, w2, w3 and 5 more writers"
