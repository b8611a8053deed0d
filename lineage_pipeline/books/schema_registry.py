"""Schemas by id from a schema registry that speaks Confluent's protocol, through confluent-kafka's own client.

One attempt a call, bounded in time: who calls decides about trying again. A redirect is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.errors import (
    RegistryDownError,
    RegistryError,
    RegistryRefusedError,
    SettingsError,
    UnknownSchemaError,
)

TIMEOUT_SECONDS: Final = 10.0
MAX_REFERENCES: Final = 200  # a schema with more of them, all together, is a circle or a mistake
_NO_SUCH_ID: Final = 40403  # the registry's own code; any other 404 is a wrong path
# Answers that stay the same until a person changes something.
_REFUSED: Final = {
    400: "",
    401: ": check its credentials in the settings",
    403: ": grant its user the right to read schemas",
    404: ": check the path in its url, such as /apis/ccompat/v7 for Apicurio",
}


class SchemaRegistry(Protocol):
    """What the decoder needs of a registry."""

    def schema(self, schema_id: int) -> WrittenSchema:
        """The schema. Raises UnknownSchemaError when the registry says it has none, RegistryError otherwise."""
        ...


class ConfluentRegistry:
    """A registry at `url` (with a base path, such as Apicurio's, where it has one; several divided by commas).

    Raises SettingsError for properties that the client does not take, or when its packages are absent.
    """

    def __init__(self, url: str, properties: Mapping[str, str]) -> None:
        self.url = url
        try:
            # Three quarters of a second and packages that only topics with a registry need.
            from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(
                f"format avro-confluent needs Python packages that are not installed here ({error.name}): install"
                " flink-lineage[registry]"
            ) from None
        try:
            self._client: Any = SchemaRegistryClient(
                {**properties, "url": url, "timeout": TIMEOUT_SECONDS, "max.retries": 0}
            )
        except (ValueError, TypeError, OSError) as error:  # ssl's errors are OSErrors
            raise SettingsError(f"schema_registry: its client refuses the settings ({_words(error)})") from None

    def schema(self, schema_id: int) -> WrittenSchema:
        """See SchemaRegistry."""
        found = self._ask(f"schema {schema_id}", self._client.get_schema, schema_id)
        references: list[str] = []
        self._collect(found, references, set())
        return WrittenSchema(_text(found), tuple(references), found.schema_type or "AVRO")

    def check(self) -> None:
        """Ask for something cheap. Raises RegistryRefusedError when the registry refuses, RegistryError else."""
        self._ask("its schema types", self._client.get_schema_types)

    def _collect(self, schema: Any, texts: list[str], seen: set[tuple[str, int]]) -> None:
        """The texts of what the schema refers to, each behind those it needs itself."""
        for reference in schema.references or ():
            key = (reference.subject, reference.version)
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MAX_REFERENCES:
                raise RegistryError(f"the registry at {self.url} gave a schema with over {MAX_REFERENCES} references")
            what = f"version {reference.version} of {reference.subject}"
            try:
                found = self._ask(what, self._client.get_version, *key, deleted=True).schema
            except UnknownSchemaError as error:
                raise RegistryError(f"{error}, but another schema refers to it") from None
            self._collect(found, texts, seen)
            texts.append(_text(found))

    def _ask(self, what: str, call: Any, *arguments: Any, **options: Any) -> Any:
        # imported by the client already
        from confluent_kafka.schema_registry.common._httpx_compat import httpx  # noqa: PLC0415
        from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415

        try:
            return call(*arguments, **options)
        except SchemaRegistryError as error:
            if error.error_code == _NO_SUCH_ID:
                raise UnknownSchemaError(f"the registry at {self.url} has no {what}") from None
            raise self._answer(what, error) from None
        except httpx.TransportError as error:
            raise RegistryDownError(f"the registry at {self.url} did not answer: {_words(error)}") from None
        except Exception as error:  # noqa: BLE001 - what an odd answer does to the client: no JSON, other JSON
            raise RegistryError(f"the registry at {self.url} gave {what} in no known form: {_words(error)}") from None

    def _answer(self, what: str, error: Any) -> RegistryError:
        status, said = error.http_status_code, " ".join(str(error.error_message).split())[:200]
        text = f"the registry at {self.url} answered HTTP {status} to the question for {what} ({said})"
        if status in _REFUSED:
            return RegistryRefusedError(text + _REFUSED[status])
        return RegistryError(text)


def _text(schema: Any) -> str:
    if not isinstance(schema.schema_str, str):
        raise RegistryError("the registry gave a schema without its text: is the url that of a schema registry?")
    return schema.schema_str


def _words(error: Exception) -> str:
    """Class and text in one short line. The client's messages name properties and addresses, never their values."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
