"""What a worker does while the registry does not answer: known ids go on, others wait a bounded time, none fails."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest

from lineage_pipeline.books.writer_schemas import MAX_REFUSED, RETRY_SECONDS, WriterSchemas
from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.record_values import Undecodable
from lineage_pipeline.errors import RegistryDownError, RegistryError, UnknownSchemaError

WAIT = 100.0


class Registry:
    """A registry, and the clock of the worker: asking takes a second, sleeping as long as it says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.down_until = 0.0
        self.ids = {1, 2, 3}
        self.trouble: RegistryError = RegistryDownError("the registry at X did not answer: ConnectError")
        self.broken: set[int] = set()  # ids that it cannot give, though it is up
        self.asked: Counter[int] = Counter()

    def schema(self, schema_id: int) -> WrittenSchema:
        self.asked[schema_id] += 1
        self.now += 1
        if self.now < self.down_until:
            raise self.trouble
        if schema_id in self.broken:
            raise RegistryError("the registry at X answered HTTP 500")
        if schema_id not in self.ids:
            raise UnknownSchemaError(f"the registry at X has no schema {schema_id}")
        return WrittenSchema(str(schema_id))

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def registry() -> Registry:
    return Registry()


def schemas(registry: Registry, max_wait: float = WAIT) -> WriterSchemas:
    return WriterSchemas(registry, max_wait, clock=lambda: registry.now, sleep=registry.sleep)


def error_class(worker: WriterSchemas, schema_id: int) -> str:
    with pytest.raises(Undecodable) as caught:
        worker.fetch(schema_id)
    return caught.value.error_class


def outcome(worker: WriterSchemas, schema_id: int) -> str:
    """The schema, or the class of the error."""
    try:
        return worker.fetch(schema_id).text
    except Undecodable as error:
        return error.error_class


def test_a_schema_is_asked_for_once_and_survives_the_registrys_death(registry: Registry) -> None:
    worker = schemas(registry)
    assert worker.fetch(1).text == "1"
    registry.down_until = float("inf")
    before = registry.now
    for _ in range(1000):
        assert worker.fetch(1).text == "1"
    assert registry.asked[1] == 1
    assert registry.now == before


def test_an_unknown_id_is_refused_at_once_and_asked_again_later(registry: Registry) -> None:
    worker = schemas(registry)
    for _ in range(1000):
        assert error_class(worker, 9) == "unknown-schema"
    assert registry.asked[9] == 1
    registry.now += RETRY_SECONDS
    registry.ids.add(9)
    assert worker.fetch(9).text == "9"


def test_a_record_waits_for_a_registry_that_comes_back(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until = registry.now + WAIT / 2
    assert worker.fetch(1).text == "1"
    assert registry.now < 1000 + WAIT / 2 + 7  # found soon after it came back


def test_the_wait_of_an_outage_is_bounded_however_many_records_and_ids_there_are(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until = float("inf")
    assert error_class(worker, 1) == "registry-unavailable"
    assert WAIT <= registry.now - 1000 <= WAIT + 7
    waited = registry.now
    for schema_id in list(range(1, 200)) * 5:
        assert error_class(worker, schema_id) == "registry-unavailable"
    assert registry.now == waited  # nobody waits, and nobody asks for a while


def test_while_it_stays_away_it_is_asked_now_and_then_and_its_first_answer_ends_the_outage(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until = float("inf")
    assert error_class(worker, 1) == "registry-unavailable"
    for _ in range(10):
        registry.now += RETRY_SECONDS
        before = sum(registry.asked.values())
        for schema_id in (1, 2, 3, 50, 51):
            assert error_class(worker, schema_id) == "registry-unavailable"
        assert sum(registry.asked.values()) == before + 1
    registry.now += RETRY_SECONDS
    registry.down_until = 0
    assert worker.fetch(1).text == "1"
    assert error_class(worker, 50) in ("unknown-schema", "registry-unavailable")
    registry.now += RETRY_SECONDS
    assert worker.fetch(2).text == "2"
    assert error_class(worker, 50) == "unknown-schema"


def test_a_later_outage_gives_a_new_id_its_own_wait(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until = registry.now + 10
    worker.fetch(1)
    registry.now += 3600
    begun, registry.down_until = registry.now, registry.now + WAIT / 2
    assert worker.fetch(2).text == "2"
    registry.now += 3600
    begun, registry.down_until = registry.now, float("inf")
    assert error_class(worker, 3) == "registry-unavailable"
    assert registry.now - begun >= WAIT


def test_an_outage_that_was_not_noticed_to_end_does_not_shorten_the_wait_of_the_next(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until = float("inf")
    assert error_class(worker, 1) == "registry-unavailable"
    registry.now += 3600  # nothing unknown came meanwhile
    registry.down_until = registry.now + WAIT / 2
    assert worker.fetch(2).text == "2"


def test_one_schema_that_the_registry_cannot_give_waits_once_and_harms_no_other(registry: Registry) -> None:
    worker = schemas(registry)
    registry.broken.add(1)
    assert error_class(worker, 1) == "registry-unavailable"
    assert registry.now - 1000 >= WAIT
    assert worker.fetch(2).text == "2"
    for _ in range(20):
        registry.now += RETRY_SECONDS
        before = registry.now
        assert error_class(worker, 1) == "registry-unavailable"
        assert registry.now - before <= 1
    assert worker.fetch(3).text == "3"
    registry.broken.clear()
    registry.now += RETRY_SECONDS
    assert worker.fetch(1).text == "1"


def test_a_registry_that_answers_with_errors_makes_records_wait_as_one_that_is_silent(registry: Registry) -> None:
    worker = schemas(registry)
    registry.down_until, registry.trouble = float("inf"), RegistryError("the registry at X answered HTTP 503")
    for schema_id in range(1, 50):
        assert error_class(worker, schema_id) == "registry-unavailable"
    assert WAIT <= registry.now - 1000 <= WAIT + 57  # one wait, and a question for each id


def test_no_wait_means_quarantine_at_once(registry: Registry) -> None:
    worker = schemas(registry, max_wait=0)
    registry.down_until = float("inf")
    assert error_class(worker, 1) == "registry-unavailable"
    assert registry.now == 1001
    registry.down_until = 0
    registry.now += RETRY_SECONDS
    assert worker.fetch(1).text == "1"


def test_hostile_ids_do_not_fill_the_memory(registry: Registry) -> None:
    worker = schemas(registry)
    for schema_id in range(1000, 1000 + 2 * MAX_REFUSED):
        assert error_class(worker, schema_id) == "unknown-schema"
    assert len(worker._refused) <= MAX_REFUSED
    assert worker.fetch(1).text == "1"


def test_whatever_happens_the_worker_only_ever_gives_the_schema_or_a_reason_and_waits_within_bounds() -> None:
    rng = random.Random(8)
    for _ in range(200):
        registry = Registry()
        worker = schemas(registry, max_wait=rng.choice([0, 5, WAIT]))
        slept = 0.0
        sleeps = registry.sleep

        def sleep(seconds: float, sleeps=sleeps) -> None:
            nonlocal slept
            slept += seconds
            sleeps(seconds)

        worker._sleep = sleep
        for _ in range(60):
            registry.now += rng.choice([0, 0, 1, 20, 500])
            if rng.random() < 0.3:
                registry.down_until = registry.now + rng.choice([0, 3, 40, 1000])
            slept = 0.0
            schema_id = rng.randrange(1, 6)
            said = outcome(worker, schema_id)
            assert (
                said == str(schema_id) or said == "registry-unavailable" or (said == "unknown-schema" and schema_id > 3)
            )
            assert slept <= worker._max_wait + 1


def test_decoders_of_one_process_ask_once_between_them() -> None:
    asked: list[int] = []
    entered = threading.Barrier(8)

    class Slow:
        def schema(self, schema_id: int) -> WrittenSchema:
            asked.append(schema_id)
            return WrittenSchema("x")

    worker = WriterSchemas(Slow(), WAIT)

    def run() -> None:
        entered.wait()
        worker.fetch(1)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [1]
