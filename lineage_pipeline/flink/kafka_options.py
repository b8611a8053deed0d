"""Pure: the Kafka source's table options from the settings' client properties.

Settings use librdkafka's names (the auditor and the producer use them as they are); Flink's connector wants the Java
client's, with JAAS classes under the connector's shaded package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lineage_pipeline.core.key_schema import KEY_COLUMN
from lineage_pipeline.core.record_schema import RecordSchema
from lineage_pipeline.errors import SettingsError

_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
_LOGIN_MODULES = {
    "PLAIN": f"{_SHADED}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_SHADED}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_SHADED}.scram.ScramLoginModule",
}
# What exactness rests on is set by the job alone: `auto.offset.reset: earliest`, say, would make losses silent.
_OURS = frozenset(
    {
        "bootstrap.servers",
        "group.id",
        "isolation.level",
        "auto.offset.reset",
        "enable.auto.commit",
        "commit.offsets.on.checkpoint",
        "partition.discovery.interval.ms",
        "key.deserializer",
        "value.deserializer",
    }
)
# librdkafka's name -> the Java client's, and the type of store that goes with it
_PEM = {
    "ssl.ca.location": ("ssl.truststore.location", "ssl.truststore.type"),
    "ssl.ca.pem": ("ssl.truststore.certificates", "ssl.truststore.type"),
    "ssl.key.pem": ("ssl.keystore.key", "ssl.keystore.type"),
    "ssl.certificate.pem": ("ssl.keystore.certificate.chain", "ssl.keystore.type"),
}
_SASL = ("sasl.mechanisms", "sasl.mechanism", "sasl.username", "sasl.password")
_IDENTIFICATION = "ssl.endpoint.identification.algorithm"
_UNTRANSLATED = {
    "ssl.key.location": "write `ssl.key.pem: {file: PATH}`",
    "ssl.certificate.location": "write `ssl.certificate.pem: {file: PATH}`",
    "enable.ssl.certificate.verification": "the job always verifies: give the authority as ssl.ca.location",
}


def source_options(
    topic: str,
    group: str,
    bootstrap_servers: str,
    properties: Mapping[str, str],
    isolation: Literal["read_committed", "read_uncommitted"],
    reset: Literal["none", "earliest"],
) -> dict[str, str]:
    """Options of the source table. Raises SettingsError for a property that is the job's own or has no translation.

    `reset` is what the consumer does when its position was deleted: `none` fails loudly; `earliest` is for the bounded
    start of `--skip-expired` only.
    """
    own = sorted(_OURS.intersection(properties))
    if own:
        raise SettingsError(
            f"kafka.properties sets {', '.join(own)}, which the job sets itself, since exactness rests on it: remove it"
            " there (address, group and isolation have settings of their own)"
        )
    return {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": bootstrap_servers,
        "properties.group.id": group,
        "properties.isolation.level": isolation,
        "properties.auto.offset.reset": reset,
        # Every other start mode jumps without a word when the position was deleted.
        "scan.startup.mode": "group-offsets",
        "scan.topic-partition-discovery.interval": "10 s",
        "value.format": "raw",
        **{f"properties.{key}": value for key, value in java_client_properties(properties).items()},
    }


def key_options(schema: RecordSchema) -> dict[str, str]:
    """Options of the source table for the key's column; none where it is not asked for."""
    if schema.key is None:
        return {}
    return {"key.format": "raw", "key.fields": KEY_COLUMN, "value.fields-include": "EXCEPT_KEY"}


def java_client_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties under the Java client's names; what has the same name in both passes through.

    Raises SettingsError for one that the Java client would ignore, though security rests on it.
    """
    for key, remedy in _UNTRANSLATED.items():
        if key in properties:
            raise SettingsError(f"kafka.properties.{key} has no equal in Flink's Kafka client: {remedy}")
    java = {key: value for key, value in properties.items() if key not in _SASL and key not in _PEM}
    for key, (name, store_type) in _PEM.items():
        if key in properties:
            java |= {name: properties[key], store_type: "PEM"}
    if java.get(_IDENTIFICATION) == "none":
        java[_IDENTIFICATION] = ""
    mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms")
    if mechanism:
        java["sasl.mechanism"] = mechanism
    if "sasl.username" in properties or "sasl.password" in properties:
        java["sasl.jaas.config"] = _jaas(mechanism, properties)
    return java


def _jaas(mechanism: str | None, properties: Mapping[str, str]) -> str:
    module = _LOGIN_MODULES.get(mechanism or "")
    if module is None:
        known = ", ".join(_LOGIN_MODULES)
        raise SettingsError(f"sasl.mechanism {mechanism!r} is not supported with sasl.username: use one of {known}")
    user, password = (_quoted(properties.get(key, "")) for key in ("sasl.username", "sasl.password"))
    return f"{module} required username={user} password={password};"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
