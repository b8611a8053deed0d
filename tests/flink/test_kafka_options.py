"""librdkafka's properties become the Java client's, and no character of a secret can break out of its quotes."""

from __future__ import annotations

import re

import pytest

from lineage_pipeline.core.key_schema import key_schema, with_key
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import SettingsError
from lineage_pipeline.flink.kafka_options import java_client_properties, key_options, source_options
from lineage_pipeline.flink.tables import JobTables, create_tables

PLAIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.plain.PlainLoginModule"


def options(reset: str = "none", **properties: str) -> dict[str, str]:
    return source_options("t", "g", "broker:9092", properties, "read_committed", reset)  # type: ignore[arg-type]


def test_the_source_reads_committed_records_from_the_groups_offsets_and_fails_when_they_are_gone() -> None:
    assert options() == {
        "connector": "kafka",
        "topic": "t",
        "properties.bootstrap.servers": "broker:9092",
        "properties.group.id": "g",
        "properties.isolation.level": "read_committed",
        "properties.auto.offset.reset": "none",
        "scan.startup.mode": "group-offsets",
        "scan.topic-partition-discovery.interval": "10 s",
        "value.format": "raw",
    }


def test_only_the_reset_policy_differs_while_deleted_records_are_passed() -> None:
    strict, passing = options(), options("earliest")
    assert {key: value for key, value in passing.items() if strict[key] != value} == {
        "properties.auto.offset.reset": "earliest"
    }


@pytest.mark.parametrize(
    "key",
    ["group.id", "isolation.level", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit"],
)
def test_no_client_property_can_loosen_what_exactness_rests_on(key: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(key)):
        options(**{key: "latest"})


def test_properties_with_the_same_name_in_both_clients_pass_through() -> None:
    same = {"security.protocol": "SSL", "client.id": "x", "fetch.max.bytes": "1"}
    assert java_client_properties(same) == same


@pytest.mark.parametrize("key", ["sasl.mechanism", "sasl.mechanisms"])
@pytest.mark.parametrize(
    ("mechanism", "module"),
    [("PLAIN", "plain.Plain"), ("SCRAM-SHA-256", "scram.Scram"), ("SCRAM-SHA-512", "scram.Scram")],
)
def test_user_and_password_become_a_login_module_of_the_connectors_own_client(
    key: str, mechanism: str, module: str
) -> None:
    java = java_client_properties({key: mechanism, "sasl.username": "u", "sasl.password": "p"})
    package = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
    assert java == {
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f'{package}.{module}LoginModule required username="u" password="p";',
    }


@pytest.mark.parametrize("mechanism", [{}, {"sasl.mechanism": "plain"}], ids=["none", "misspelt"])
def test_a_password_needs_a_mechanism_as_both_clients_spell_it(mechanism: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="use one of PLAIN"):
        java_client_properties({**mechanism, "sasl.username": "u", "sasl.password": "p"})


def test_a_mechanism_alone_is_passed_on_for_a_jaas_config_of_ones_own() -> None:
    given = {"sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": "x required;"}
    assert java_client_properties(given) == given


def test_an_unknown_mechanism_with_a_password_is_refused_by_name_and_without_the_password() -> None:
    said = r"'GSSAPI' is not supported.*PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    with pytest.raises(SettingsError, match=said) as caught:
        java_client_properties({"sasl.mechanism": "GSSAPI", "sasl.username": "u", "sasl.password": "canary"})
    assert "canary" not in str(caught.value)


def test_quotes_and_backslashes_of_a_password_stay_inside_the_jaas_string() -> None:
    password = 'a"; b\\"'
    java = java_client_properties({"sasl.mechanism": "PLAIN", "sasl.username": 'u"', "sasl.password": password})
    found = re.fullmatch(
        rf'{re.escape(PLAIN)} required username="((?:[^"\\]|\\.)*)" password="((?:[^"\\]|\\.)*)";',
        java["sasl.jaas.config"],
    )
    assert found is not None
    assert [re.sub(r"\\(.)", r"\1", text) for text in found.groups()] == ['u"', password]


def test_a_quote_of_a_password_stays_inside_the_sql_string() -> None:
    source = options(
        **{"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "it's'); DROP TABLE data; --"}
    )
    statement = create_tables(JobTables(source, "o", "q", "i"), record_schema("raw"))[0]
    literals = re.findall(r"'((?:[^']|'')*)'", statement)
    assert source["properties.sasl.jaas.config"] in [literal.replace("''", "'") for literal in literals]
    outside = re.sub(r"'(?:[^']|'')*'", "", statement)
    assert "DROP" not in outside


@pytest.mark.parametrize("key_format", ["raw", "string"])
def test_a_key_is_read_as_bytes_into_a_column_of_its_own_and_only_when_it_is_asked_for(key_format: str) -> None:
    raw = record_schema("raw")
    assert key_options(raw) == key_options(with_key(raw, None, headers=True)) == {}
    assert key_options(with_key(raw, key_schema(key_format), headers=False)) == {
        "key.format": "raw", "key.fields": "kafka_key", "value.fields-include": "EXCEPT_KEY",
    }  # fmt: skip


def test_a_certificate_authority_becomes_a_truststore() -> None:
    assert java_client_properties({"ssl.ca.location": "/ca.pem"}) == {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
    }


@pytest.mark.parametrize(
    ("given", "java"),
    [
        ({"ssl.key.location": "/k.pem"}, None),
        ({"ssl.certificate.location": "/c.pem"}, None),
        ({"ssl.key.pem": "KEY", "ssl.certificate.pem": "CERT", "ssl.key.password": "p"},
         {"ssl.keystore.type": "PEM", "ssl.keystore.key": "KEY", "ssl.keystore.certificate.chain": "CERT",
          "ssl.key.password": "p"}),
        ({"ssl.endpoint.identification.algorithm": "none"}, {"ssl.endpoint.identification.algorithm": ""}),
        ({"ssl.ca.pem": "CA"}, {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": "CA"}),
        ({"enable.ssl.certificate.verification": "false"}, None),
    ],
)  # fmt: skip
def test_certificates_are_translated_or_refused_but_never_passed_on_to_a_client_that_ignores_them(
    given: dict[str, str], java: dict[str, str] | None
) -> None:
    if java is not None:
        assert java_client_properties(given) == java
        return
    with pytest.raises(SettingsError, match=re.escape(next(iter(given)))):
        java_client_properties(given)
