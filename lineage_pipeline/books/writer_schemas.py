"""The schemas that records were written with, kept per worker; what happens when the registry does not give one.

- A schema that was given once is kept for good: ids never change their schema. A dead registry does not matter to it.
- The registry says there is none: the record is `unknown-schema`. Asked again after RETRY_SECONDS, not for each record.
- The registry does not answer, or not as it should: the record waits. An outage makes records wait `max_wait` seconds
  at most, all together, and an id waits once; then they are `registry-unavailable`. Each id is asked for again every
  RETRY_SECONDS (where nobody answers at all: one of them), and the first answer ends the outage. So a worker never
  waits for ever and never fails, and every record is in the data or, to be decoded again later, in the quarantine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from lineage_pipeline.books.schema_registry import SchemaRegistry
from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.record_values import Undecodable
from lineage_pipeline.errors import RegistryDownError, RegistryError, UnknownSchemaError

RETRY_SECONDS: Final = 30.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
MAX_REFUSED: Final = 10_000  # ids kept that the registry did not give; hostile records could name any number
_log = logging.getLogger(__name__)


class WriterSchemas:
    """Fetches each schema once. Safe to be shared by the decoders of one process; times in seconds."""

    def __init__(
        self,
        registry: SchemaRegistry,
        max_wait: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._registry = registry
        self._max_wait = max_wait
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._known: dict[int, WrittenSchema] = {}
        self._refused: dict[int, tuple[float, str, str]] = {}  # until when not to ask again; class and detail
        self._waited: dict[int, None] = {}  # ids that had their wait: a set that forgets its oldest
        self._down_since: float | None = None
        self._failed_at = 0.0
        self._ask_again = 0.0  # while down and the wait is used up: when to ask again

    def fetch(self, schema_id: int) -> WrittenSchema:
        """The schema of that id. Raises Undecodable, `unknown-schema` or `registry-unavailable`, when there is none."""
        known = self._known.get(schema_id)
        if known is not None:
            return known
        with self._lock:
            return self._known.get(schema_id) or self._fetch(schema_id)

    def _fetch(self, schema_id: int) -> WrittenSchema:
        until, error_class, detail = self._refused.get(schema_id, (0.0, "", ""))
        if self._clock() < until:
            raise Undecodable(error_class, detail)
        pause, has_waited = FIRST_PAUSE, False
        while True:
            try:
                return self._ask(schema_id)
            except UnknownSchemaError as error:
                self._down_since = None
                raise self._refusal(schema_id, "unknown-schema", error) from None
            except RegistryError as error:
                left = self._wait_left(schema_id)
                if left <= 0:
                    if has_waited:
                        _remember(self._waited, schema_id, None)
                    raise self._refusal(schema_id, "registry-unavailable", error) from None
                if not has_waited:
                    _log.warning("%s; records of schema %d wait for it, %.0f s at most", error, schema_id, left)
            self._sleep(min(pause, left))
            pause, has_waited = min(2 * pause, LONGEST_PAUSE), True

    def _ask(self, schema_id: int) -> WrittenSchema:
        if self._clock() < self._ask_again:
            raise RegistryError("the schema registry did not answer just before; it is asked again soon")
        try:
            found = self._registry.schema(schema_id)
        except UnknownSchemaError:
            raise
        except RegistryError as error:
            self._note_failure(schema_id, error)
            raise
        self._down_since, self._ask_again = None, 0.0
        self._known[schema_id] = found
        self._refused.pop(schema_id, None)
        self._waited.pop(schema_id, None)
        return found

    def _note_failure(self, schema_id: int, error: RegistryError) -> None:
        silent = isinstance(error, RegistryDownError)
        if schema_id in self._waited and not silent:
            return  # the registry's trouble with this one schema, for all that we know
        now = self._clock()
        if self._down_since is None or now - self._failed_at > 2 * RETRY_SECONDS:
            self._down_since = now
        self._failed_at = now
        if silent and now - self._down_since >= self._max_wait:
            self._ask_again = now + RETRY_SECONDS  # a host that swallows requests costs a long timeout each time

    def _wait_left(self, schema_id: int) -> float:
        """How much longer this id may wait: what is left of the outage's time, or nothing when it had its wait."""
        if schema_id in self._waited or self._down_since is None:
            return 0.0
        return self._down_since + self._max_wait - self._clock()

    def _refusal(self, schema_id: int, error_class: str, error: RegistryError) -> Undecodable:
        _remember(self._refused, schema_id, (self._clock() + RETRY_SECONDS, error_class, str(error)))
        return Undecodable(error_class, str(error))


def _remember(kept: dict[int, Any], key: int, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > MAX_REFUSED:
        del kept[next(iter(kept))]
