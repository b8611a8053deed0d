"""A password in the Kafka properties reaches Kafka, and nothing that anybody reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import HOST, free_ports
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline, new_topic

pytestmark = pytest.mark.e2e

# With the characters that JAAS, SQL and properties files quote in different ways.
CANARY_WORD = "planted-canary"
CANARY = CANARY_WORD + """'"\\; = password"""


@pytest.fixture
def sasl_pipeline(
    tmp_path: Path, java: Java, kafka_jars: list[Path], topic_name: Callable[[], str]
) -> Iterator[Pipeline]:
    """A job that logs in with the canary; the test itself uses a listener that asks for nothing."""
    clients, sasl, controller = free_ports(3)
    password = CANARY.replace("\\", "\\\\").replace('"', '\\"')
    module = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_job="{password}";'
    properties = {
        "listeners": f"PLAINTEXT://{HOST}:{clients},SASL_PLAINTEXT://{HOST}:{sasl},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{clients},SASL_PLAINTEXT://{HOST}:{sasl}",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        # the job has the rights of docs/operations.md and no others
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        # a properties file takes one level of backslashes away
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": module.replace("\\", "\\\\"),
    }
    with KafkaBroker(tmp_path / "broker", java, kafka_jars, properties=properties, port=clients) as broker:
        (tmp_path / "pipeline").mkdir()
        topic = new_topic(broker.bootstrap_servers, topic_name(), 2)
        _grant_read(broker.bootstrap_servers, topic, f"{topic}-job")
        made = Pipeline(
            broker.bootstrap_servers,
            topic,
            tmp_path / "pipeline",
            {**os.environ, "JOB_PASSWORD": CANARY, "ANOTHER_TOOLS_URL": f"https://user:{CANARY}@host"},
        )
        made.configure(kafka=_login(sasl))
        yield made
        made.kill()


def test_a_password_is_in_no_plan_log_record_error_or_answer_of_flink(sasl_pipeline: Pipeline) -> None:
    pipeline = sasl_pipeline
    pipeline.produce(1000, poison_fraction=0.02)
    pipeline.start()
    pipeline.wait_moved(1000)
    answers = _all_that_flink_answers(pipeline)
    pipeline.stop()
    assert_exact(pipeline, pipeline.readable())

    texts = {"flink": answers} | {str(p): p.read_bytes() for p in pipeline.directory.rglob("*") if p.is_file()}
    assert any("plans" in name for name in texts)
    assert any("_deployments" in name for name in texts)
    assert any("flink" in name and name.endswith(".log") for name in texts)
    assert len(texts[str(pipeline.job.log_path)]) > 0
    # the word is enough: notations differ in the rest
    leaks = [name for name, text in texts.items() if CANARY_WORD.encode() in text]
    assert leaks == []


def _login(port: int) -> dict[str, object]:
    return {
        "bootstrap_servers": f"{HOST}:{port}",
        "properties": {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "job",
            "sasl.password": {"env": "JOB_PASSWORD"},
        },
    }


def _grant_read(bootstrap_servers: str, topic: str, group: str) -> None:
    bindings = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:job", "*", AclOperation.READ, AclPermissionType.ALLOW)
        for kind, name in ((ResourceType.TOPIC, topic), (ResourceType.GROUP, group))
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})  # it must live until the answers are there
    for done in admin.create_acls(bindings).values():
        done.result(30)


def _all_that_flink_answers(pipeline: Pipeline) -> bytes:
    """What the UI shows of the running job and of the cluster."""

    def get(path: str) -> bytes:
        with urlopen(pipeline.job.ui_url + path, timeout=30) as answer:
            return bytes(answer.read())

    overview = get("/jobs/overview")
    (job,) = [one["jid"] for one in json.loads(overview)["jobs"]]
    pages = [f"/jobs/{job}", f"/jobs/{job}/plan", f"/jobs/{job}/config", f"/jobs/{job}/exceptions",
             f"/jobs/{job}/checkpoints", "/jobmanager/config", "/jobmanager/environment"]  # fmt: skip
    return overview + b"".join(get(page) for page in pages)
