"""Events as strict lines, their replay, and checkpoints that say the same in fewer words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core.clocks import credible
from lineage_pipeline.core.copies import WrittenTwice
from lineage_pipeline.core.ledger import LedgerState, replay, same_topic
from lineage_pipeline.core.ledger_checkpoint import condensed, thinned
from lineage_pipeline.core.ledger_entry import LedgerHead, entry_bytes, linked, parse_entry, parse_head
from lineage_pipeline.core.ledger_events import (
    BaselineResolved,
    BaselinesLeft,
    Event,
    FilesVanished,
    FoldWritten,
    GapAccepted,
    GapChanged,
    HoleResolved,
    Incarnation,
    IncarnationOpened,
    IncarnationSealed,
    Judged,
    LakeLooked,
    LogTruncated,
    Looked,
    Proven,
    Reached,
    Restarted,
    Verified,
    WritersSeen,
)
from lineage_pipeline.core.ledger_json import event_line, parse_event
from lineage_pipeline.core.memory import Counted, Damage, Memory, Observation, ObservedPartition
from lineage_pipeline.core.offsets import EMPTY, OffsetRange, RangeSet
from lineage_pipeline.errors import LedgerError

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
A, B = Incarnation("c", "a"), Incarnation("c", "b")
SETTLE, MAX_DELAY = 180.0, 900.0

times = st.integers(0, 10_000).map(lambda seconds: NOW + timedelta(seconds=seconds, microseconds=seconds))
offsets = st.integers(0, 2**63 - 1)
partitions = st.integers(0, 3)
range_sets = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=3).map(
    lambda pairs: RangeSet.from_pairs((start, start + length) for start, length in pairs)
)
by_partition = st.dictionaries(partitions, range_sets.filter(len), max_size=2)
ends = st.dictionaries(partitions, offsets, max_size=2)
texts = st.text(max_size=8)
incarnations = st.sampled_from([A, B, Incarnation("d", None)])
verdicts = st.sampled_from(["complete", "undetermined", "loss"])
maybe = st.none() | offsets
seen = st.builds(ObservedPartition, maybe, maybe, maybe, range_sets, maybe, maybe)
looks = st.builds(
    lambda at, *rest: Looked(at, at + timedelta(seconds=1), *rest),
    times,
    verdicts,
    st.sampled_from(["full", "open-days"]),
    ends,
    st.dictionaries(partitions, seen, max_size=2),
    st.none() | st.tuples(offsets, offsets),
    st.booleans(),
)
damage = st.builds(
    Damage, partitions, range_sets, st.sampled_from(["object-missing", "object-changed", "not-committed"]), texts
)
lake_looks = st.builds(LakeLooked, times, by_partition, st.lists(damage, max_size=2).map(tuple), ends)
millis = st.none() | st.sampled_from([-(2**63), 0, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
facts: st.SearchStrategy[Event] = st.one_of(
    looks,
    lake_looks,
    st.builds(Restarted, times, texts),
    st.builds(BaselineResolved, partitions, offsets, texts),
    st.builds(BaselinesLeft, times, texts, ends),
    st.builds(IncarnationOpened, times, incarnations),
    st.builds(IncarnationSealed, times, incarnations, verdicts, st.lists(texts, max_size=2).map(tuple)),
    st.builds(
        WrittenTwice,
        partitions,
        st.just(OffsetRange(3, 9)),
        st.integers(2, 9),
        st.lists(texts, max_size=2).map(tuple),
        st.booleans(),
    ),
    st.builds(WritersSeen, st.lists(texts, max_size=2).map(tuple)),
    st.builds(FilesVanished, times, by_partition),
    st.builds(LogTruncated, times, by_partition),
    st.builds(
        HoleResolved, times, partitions, range_sets.filter(len), st.just("explained"), st.just("aborted"), texts, millis
    ),
    st.builds(GapAccepted, times, st.none() | incarnations, partitions, st.just(OffsetRange(3, 9)), texts, texts),
    st.builds(
        GapChanged,
        times,
        st.none() | incarnations,
        partitions,
        range_sets,
        st.sampled_from(["opened", "healed", "accepted"]),
    ),
    st.builds(Judged, by_partition),
    st.builds(FoldWritten, texts),
    st.builds(Verified, times, verdicts, offsets, by_partition, by_partition),
    st.builds(Proven, st.dictionaries(partitions, st.tuples(offsets, times), max_size=2)),
)
reached = st.builds(Reached, st.integers(0, 9), ends, ends, by_partition, st.booleans(), st.booleans())


@settings(max_examples=250, deadline=None)
@given(facts | reached)
def test_an_event_is_one_line_and_comes_back_as_it_was(event: Event) -> None:
    line = event_line(event)
    assert "\n" not in line
    assert parse_event(line) == event
    assert event_line(parse_event(line)) == line


@settings(max_examples=200, deadline=None)
@given(facts | reached)
def test_a_field_more_or_less_is_refused(event: Event) -> None:
    raw = json.loads(event_line(event))
    name = next(key for key in raw if key != "event")  # no field that was added later comes first
    for changed in ({**raw, "meaning": 1}, {key: value for key, value in raw.items() if key != name}):
        with pytest.raises(LedgerError, match="exactly the fields"):
            parse_event(json.dumps(changed))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something is that could be something else."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(found for key, one in inner for found in places(one, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new) if path[1:] else new
    return copy


@settings(max_examples=250, deadline=None)
@given(facts | reached, st.data())
def test_a_line_with_any_other_value_is_refused_or_says_exactly_that_value(event: Event, data: st.DataObject) -> None:
    raw = json.loads(event_line(event))
    path = data.draw(st.sampled_from(places(raw)))
    new = data.draw(
        st.sampled_from(
            [
                *(None, True, False, 0, 1, -1, 1.0, 2**63, 2**64, "", "x", "xy", [], [[1, 2]], ["x", "y"]),
                *({}, {"x": 1, "y": 2}, {"1": [], "2": []}, [{"1": 1, "2": 2}]),
            ]
        )
    )
    changed = put(raw, path, new)
    try:
        found = parse_event(json.dumps(changed))
    except LedgerError:
        return
    assert json.dumps(json.loads(event_line(found)), sort_keys=True) == json.dumps(changed, sort_keys=True)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{",
        '{"event":"later-kind"}',
        '{"event":["look"]}',
        '{"event":"baseline","partition":-1,"offset":0,"source":""}',
        '{"event":"baseline","partition":0,"offset":true,"source":""}',
        '{"event":"baseline","partition":0,"offset":9223372036854775808,"source":""}',
        '{"event":"baseline","partition":0,"offset":1.0,"source":""}',
        '{"event":"judged","partitions":{"0":[[5,3]]}}',
        '{"event":"judged","partitions":{"0":[[3,5],[5,7]]}}',
        '{"event":"judged","partitions":{"0":[[3]]}}',
        '{"event":"judged","partitions":[]}',
        '{"event":"judged","partitions":{"x":[]}}',
        '{"event":"judged","partitions":{"1":[],"01":[]}}',
        '{"event":"incarnation-opened","at":"2026-11-22T22:00:00.000000Z","incarnation":null}',
        '{"event":"incarnation-opened","at":"yesterday","incarnation":["c","t"]}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"explained","cause":"magic","evidence":""}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"missing","cause":"repairable","evidence":"","first_timestamp":9223372036854775808}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"missing","cause":"repairable","evidence":"","first_timestamp":-9223372036854775809}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"lost","cause":"repairable","evidence":""}',
        '{"event":"incarnation-sealed","at":"2026-11-22T22:00:00.000000Z","incarnation":["c","t"],"verdict":"good",'
        '"writers":[]}',
        '{"event":"gap","at":"2026-11-22T22:00:00.000000Z","incarnation":null,"partition":0,"ranges":[],'
        '"status":"closed"}',
        '{"event":"lake-looked","finished_at":"2026-11-22T22:00:00.000000Z","absent":{},'
        '"damage":[[0,[[1,2]],"magic",""]]}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"missing","cause":"repairable","evidence":"","first_timestamp":true}',
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"missing","cause":"repairable","evidence":"","first_timestamp":1.5}',
        '{"event":"fold","digest":7}',
        '{"event":"writers","writers":"xy"}',
        '{"event":"incarnation-opened","at":"2026-11-22T22:00:00.000000Z","incarnation":"ct"}',
        '{"event":"judged","partitions":{"0":{}}}',
        '{"event":"judged","partitions":{"2147483648":[]}}',
        '{"event":"judged","partitions":{"-1":[]}}',
    ],
)
def test_a_value_that_cannot_be_is_refused(line: str) -> None:
    with pytest.raises(LedgerError):
        parse_event(line)


@pytest.mark.parametrize(
    "event",
    [
        BaselineResolved(2**31 - 1, 2**63 - 1, "the last offset of the last partition"),
        Judged({0: EMPTY, 2**31 - 1: RangeSet.of((0, 2**63 - 1))}),
        HoleResolved(NOW, 0, RangeSet.of((1, 2)), "explained", "aborted", "x", -(2**63)),
        HoleResolved(NOW, 0, RangeSet.of((1, 2)), "explained", "aborted", "x", 2**63 - 1),
        LakeLooked(NOW, {0: RangeSet.of((3, 5))}, (Damage(0, RangeSet.of((3, 4)), "not-committed", "x"),), {0: 7}),
    ],
)
def test_the_largest_values_there_can_be_are_read(event: Event) -> None:
    assert parse_event(event_line(event)) == event


def test_an_error_shows_no_more_of_a_value_than_fits_a_line() -> None:
    with pytest.raises(LedgerError, match=f"event '{'k' * 80}' is not known"):
        parse_event(json.dumps({"event": "k" * 500}))
    with pytest.raises(LedgerError) as caught:
        parse_event(json.dumps({"event": "baseline", "partition": "p" * 500, "offset": 0, "source": ""}))
    assert str(caught.value).count("p" * 119) == 1
    assert "p" * 120 not in str(caught.value)


def without_holes(look: Looked) -> Looked:
    return replace(look, partitions={one: replace(seen, holes=EMPTY) for one, seen in look.partitions.items()})


def unthinned(state: LedgerState) -> LedgerState:
    return replace(state, looks=(), lake_looks=())


@settings(max_examples=250, deadline=None)
@given(st.lists(facts, max_size=12))
def test_a_checkpoint_says_what_all_events_before_it_said(events: list[Event]) -> None:
    state = replay(events)
    again = replay(condensed(state, SETTLE, MAX_DELAY))
    assert unthinned(again) == unthinned(state)
    known = [*state.looks, *map(without_holes, state.looks)]
    assert all(one in known for one in again.looks)
    assert all(one in state.lake_looks for one in again.lake_looks)
    assert bool(again.lake_looks) == bool(state.lake_looks)
    if state.looks:
        believed = credible(state.looks)
        newest = max(one.finished_at for one in believed)
        assert newest in {one.finished_at for one in again.looks}
        assert again.looks[-1].finished_at == (newest if state.looks[-1] in believed else state.looks[-1].finished_at)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_frequent_audits_never_push_out_the_look_that_counts(gaps: list[int]) -> None:
    """At every moment some kept look is old enough if some look ever was, and not much older than need be."""
    at, kept, all_looks = NOW, (), []
    for gap in gaps:
        at += timedelta(seconds=gap)
        look = Looked(at, at, "complete", "full")
        all_looks.append(look)
        kept = thinned((*kept, look), SETTLE, MAX_DELAY)
        for age in (SETTLE, MAX_DELAY):
            old = [one for one in all_looks if (at - one.finished_at).total_seconds() >= age]
            held = [one for one in kept if (at - one.finished_at).total_seconds() >= age]
            assert bool(held) == bool(old)
            if old:
                late = (old[-1].finished_at - held[-1].finished_at).total_seconds()
                assert late <= MAX_DELAY / 2
    assert len(kept) <= 16
    assert kept[-1] is all_looks[-1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=40))
def test_of_looks_at_the_lake_the_newest_and_the_one_that_counts_stay(gaps: list[int]) -> None:
    at, state, all_looks = NOW, LedgerState(), []
    for number, gap in enumerate(gaps):
        at += timedelta(seconds=gap)
        # what the next audit goes by: some look is old enough if one ever was, and not much older than need be
        old = [one for one in all_looks if (at - one.finished_at).total_seconds() >= SETTLE]
        held = [one for one in state.lake_looks if (at - one.finished_at).total_seconds() >= SETTLE]
        assert bool(held) == bool(old)
        if old:
            assert (old[-1].finished_at - held[-1].finished_at).total_seconds() <= SETTLE / 4
        look = LakeLooked(at, {0: RangeSet.of((number, number + 1))})
        all_looks.append(look)
        # of entries of two audits at once the one that ended first may come last
        state = replay(condensed(replay([*state.lake_looks[:-1], look, *state.lake_looks[-1:]]), SETTLE, MAX_DELAY))
        assert state.lake_looks[-1] == look
        assert list(state.lake_looks) == sorted(state.lake_looks, key=lambda one: one.finished_at)
        assert len(state.lake_looks) <= 6


@pytest.mark.parametrize(
    ("every", "kept", "of_the_lake"),
    [
        (45, [1080, 855, 630, 405, 360, 315, 270, 225, 180, 135, 90, 45, 0], [180, 135, 90, 45, 0]),
        (60, [1140, 900, 660, 420, 360, 300, 240, 180, 120, 60, 0], [180, 120, 60, 0]),
        (5, [1120, 895, 670, 445, 355, 310, 265, 220, 175, 130, 85, 40, 0], [220, 175, 130, 85, 40, 0]),
    ],
)
def test_audits_that_follow_each_other_keep_looks_of_these_ages(
    every: int, kept: list[int], of_the_lake: list[int]
) -> None:
    at, state = NOW, LedgerState()
    for _ in range(2 * 3600 // every):
        at += timedelta(seconds=every)
        looked = [Looked(at, at, "complete", "full"), LakeLooked(at, {})]
        state = replay(condensed(replay(looked, state), SETTLE, MAX_DELAY))
    assert [(at - one.finished_at).total_seconds() for one in state.looks] == kept
    assert [(at - one.finished_at).total_seconds() for one in state.lake_looks] == of_the_lake
    assert state.look_count == 2 * 3600 // every


def test_to_measure_the_log_looks_of_two_years_are_kept_and_those_without_the_broker_are_none() -> None:
    def look(age: float, *, broker: bool = True) -> Looked:
        at = NOW - timedelta(seconds=age)
        return Looked(at, at, "complete", "full", {}, {0: ObservedPartition(9, 9, 9)} if broker else {})

    doublings = [look(MAX_DELAY * 2**power + 1) for power in range(18, -1, -1)]
    unread = [look(MAX_DELAY * 2**power + 2, broker=False) for power in range(18, -1, -1)]
    found = thinned((*unread, *doublings, look(MAX_DELAY + 0.5), look(0)), SETTLE, MAX_DELAY)
    ages = [(NOW - one.finished_at).total_seconds() for one in found]
    assert ages == [*(MAX_DELAY * 2**power + 1 for power in range(15, -1, -1)), MAX_DELAY + 0.5, 0]


def test_a_checkpoint_begins_with_the_topic_since_the_first_look_at_it() -> None:
    look = Looked(NOW, NOW + timedelta(seconds=9), "complete", "full")
    opened = replay([IncarnationOpened(NOW - timedelta(days=1), A)])
    assert condensed(replay([look], opened), SETTLE, MAX_DELAY)[0] == IncarnationOpened(NOW, A)
    assert replay(condensed(opened, SETTLE, MAX_DELAY)).incarnation == A
    assert not any(isinstance(one, IncarnationOpened) for one in condensed(replay([look]), SETTLE, MAX_DELAY))


def test_a_checkpoint_knows_what_the_looks_showed_that_it_does_not_keep() -> None:
    looks = [
        Looked(at, at, "complete", "full", {0: 50 - number}, {0: ObservedPartition(9, 90 - number, 9)}, refused=True)
        for number, at in enumerate(NOW + timedelta(seconds=one) for one in range(9))
    ]
    state = replay([*looks, GapChanged(NOW, A, 0, RangeSet.of((1, 9)), "opened")])
    again = replay(condensed(state, SETTLE, MAX_DELAY))
    assert len(again.looks) == 2
    assert (again.look_count, again.index_ends, again.high_watermarks, again.refused) == (9, {0: 50}, {0: 90}, True)
    assert again.open_gaps == {0: RangeSet.of((1, 9))}


def test_a_look_of_every_age_stays_to_measure_how_long_the_log_keeps_records() -> None:
    """Audits every five minutes for forty days: few looks are kept, and behind each age there is one not much older."""
    at, kept = NOW, ()
    for number in range(40 * 288):
        at += timedelta(minutes=5)
        seen = ObservedPartition(9, 9, 9, RangeSet.of((1, 2)), log_start=number)
        kept = thinned((*kept, Looked(at, at, "complete", "full", {}, {0: seen})), SETTLE, MAX_DELAY)
        ages = [(at - one.finished_at).total_seconds() for one in kept]
        oldest = 300.0 * number
        age = 2 * MAX_DELAY
        while 4 * age <= oldest:
            assert any(age <= one <= 4 * age for one in ages), (number, age, ages)
            age *= 2
    assert len(kept) <= 16 + 16
    old = [one for one in kept if (at - one.finished_at).total_seconds() > 2 * MAX_DELAY]
    assert len(old) > 8
    assert all(not len(one.partitions[0].holes) for one in old)  # what once was a hole needs two looks again
    assert old[0].partitions[0].log_start is not None


def test_what_a_version_without_log_starts_and_timestamps_wrote_is_still_read() -> None:
    look = (
        '{"event":"looked","began_at":"2026-11-22T22:00:00.000000Z","finished_at":"2026-11-22T22:00:00.000000Z",'
        '"verdict":"complete","listing":"full","index_ends":{},"partitions":{"0":[9,9,null,[[1,2]]]}}'
    )
    seen = parse_event(look)
    assert isinstance(seen, Looked)
    assert seen.partitions[0] == ObservedPartition(9, 9, None, RangeSet.of((1, 2)), log_start=None)
    later = parse_event(look.replace("[[1,2]]]", "[[1,2]],7]"))
    assert isinstance(later, Looked)
    assert later.partitions[0] == ObservedPartition(9, 9, None, RangeSet.of((1, 2)), log_start=7)
    with pytest.raises(LedgerError):
        parse_event(look.replace("[[1,2]]]", "[[1,2]],7,3,1]"))
    assert (seen.counted, seen.refused) == (None, False)
    hole = (
        '{"event":"hole-resolved","at":"2026-11-22T22:00:00.000000Z","partition":0,"ranges":[[1,2]],'
        '"offset_class":"missing","cause":"repairable","evidence":"x"}'
    )
    found = parse_event(hole)
    assert isinstance(found, HoleResolved)
    assert found.first_timestamp is None
    reached = parse_event(
        '{"event":"reached","looks":1,"index_ends":{},"high_watermarks":{},"open_gaps":{},'
        '"rows_without_writer_doubtful":true}'
    )
    assert reached == Reached(1, {}, {}, {}, rows_without_writer_doubtful=True, refused=False)


def test_a_ledger_without_entries_knows_nothing_and_doubts_nothing() -> None:
    state = replay([])
    assert state.memory() == Memory()
    assert (state.look_count, state.rows_without_writer_doubtful, state.refused) == (0, False, False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (A, A, True),
        (A, B, False),
        (A, Incarnation("d", "a"), False),
        (A, Incarnation("c", None), True),  # that broker knows no ids
        (Incarnation("c", None), A, True),
        (A, Incarnation("d", None), False),
    ],
)
def test_a_topic_is_the_same_when_cluster_and_id_are_as_far_as_they_are_known(
    one: Incarnation, other: Incarnation, *, same: bool
) -> None:
    assert same_topic(one, other) is same


def test_the_ends_that_were_ever_seen_only_grow() -> None:
    looks = [
        Looked(NOW, NOW, "complete", "full", {0: 5, 1: 0}, {0: ObservedPartition(7, 7), 1: ObservedPartition()}),
        Looked(NOW, NOW, "complete", "full", {0: 3, 2: 1}, {0: ObservedPartition(6, 6), 2: ObservedPartition(2, 2)}),
    ]
    state = replay(looks)
    assert (state.index_ends, state.high_watermarks) == ({0: 5, 1: 0, 2: 1}, {0: 7, 1: 0, 2: 2})
    assert state.memory().looks == state.look_count == 2


def test_only_looks_with_the_broker_are_observations_and_only_those_that_read_the_index_counted() -> None:
    counted = Looked(NOW, NOW, "complete", "full", {}, {}, (9, 2))
    observed = Looked(NOW, NOW + timedelta(seconds=1), "complete", "full", {}, {0: ObservedPartition(7, 7)})
    memory = replay([counted, observed]).memory()
    assert memory.counted == (Counted(NOW, 9, 2),)
    assert memory.observations == (Observation(NOW + timedelta(seconds=1), {0: ObservedPartition(7, 7)}),)


@pytest.mark.parametrize("kind", [FilesVanished, LogTruncated])
def test_what_vanished_or_was_cut_off_adds_up(kind: type[FilesVanished | LogTruncated]) -> None:
    found = [kind(NOW, {0: RangeSet.of((1, 3))}), kind(NOW, {0: RangeSet.of((5, 6)), 2: RangeSet.of((0, 1))})]
    memory = replay(found).memory()
    added = {0: RangeSet.of((1, 3), (5, 6)), 2: RangeSet.of((0, 1))}
    assert (memory.vanished, memory.truncated) == ((added, {}) if kind is FilesVanished else ({}, added))


def test_who_wrote_a_range_twice_is_what_was_found_last() -> None:
    one = WrittenTwice(0, OffsetRange(3, 9), 2, ("a",), whole=True)
    others = [replace(one, partition=1), replace(one, range=OffsetRange(3, 8))]
    again = replace(one, depth=3, writers=("a", "b"))
    assert replay([one, *others, again]).copies == (*others, again)


@pytest.mark.parametrize(
    ("causes", "transactional"),
    [((), False), (("compacted",), False), (("compacted", "aborted"), True), (("control-marker",), True)],
)
def test_one_marker_or_aborted_record_shows_that_a_topic_is_transactional(
    causes: tuple[str, ...], *, transactional: bool
) -> None:
    resolved = [HoleResolved(NOW, 0, RangeSet.of((1, 2)), "explained", one, "x") for one in causes]
    assert replay(resolved).memory().transactional is transactional


def test_an_accepted_gap_counts_for_its_topic_and_one_without_a_name_for_the_first_that_has_one() -> None:
    of_a, of_b = (GapAccepted(NOW, one, 0, OffsetRange(1, 2), "known", "ann") for one in (A, B))
    of_nobody = replace(of_a, incarnation=None, range=OffsetRange(5, 6))

    def counting(*events: Event) -> list[OffsetRange]:
        return [one.range for one in replay(events).memory().acceptances]

    assert counting(of_nobody) == [OffsetRange(5, 6)]
    assert counting(of_a, of_nobody) == [OffsetRange(1, 2), OffsetRange(5, 6)]  # no broker was asked yet
    assert counting(of_b, of_nobody, IncarnationOpened(NOW, A)) == [OffsetRange(5, 6)]
    assert counting(of_a, of_nobody, IncarnationOpened(NOW, A)) == [OffsetRange(1, 2), OffsetRange(5, 6)]
    assert counting(IncarnationOpened(NOW, A), of_nobody) == [OffsetRange(5, 6)]
    named = replay([of_a, of_b, of_nobody, IncarnationOpened(NOW, A)])
    assert named.acceptances == (of_a, of_b, replace(of_nobody, incarnation=A))
    assert [one.range for one in replay([IncarnationOpened(NOW, B)], named).memory().acceptances] == [OffsetRange(1, 2)]


def test_rows_of_nobody_are_doubtful_from_a_recreated_topic_until_a_person_begins_anew() -> None:
    sealed = replay([IncarnationOpened(NOW, A), IncarnationSealed(NOW, A, "loss"), IncarnationOpened(NOW, B)])
    assert sealed.rows_without_writer_doubtful
    again = replay([Restarted(NOW, "lost")], sealed)
    assert (again.rows_without_writer_doubtful, again.incarnation, again.is_sealed(A)) == (False, None, True)
    # the topic of before is the one that is audited again: it is no more sealed than the other
    assert not replay([IncarnationOpened(NOW, A)], again).is_sealed(A)
    both = replay([IncarnationSealed(NOW, B, "loss"), IncarnationOpened(NOW, A)], sealed)
    assert (both.is_sealed(A), both.is_sealed(B)) == (False, True)


def test_a_topic_is_sealed_once() -> None:
    """Of two audits at once that notice it the first counts."""
    first = IncarnationSealed(NOW, A, "complete", ("w",))
    state = replay([first, IncarnationSealed(NOW, A, "loss")])
    assert state.sealed == (first,)
    assert state.sealed_writers == {"w"}


def test_ranges_of_which_the_same_was_said_are_one_resolution() -> None:
    said = HoleResolved(NOW, 0, RangeSet.of((1, 2)), "explained", "aborted", "x")
    later = [
        replace(said, ranges=RangeSet.of((2, 3))),
        replace(said, ranges=RangeSet.of((5, 6)), at=NOW + timedelta(hours=1)),
        *(replace(said, partition=1), replace(said, cause="control-marker"), replace(said, evidence="y")),
        *(replace(said, first_timestamp=7), replace(said, offset_class="missing", cause="expired")),
        replace(said, ranges=RangeSet.of((9, 10))),
    ]
    found = replay([said, *later]).resolutions
    assert found[0] == replace(said, ranges=RangeSet.of((1, 3), (5, 6), (9, 10)))
    assert list(found[1:]) == later[2:-1]


def test_a_baseline_is_resolved_once_and_then_only_lowered() -> None:
    state = replay([BaselineResolved(0, 5, "first"), BaselineResolved(0, 9, "second")])
    assert state.memory().baselines == {0: 5}
    lowered = replay([BaselineResolved(0, 3, "third"), BaselineResolved(0, 4, "fourth")], state)
    assert (lowered.memory().baselines, lowered.memory().baseline_sources) == ({0: 3}, {0: "third"})


def test_a_baseline_that_a_person_told_is_never_lowered() -> None:
    state = replay([BaselineResolved(0, 5, "a person"), BaselineResolved(0, 3, "an audit at the same time")])
    assert state.memory().baselines == {0: 5}


def test_a_recreated_topic_forgets_everything_measured_and_nothing_said() -> None:
    look = Looked(NOW, NOW, "complete", "full", {0: 9}, {0: ObservedPartition(9, 9, 9)})
    accepted = GapAccepted(NOW, A, 0, OffsetRange(1, 2), "known", "ann")
    before = replay([IncarnationOpened(NOW, A), BaselineResolved(0, 5, "x"), look, accepted])
    after = replay([IncarnationSealed(NOW, A, "complete"), IncarnationOpened(NOW, B)], before)
    assert (after.baselines, after.looks, after.high_watermarks, after.index_ends) == ({}, (), {}, {})
    assert after.acceptances == (accepted,)
    assert after.memory().acceptances == ()  # it was of the other topic
    assert after.is_sealed(A)
    assert not after.is_sealed(B)
    assert "c/a" in after.memory().remarks[0]


def test_where_accounting_began_before_it_began_anew_is_history() -> None:
    first = [IncarnationOpened(NOW, A), BaselineResolved(0, 5, "x"), BaselineResolved(1, 0, "x")]
    begun = replay([*first, Restarted(NOW, "lost"), Restarted(NOW, "again"), BaselineResolved(0, 9, "a person")])
    assert begun.left == (BaselinesLeft(NOW, "lost", {0: 5, 1: 0}),)
    recreated = replay([IncarnationOpened(NOW, A), IncarnationSealed(NOW, A, "loss"), IncarnationOpened(NOW, B)], begun)
    assert recreated.left[1:] == (BaselinesLeft(NOW, "c/a was recreated or left", {0: 9}),)


def test_the_first_broker_ever_asked_names_what_was_seen_without_one() -> None:
    state = replay([BaselineResolved(0, 5, "x"), IncarnationOpened(NOW, A), IncarnationOpened(NOW, A)])
    assert state.memory().baselines == {0: 5}


def test_gaps_open_and_heal() -> None:
    opened = GapChanged(NOW, A, 0, RangeSet.of((1, 9)), "opened")
    state = replay([opened, GapChanged(NOW, A, 0, RangeSet.of((1, 4)), "healed")])
    assert state.open_gaps == {0: RangeSet.of((4, 9))}
    assert len(state.history) == 2
    assert replay([GapChanged(NOW, A, 0, RangeSet.of((4, 9)), "accepted")], state).open_gaps == {}


def test_wrong_values_stay_known_until_they_are_found_right() -> None:
    def verified(same: RangeSet, differing: RangeSet) -> Verified:
        found = {0: differing} if len(differing) else {}
        return Verified(NOW, "loss" if found else "complete", same.total, {0: same}, found)

    state = replay([verified(EMPTY, RangeSet.of((1, 9))), verified(RangeSet.of((3, 5)), RangeSet.of((20, 21)))])
    known = state.memory().verified
    assert known is not None
    assert known.differing == {0: RangeSet.of((1, 3), (5, 9), (20, 21))}
    assert "7 records of partition 0" in str(known.problem)
    after = replay([verified(RangeSet.of((0, 30)), EMPTY)], state).memory().verified
    assert after is not None
    assert (after.differing, after.problem) == ({}, None)


def entries(count: int, **changed: object) -> list[bytes]:
    found: list[bytes] = []
    for number in range(1, count + 1):
        previous = parse_entry("x", found[-1], "t").digest if found else None
        given_ = {"topic": "t", "ledger": "id", "sequence": number, "previous": previous, **changed}
        found.append(entry_bytes(events=[FoldWritten(str(number))], checkpoint=number in {1, 3}, **given_))  # type: ignore[arg-type] - by name
    return found


def parsed(data: list[bytes]) -> list:
    return [parse_entry("x", one, "t") for one in data]


def test_reading_starts_at_the_newest_checkpoint_and_needs_every_entry_behind_it() -> None:
    found = parsed(entries(5))
    assert [one.sequence for one in linked(found)] == [3, 4, 5]
    assert [one.sequence for one in linked([found[0], *found[2:]])] == [3, 4, 5]
    with pytest.raises(LedgerError, match="4 to 4 of the ledger are missing"):
        linked([*found[:3], found[4]])
    with pytest.raises(LedgerError, match="no checkpoint"):
        linked(found[3:])
    with pytest.raises(LedgerError, match="does not follow"):
        linked([*found[:4], replace(found[4], previous="0" * 64)])
    with pytest.raises(LedgerError, match="does not follow"):
        linked([*found[:4], replace(found[4], ledger="another")])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "cut off"),
        (lambda data: data.rpartition(b"\n{")[0] + b"\n", "cut off"),
        (lambda _: b"", "header"),
        (lambda data: data.replace(b"lineage-ledger/1", b"lineage-ledger/2"), "update"),
        (lambda data: data.replace(b'"t"', b'"u"'), "topic 'u'"),
        (lambda data: data.replace(b'"sequence":1', b'"sequence":"1"'), "sequence"),
        (lambda data: data.replace(b"digest", b"digits"), "entry x cannot be read: event 'fold' has not exactly"),
        (lambda data: data + b"x", "cut off"),
        (lambda _: b"[]\n", "format '\\[\\]'"),
        (lambda _: b"7\n", "format '7'"),
        (lambda data: data.replace(b'"previous":null', b'"previous":7'), "without a proper previous"),
        (lambda data: data.replace(b'"t"', b'"' + b"u" * 500 + b'"'), f"topic '{'u' * 80}', not"),
        (lambda data: data.replace(b"lineage-ledger/1", b"f" * 500), f"format '{'f' * 80}', this"),
    ],
)
def test_anything_but_a_whole_entry_of_this_topic_and_version_is_refused(change: object, why: str) -> None:
    with pytest.raises(LedgerError, match=why):
        parse_entry("x", change(entries(1)[0]), "t")  # type: ignore[operator] - one of the functions above


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"ledger": {}}', '{"ledger": {"ledger": 1, "sequence": 1}}'])
def test_what_is_no_head_is_none(text: str) -> None:
    assert parse_head(text.encode()) is None


def test_a_head_comes_back_from_an_object_that_holds_more_and_none_from_one_that_is_spoilt() -> None:
    head = LedgerHead("id", 5, "0" * 64, 1)

    def read(**changed: Any) -> LedgerHead | None:
        return parse_head(json.dumps({"index": 1, "ledger": {**head.to_json(), **changed}}).encode())

    assert read() == head
    for spoilt in (0, -1, True, 1.0, "5", None):
        assert read(sequence=spoilt) is None
        assert read(checkpoint=spoilt) is None
    for spoilt in (5, None, ["id"]):
        assert read(ledger=spoilt) is None
        assert read(digest=spoilt) is None
