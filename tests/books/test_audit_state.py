"""The ledger in a store: nothing is lost by a crash or by two auditors at once, and no loss goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lineage_pipeline.books.audit_state import AuditState, StoredState
from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.core.ledger_events import BaselineResolved, Event, Looked, Restarted
from lineage_pipeline.errors import LedgerError, StoreError
from tests.books.memory_store import Died, MemoryStore

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=timezone.utc)
HEAD, WITNESS = "kafka_topic=t/_head.json", "_audits/t.json"


def look(number: int) -> Event:
    at = NOW + timedelta(seconds=number)
    return Looked(at, at, "complete", "full", {0: number})


def add(state: AuditState, *events: Event) -> StoredState:
    stored = state.append(state.read(), events, 180, 900)
    assert stored.head is not None
    state.put_head(stored.head)
    return stored


class Place:
    """An audit path and an index path, and the auditor of topic t over them."""

    def __init__(self) -> None:
        self.kept, self.index = MemoryStore("audit"), MemoryStore("index")
        self.index.place("_deployments/w1.json", b"{}")  # without anything no index is there

    @property
    def state(self) -> AuditState:
        return AuditState(self.kept, "t", self.index)

    def entries(self) -> list[str]:
        return sorted(key for key in self.kept.objects if "/_ledger/" in key)

    def with_looks(self, count: int) -> Place:
        """As many audits, each behind the one before: none reads again what it knows from that."""
        stored = self.state.read()
        for number in range(count):
            stored = self.state.append(stored, [look(number)], 180, 900)
            assert stored.head is not None
            self.state.put_head(stored.head)
        return self


def test_what_was_added_is_read_back_by_the_next_audit() -> None:
    place = Place()
    assert place.state.read() == StoredState()
    add(place.state, BaselineResolved(0, 5, "x"), look(1))
    add(place.state, look(2))
    stored = place.state.read()
    assert stored.problems == ()
    assert stored.state.memory().baselines == {0: 5}
    assert stored.state.look_count == 2


def test_thousands_of_audits_cost_the_next_one_a_bounded_number_of_requests() -> None:
    place = Place().with_looks(2100)
    place.kept.requests.clear()
    stored = place.state.read()
    assert stored.state.look_count == 2100
    assert len(stored.state.looks) < 50
    assert place.kept.requests["get"] <= 1 + 32
    assert place.kept.requests["pages"] <= 3


def test_without_its_head_the_ledger_is_found_all_the_same() -> None:
    place = Place().with_looks(70)
    del place.kept.objects[HEAD]
    del place.index.objects[WITNESS]
    stored = place.state.read()
    assert (stored.problems, stored.state.look_count) == ((), 70)


def test_of_two_auditors_at_once_neither_loses_a_fact() -> None:
    place = Place().with_looks(1)
    first, second = place.state, place.state
    seen_first, seen_second = first.read(), second.read()
    first.append(seen_first, [look(10)], 180, 900)
    second.append(seen_second, [look(20)], 180, 900)
    stored = place.state.read()
    assert stored.problems == ()
    assert stored.state.look_count == 3


def test_a_checkpoint_of_an_auditor_that_lost_the_race_knows_what_the_winner_wrote() -> None:
    for count in range(28, 36):
        place = Place().with_looks(count)
        seen = [place.state.read() for _ in range(4)]
        for number, one in enumerate(seen):
            place.state.append(one, [look(100 + number)], 180, 900)
        assert place.state.read().state.look_count == count + 4


def test_many_auditors_in_threads_lose_nothing_in_a_real_directory(tmp_path: object) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only here

    from lineage_pipeline.books.object_store import open_store  # noqa: PLC0415 - only here

    def work(number: int) -> None:
        state = AuditState(open_store(f"{tmp_path}/audit", {}), "t")
        for step in range(10):
            state.append(state.read(), [look(number * 100 + step)], 180, 900)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert AuditState(open_store(f"{tmp_path}/audit", {}), "t").read().state.look_count == 60


def test_a_request_that_was_repeated_finds_its_own_entry() -> None:
    place = Place().with_looks(1)

    def answer_is_lost(operation: str, _key: str) -> None:
        if operation == "put_new":
            place.kept.after = lambda *_: None
            raise StoreError("the answer was lost")

    place.kept.after = answer_is_lost
    place.state.append(place.state.read(), [look(2)], 180, 900)
    assert place.state.read().state.look_count == 2


def test_a_server_that_lets_two_writers_win_is_found_out_by_reading_back() -> None:
    place = Place().with_looks(1)
    other = place.state.read()
    rival = place.state

    def written_over(operation: str, key: str) -> None:
        if operation == "put_new":
            place.kept.after = lambda *_: None
            mine = place.kept.objects.pop(key)
            rival.append(other, [look(9)], 180, 900)
            assert place.kept.objects[key] != mine

    place.kept.after = written_over
    place.state.append(place.state.read(), [look(2)], 180, 900)
    assert place.state.read().state.look_count == 3


@pytest.mark.parametrize("after", [False, True])
def test_dying_at_any_operation_leaves_a_whole_ledger(after: bool) -> None:
    died_at_all = True
    at = 0
    while died_at_all:
        at += 1
        place = Place().with_looks(33)
        left = [at]

        def strike(_operation: str, _key: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died

        for store in (place.kept, place.index):
            setattr(store, "after" if after else "before", strike)
        try:
            add(place.state, look(99))
            died_at_all = False
        except Died:
            died_at_all = True
        for store in (place.kept, place.index):
            store.before = store.after = lambda *_: None
        stored = place.state.read()
        assert stored.problems == ()
        assert stored.state.look_count in {33, 34}
        assert add(place.state, look(100)).state.look_count == stored.state.look_count + 1
    assert at > (3 if after else 6)


def remove_all(place: Place) -> None:
    place.kept.objects.clear()


def remove_ledger(place: Place) -> None:
    for key in place.entries():
        del place.kept.objects[key]


def remove_tail(place: Place) -> None:
    del place.kept.objects[place.entries()[-1]]


def remove_from_the_middle(place: Place) -> None:
    del place.kept.objects[place.entries()[-2]]


def restore_another(place: Place) -> None:
    strange = Place().with_looks(len(place.entries()))
    place.kept.objects.update({key: strange.kept.objects[key] for key in strange.entries()})


def restore_an_old_backup(place: Place) -> None:
    for key in place.entries()[-2:]:
        del place.kept.objects[key]
    old = Place()
    old.kept.objects = dict(place.kept.objects)
    del old.kept.objects[HEAD]
    place.kept.objects = old.kept.objects


def flip(place: Place) -> None:
    edit(place, b"complete", b"complexe")


def write_of_a_later_version(place: Place) -> None:
    edit(place, b"lineage-ledger/1", b"lineage-ledger/2")


def write_of_another_topic(place: Place) -> None:
    edit(place, b'"topic":"t"', b'"topic":"u"')


def cut_off(place: Place) -> None:
    key = place.entries()[-1]
    place.kept.place(key, place.kept.objects[key][0][:-20])


def edit(place: Place, old: bytes, new: bytes) -> None:
    key = place.entries()[-1]
    changed = place.kept.objects[key][0].replace(old, new)
    assert changed != place.kept.objects[key][0]
    place.kept.place(key, changed)


DAMAGES = [
    *(remove_all, remove_ledger, remove_tail, remove_from_the_middle, restore_another, restore_an_old_backup),
    *(flip, write_of_a_later_version, write_of_another_topic, cut_off),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_every_loss_and_damage_is_noticed_and_nothing_is_written_over_it(damage: Callable[[Place], None]) -> None:
    place = Place().with_looks(5)
    damage(place)
    kept = dict(place.kept.objects)
    stored = place.state.read()
    assert stored.head is None
    assert len(stored.problems) == 1
    assert "tell a baseline again" in stored.problems[0] or "update it" in stored.problems[0]
    assert place.kept.objects == kept


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_a_person_begins_anew_behind_any_damage(damage: Callable[[Place], None]) -> None:
    place = Place().with_looks(5)
    damage(place)
    left = {key: place.kept.objects[key] for key in place.entries()}
    begun = place.state.restart(place.state.read(), [Restarted(NOW, "lost"), BaselineResolved(0, 7, "a person")])
    assert begun.head is not None
    place.state.put_head(begun.head)
    add(place.state, look(50))
    stored = place.state.read()
    assert stored.problems == ()
    assert stored.state.memory().baselines == {0: 7}
    assert left.items() <= place.kept.objects.items()


def test_of_two_people_who_begin_anew_at_once_one_is_told_so() -> None:
    place = Place().with_looks(2)
    remove_all(place)
    first, second = place.state.read(), place.state.read()
    place.state.restart(first, [Restarted(NOW, "lost")])
    with pytest.raises(StoreError, match="same moment"):
        place.state.restart(second, [Restarted(NOW, "lost"), look(1)])


def test_a_store_that_cannot_be_read_is_a_problem_and_not_a_first_audit() -> None:
    place = Place().with_looks(2)

    def refuse(_operation: str, _key: str) -> None:
        raise StoreError("no rights: check them")

    place.kept.before = refuse
    stored = place.state.read()
    assert "no rights" in stored.problems[0]
    assert not stored.writable


def test_an_entry_of_another_version_in_between_stops_the_auditor() -> None:
    place = Place().with_looks(1)
    seen = place.state.read()
    add(place.state, look(2))
    write_of_a_later_version(place)
    with pytest.raises(LedgerError, match="update it"):
        place.state.append(seen, [look(3)], 180, 900)


def test_a_fold_that_no_entry_vouches_for_is_not_believed() -> None:
    place = Place().with_looks(1)
    place.state.put_fold(b"anything")
    assert place.state.fold(place.state.read().state) is None


def test_an_index_that_may_not_be_written_to_costs_the_witness_only() -> None:
    place = Place()

    def refuse(operation: str, _key: str) -> None:
        if operation == "put":
            raise StoreError("read only: grant rights")

    place.index.before = refuse
    stored = place.state.append(place.state.read(), [look(1)], 180, 900)
    assert stored.head is not None
    assert "read only" in str(place.state.put_head(stored.head))
    assert place.state.read().state.look_count == 1


def test_where_no_index_is_nothing_is_written_and_no_directory_made(tmp_path: Path) -> None:
    nowhere = open_store(str(tmp_path / "mistyped"), {})
    state = AuditState(MemoryStore("audit"), "t", nowhere)
    stored = state.append(state.read(), [look(1)], 180, 900)
    assert stored.head is not None
    assert "no index is at" in str(state.put_head(stored.head))
    assert not (tmp_path / "mistyped").exists()
    (tmp_path / "mistyped").mkdir()
    state.put_head(stored.head)
    assert list((tmp_path / "mistyped").iterdir()) == []


def test_the_slower_of_two_audits_does_not_set_back_where_the_ledger_ends() -> None:
    place = Place().with_looks(1)
    slow = place.state.append(place.state.read(), [look(2)], 180, 900)
    add(place.state, look(3))
    assert slow.head is not None
    assert place.state.put_head(slow.head) is None
    del place.kept.objects[place.entries()[-1]]
    assert "it once had entry 3" in place.state.read().problems[0]
