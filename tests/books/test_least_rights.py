"""The rights of docs/operations.md are enough for job and auditor, and are no more than that: by Kafka's authorizer.

Who cannot log in is told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from pydantic import SecretStr

from lineage_pipeline.books.hole_reader import KafkaHoleReader
from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.core.hole_reading import HoleBudget, Window
from lineage_pipeline.core.offsets import OffsetRange, RangeSet
from lineage_pipeline.errors import BrokerError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import HOST, free_ports
from lineage_pipeline.local.producer import ProducerPlan, produce
from lineage_pipeline.local.topics import create_topic

pytestmark = pytest.mark.e2e

TOPIC, GROUP = "orders", "flink-lineage"
USERS = ("job", "auditor", "stranger")
RIGHTS = {
    "job": [(ResourceType.TOPIC, TOPIC, AclOperation.READ), (ResourceType.GROUP, GROUP, AclOperation.READ)],
    "auditor": [
        (ResourceType.TOPIC, TOPIC, AclOperation.DESCRIBE),
        (ResourceType.TOPIC, TOPIC, AclOperation.DESCRIBE_CONFIGS),
        (ResourceType.TOPIC, TOPIC, AclOperation.READ),
        (ResourceType.GROUP, GROUP, AclOperation.DESCRIBE),
    ],
}


@pytest.fixture(scope="module")
def sasl_port(tmp_path_factory: pytest.TempPathFactory, java: Java, kafka_jars: list[Path]) -> Iterator[int]:
    """Where users log in to a broker that allows nothing but RIGHTS; the topic has 100 records in one partition."""
    clients, sasl, controller = free_ports(3)
    accounts = " ".join(f'user_{user}="{user}-password"' for user in USERS)
    properties = {
        "listeners": f"PLAINTEXT://{HOST}:{clients},SASL_PLAINTEXT://{HOST}:{sasl},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{clients},SASL_PLAINTEXT://{HOST}:{sasl}",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # the broker itself, and this fixture
    }
    folder = tmp_path_factory.mktemp("rights")
    with KafkaBroker(folder, java, kafka_jars, properties=properties, port=clients) as broker:
        create_topic(broker.bootstrap_servers, TOPIC, 1)
        produce(ProducerPlan(broker.bootstrap_servers, TOPIC, count=100))
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for user, rights in RIGHTS.items()
            for kind, name, operation in rights
        ]
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})  # it must live until the answers are there
        for done in admin.create_acls(bindings).values():
            done.result(30)
        yield sasl


def login(user: str) -> dict[str, SecretStr]:
    values = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": f"{user}-password",
    }
    return {name: SecretStr(value) for name, value in values.items()}


def book(port: int, user: str) -> KafkaBook:
    return KafkaBook(f"{HOST}:{port}", login(user))


def test_the_job_looks_at_the_topic_and_sets_its_groups_offsets(sasl_port: int) -> None:
    job = book(sasl_port, "job")
    job.commit_group_offsets(GROUP, TOPIC, {0: 40})
    (partition,) = job.snapshot(TOPIC, GROUP).partitions.values()
    assert (partition.error, partition.high_watermark, partition.committed) == (None, 100, 40)


def test_the_auditor_sees_ends_offsets_and_settings_reads_holes_and_changes_nothing(sasl_port: int) -> None:
    auditor = book(sasl_port, "auditor")
    snapshot = auditor.snapshot(TOPIC, GROUP)
    assert snapshot.partitions[0].high_watermark == 100
    assert snapshot.partitions[0].error is None
    assert snapshot.config["cleanup.policy"] == "delete"
    hole = OffsetRange(10, 20)
    rounds = ((Window(0, hole, RangeSet.of(hole)),),)
    scans = KafkaHoleReader(f"{HOST}:{sasl_port}", login("auditor")).read(TOPIC, rounds, "read_committed", HoleBudget())
    assert {scan.reached for scan in scans} == {20}
    assert [(run.start, run.end) for run in scans[0].found] == [(10, 20)]
    with pytest.raises(BrokerError, match=r"(?i)authoriz"):
        auditor.commit_group_offsets(GROUP, TOPIC, {0: 0})


def test_who_has_no_right_learns_nothing_and_is_told_so(sasl_port: int) -> None:
    with pytest.raises(BrokerError):
        book(sasl_port, "stranger").snapshot(TOPIC, GROUP)


def test_a_login_that_is_refused_is_named_without_the_password(sasl_port: int) -> None:
    wrong = {**login("job"), "sasl.password": SecretStr("wrong-password")}
    with pytest.raises(BrokerError, match=r"refused the login: check sasl\.mechanism, sasl\.username") as refused:
        KafkaBook(f"{HOST}:{sasl_port}", wrong, timeout=5).snapshot(TOPIC)
    assert "wrong-password" not in str(refused.value)
