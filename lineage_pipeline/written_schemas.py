"""The registry's schemas for decoding outside of the job: what a repair and a replay of the quarantine need."""

from __future__ import annotations

from collections.abc import Mapping

from lineage_pipeline.books.schema_registry import ConfluentRegistry
from lineage_pipeline.books.writer_schemas import WriterSchemas
from lineage_pipeline.core.avro_confluent import FetchSchema
from lineage_pipeline.settings import Settings
from lineage_pipeline.topic_settings import TopicSettings


def written_schemas(settings: Settings, topic: TopicSettings, environ: Mapping[str, str]) -> FetchSchema | None:
    """What gives the schemas that the topic's records were written with; None where the format needs no registry.

    Raises RegistryError when the registry does not answer now: these commands can be run again, so nothing should be
    refused for it. Raises SettingsError without its address or a secret.
    """
    if not topic.needs_registry:
        return None
    registry = settings.registry_for(topic)
    client = ConfluentRegistry(registry.url, registry.resolved(environ))
    client.check()
    return WriterSchemas(client, registry.max_wait).fetch
