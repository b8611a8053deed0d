"""The decoder as the vectorised function that PyFlink ships to its workers."""

from __future__ import annotations

import threading
from typing import Any

from pyflink.table import ScalarFunction

from lineage_pipeline.books.schema_registry import ConfluentRegistry
from lineage_pipeline.books.writer_schemas import WriterSchemas
from lineage_pipeline.core.key_schema import KeySchema, key_schema
from lineage_pipeline.flink.decode import Decoder
from lineage_pipeline.flink.worker_environment import worker_environment
from lineage_pipeline.registry_settings import RegistrySettings

# One per registry and process: its decoders share what was fetched, and what an outage may cost.
_shared: dict[str, WriterSchemas] = {}
_sharing = threading.Lock()


class BatchDecode(ScalarFunction):  # type: ignore[misc]  # pyflink has no types
    """Decodes a batch of payloads, and of keys, into the ROW of the schema's transport fields.

    It travels to the workers as formats, schema texts and the registry's settings, which refer to secrets but hold
    none: each worker takes them from its own environment or files.
    """

    def __init__(
        self,
        record_format: str,
        schema_text: str,
        registry: RegistrySettings | None = None,
        key: KeySchema | None = None,
    ) -> None:
        self._format = record_format
        self._text = schema_text
        self._key = (key.format, key.text) if key is not None else None
        self._registry = registry.model_dump_json() if registry is not None else None
        self._decoder: Decoder | None = None

    def open(self, function_context: Any) -> None:  # noqa: ARG002 - pyflink's signature
        """Build the decoder once per worker. Raises SettingsError when a secret is not there."""
        fetch = None if self._registry is None else _schemas_of(self._registry).fetch
        self._decoder = Decoder(self._format, self._text, fetch, key_schema(*self._key) if self._key else None)

    def eval(self, payloads: Any, *keys: Any) -> Any:
        """A data frame with one row per payload; never raises for what a payload or a key holds.

        `keys`: one series, when keys are decoded.
        """
        assert self._decoder is not None
        return self._decoder.decode(payloads, *keys)


def _schemas_of(registry: str) -> WriterSchemas:
    with _sharing:
        if registry not in _shared:
            settings = RegistrySettings.model_validate_json(registry)
            client = ConfluentRegistry(settings.url, settings.resolved(worker_environment()))
            _shared[registry] = WriterSchemas(client, settings.max_wait)
        return _shared[registry]
