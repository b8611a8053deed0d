"""Pure: the Kafka source's table options from the settings' client properties.

Settings use librdkafka's names (the auditor and the producer use them as they are); Flink's connector wants the Java
client's, with JAAS classes under the connector's shaded package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lineage_pipeline.errors import SettingsError

_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
_LOGIN_MODULES = {
    "PLAIN": f"{_SHADED}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_SHADED}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_SHADED}.scram.ScramLoginModule",
}
# librdkafka's own knobs, which the Java client would warn about
_NOT_FOR_JAVA = ("sasl.mechanisms", "sasl.mechanism", "sasl.username", "sasl.password", "ssl.ca.location")


def source_options(
    topic: str,
    group: str,
    bootstrap_servers: str,
    properties: Mapping[str, str],
    isolation: Literal["read_committed", "read_uncommitted"],
    reset: Literal["none", "earliest"],
) -> dict[str, str]:
    """Options of the source table. Raises SettingsError for a SASL mechanism that cannot be translated.

    `reset` is what the consumer does when its position was deleted: `none` fails loudly; `earliest` is for the bounded
    start of `--skip-expired` only.
    """
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


def java_client_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties under the Java client's names; what has the same name in both passes through."""
    java = {key: value for key, value in properties.items() if key not in _NOT_FOR_JAVA}
    mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms")
    if mechanism:
        java["sasl.mechanism"] = mechanism
    if "sasl.username" in properties or "sasl.password" in properties:
        java["sasl.jaas.config"] = _jaas(mechanism or "PLAIN", properties)
    if "ssl.ca.location" in properties:
        java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": properties["ssl.ca.location"]}
    return java


def _jaas(mechanism: str, properties: Mapping[str, str]) -> str:
    module = _LOGIN_MODULES.get(mechanism.upper())
    if module is None:
        known = ", ".join(_LOGIN_MODULES)
        raise SettingsError(f"sasl.mechanism {mechanism!r} is not supported with sasl.username: use one of {known}")
    user, password = (_quoted(properties.get(key, "")) for key in ("sasl.username", "sasl.password"))
    return f"{module} required username={user} password={password};"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
