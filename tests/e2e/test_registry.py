"""The registry's client and the decoder against a REAL registry (Apicurio, its endpoint of Confluent's protocol)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage_pipeline.books.schema_registry import ConfluentRegistry
from lineage_pipeline.books.writer_schemas import WriterSchemas
from lineage_pipeline.core.avro_confluent import WrittenSchema
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.errors import RegistryDownError, RegistryRefusedError, UnknownSchemaError
from lineage_pipeline.local.java import Java
from tests.apicurio import PATH, Apicurio
from tests.flink.test_decode_confluent import CLASHING, TABLE, V2, VERSIONS, payload, value_of

pytestmark = [
    pytest.mark.e2e,
    # this server keeps connections, and so does confluent-kafka's client until it is collected: it has no close()
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, java: Java) -> Iterator[Apicurio]:
    with Apicurio(tmp_path_factory.mktemp("apicurio"), java) as running:
        yield running


def framed(schema_id: int, data: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + data[5:]


def test_three_versions_side_by_side_are_read_with_the_schemas_it_gives(registry: Apicurio) -> None:
    ids = {version: registry.register(f"orders-{version}", schema) for version, schema in VERSIONS.items()}
    assert len(set(ids.values())) == 3
    schemas = WriterSchemas(ConfluentRegistry(registry.url, {}), 1)
    decoder = PayloadDecoder(record_schema("avro-confluent", TABLE), schemas.fetch)
    for number in range(30):
        version = 1 + number % 3
        values, error = decoder.decode(framed(ids[version], payload(version, value_of(version, number))))
        assert error is None
        assert values[:2] == [number, f"é{number}"]


def test_poison_of_its_own_has_the_right_reason(registry: Apicurio) -> None:
    clashing = registry.register("clashing", CLASHING)
    protobuf = registry.register("proto", 'syntax = "proto3"; message Order { int64 id = 1; }', schemaType="PROTOBUF")
    other = registry.register("refund", {**V2, "name": "Refund"})
    schemas = WriterSchemas(ConfluentRegistry(registry.url, {}), 1)
    decoder = PayloadDecoder(record_schema("avro-confluent", TABLE), schemas.fetch)
    good = payload(2, value_of(2, 7))
    reasons = {}
    for kind, number in (("clash", clashing), ("protobuf", protobuf), ("other", other), ("unknown", 999_999)):
        _, error = decoder.decode(framed(number, good))
        assert error is not None
        reasons[kind] = error.partition(":")[0]
    assert reasons == {
        "clash": "unresolvable", "protobuf": "bad-schema", "other": "unresolvable", "unknown": "unknown-schema",
    }  # fmt: skip


def test_what_a_schema_refers_to_comes_along(registry: Apicurio) -> None:
    inner = {"type": "record", "name": "Inner", "namespace": "x", "fields": [{"name": "a", "type": "long"}]}
    outer = {"type": "record", "name": "Outer", "namespace": "x", "fields": [{"name": "in", "type": "x.Inner"}]}
    registry.register("inner", inner)
    reference = {"name": "x.Inner", "subject": "inner", "version": 1}
    number = registry.register("outer", outer, references=[reference])
    found = ConfluentRegistry(registry.url, {}).schema(number)
    assert found == WrittenSchema(found.text, found.references)
    assert json.loads(found.text) == outer
    assert [json.loads(one) for one in found.references] == [inner]


def test_what_it_refuses_and_when_it_is_away_are_told_apart(registry: Apicurio, tmp_path: Path, java: Java) -> None:
    ConfluentRegistry(registry.url, {}).check()
    with pytest.raises(UnknownSchemaError):
        ConfluentRegistry(registry.url, {}).schema(999_999)
    with pytest.raises(RegistryRefusedError, match="check the path in its url"):
        ConfluentRegistry(registry.url.removesuffix(PATH) + "/apis/wrong", {}).check()
    with pytest.raises(RegistryDownError):
        ConfluentRegistry(Apicurio(tmp_path, java).url, {}).check()  # a free port: nobody listens
