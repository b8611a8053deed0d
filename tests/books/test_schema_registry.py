"""The registry's client, against a server of Confluent's protocol that is NOT a real one: tests/registry_server.py."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lineage_pipeline.books.schema_registry import ConfluentRegistry
from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.errors import (
    RegistryDownError,
    RegistryError,
    RegistryRefusedError,
    SettingsError,
    UnknownSchemaError,
)
from tests.registry_server import RegistryServer

EVENT = {"type": "record", "name": "Event", "fields": [{"name": "a", "type": "long"}]}


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


def test_a_schema_is_given_by_its_id(server: RegistryServer) -> None:
    server.register("other", '"string"')
    number = server.register("events-value", EVENT)
    assert ConfluentRegistry(server.url, {}).schema(number) == WrittenSchema(json.dumps(EVENT))


def test_a_base_path_such_as_apicurios_is_kept() -> None:
    with RegistryServer(base_path="/apis/ccompat/v7") as server:
        number = server.register("events-value", EVENT)
        for url in (server.url, f"{server.url}/"):
            assert ConfluentRegistry(url, {}).schema(number).text == json.dumps(EVENT)


def test_the_schemas_it_refers_to_come_along_each_behind_its_own() -> None:
    """E needs D, D needs C; E also needs C."""
    c, d, e = '"C"', '"D"', '"E"'
    to_c, to_d = ({"name": n, "subject": f"s/{n}", "version": 1} for n in "cd")  # the subject needs quoting in a path
    with RegistryServer() as server:
        server.register("s/c", c)
        server.register("s/d", d, references=[to_c])
        number = server.register("s/e", e, references=[to_d, to_c])
        found = ConfluentRegistry(server.url, {}).schema(number)
    assert found == WrittenSchema(e, (c, d))


def test_schemas_that_refer_to_each_other_for_ever_are_given_up() -> None:
    with RegistryServer() as server:
        for n in range(300):
            more = {"name": "next", "subject": f"s{n + 1}", "version": 1}
            server.register(f"s{n}", f'"{n}"', references=[more])
        with pytest.raises(RegistryError, match="over 200 references"):
            ConfluentRegistry(server.url, {}).schema(1)


def test_its_type_is_told(server: RegistryServer) -> None:
    number = server.register("p", "message P {}", schemaType="PROTOBUF")
    assert ConfluentRegistry(server.url, {}).schema(number).kind == "PROTOBUF"


def test_an_id_it_does_not_know_is_another_thing_than_a_wrong_path(server: RegistryServer) -> None:
    with pytest.raises(UnknownSchemaError, match="has no schema 77"):
        ConfluentRegistry(server.url, {}).schema(77)
    with pytest.raises(RegistryRefusedError, match="check the path in its url"):
        ConfluentRegistry(f"{server.url}/wrong", {}).schema(77)


def test_a_user_is_needed_and_taken() -> None:
    with RegistryServer(user="me:pass:word") as server:
        number = server.register("events-value", EVENT)
        good = ConfluentRegistry(server.url, {"basic.auth.user.info": "me:pass:word"})
        good.check()
        assert good.schema(number).text == json.dumps(EVENT)
        bad = ConfluentRegistry(server.url, {"basic.auth.user.info": "me:planted-password"})
        for ask in (bad.check, lambda: bad.schema(number)):
            with pytest.raises(RegistryRefusedError, match=r"HTTP 401.*check its credentials") as caught:
                ask()
            assert "planted" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_passes_is_no_refusal(server: RegistryServer, status: int) -> None:
    server.status = status
    with pytest.raises(RegistryError, match=f"HTTP {status}") as caught:
        ConfluentRegistry(server.url, {}).schema(1)
    assert type(caught.value) is RegistryError
    assert sum(server.asked.values()) == 1  # whether to try again is decided elsewhere


def test_one_that_does_not_listen_is_named(server: RegistryServer) -> None:
    client = ConfluentRegistry(server.url, {})
    server.stop()
    with pytest.raises(RegistryDownError, match=f"{server.url} did not answer"):
        client.schema(1)


def test_an_answer_that_is_no_registrys_is_told_as_such(server: RegistryServer) -> None:
    server.schemas[1] = {"no": "schema"}
    with pytest.raises(RegistryError, match="is the url that of a schema registry"):
        ConfluentRegistry(server.url, {}).schema(1)
    server.schemas[1] = ["no object"]  # type: ignore[assignment]
    with pytest.raises(RegistryError, match="in no known form"):
        ConfluentRegistry(server.url, {}).schema(1)


def test_tls_is_verified_with_the_given_authority(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    with RegistryServer(certificate=(str(certificate), str(key))) as server:
        number = server.register("events-value", EVENT)
        assert ConfluentRegistry(server.url, {"ssl.ca.location": str(certificate)}).schema(number).text
        with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
            ConfluentRegistry(server.url, {}).schema(number)


@pytest.mark.parametrize(
    "properties",
    [{"basic.auth.user.info": "planted-password"}, {"ssl.ca.location": "/nowhere/ca.pem"}, {"no.such": "x"}],
)
def test_settings_that_its_client_refuses_are_a_users_mistake(properties: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="schema_registry") as caught:
        ConfluentRegistry("http://localhost:1", properties)
    assert "planted" not in str(caught.value)


def test_an_error_can_be_told_in_another_process(server: RegistryServer) -> None:
    with pytest.raises(UnknownSchemaError) as caught:
        ConfluentRegistry(server.url, {}).schema(5)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
