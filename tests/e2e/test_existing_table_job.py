"""A Table job that somebody else wrote, with our index added in one call: audited complete by all three books."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from confluent_kafka import Producer

from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.java import Java
from lineage_pipeline.settings import load_settings
from tests.e2e.pipeline import new_topic

EXAMPLE = Path(__file__).parents[2] / "examples" / "existing_table_job.py"
GROUPING = Path(__file__).with_name("grouping_table_job.py")
RECORDS, PARTITIONS = 3_000, 3

pytestmark = pytest.mark.e2e


def started(java: Java, environ: dict[str, str], script: Path = EXAMPLE, **more: str) -> subprocess.Popen[str]:
    whole = {**os.environ, "JAVA_HOME": str(Path(java.executable).parents[1]), **environ, **more}
    return subprocess.Popen(
        [sys.executable, script], env=whole, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_one_call_gives_an_existing_job_an_index_that_accounts_for_every_record(
    broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path, java: Java
) -> None:
    topic = new_topic(broker.bootstrap_servers, topic_name(), PARTITIONS)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions()
    for part in range(3):  # each leaves a marker in every partition, and the second leaves no record
        producer.begin_transaction()
        for number in range(RECORDS // 2):
            producer.produce(topic, f"line {part} {number}".encode(), partition=number % PARTITIONS)
        producer.flush()
        producer.abort_transaction() if part == 1 else producer.commit_transaction()
    environ = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "KAFKA_TOPIC": topic, "LAKE": str(tmp_path)}

    checked, ran = started(java, environ, CHECK="1"), started(java, environ, BOUNDED="1")
    for process in (checked, ran):
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output

    settings = load_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "KAFKA_TOPIC": topic,
            "OUTPUT_PATH": str(tmp_path / "table"),
            "OFFSET_INDEX_PATH": str(tmp_path / "offset-index"),
            "AUDIT_PATH": str(tmp_path / "audit"),
        }
    )
    request = audit_request(settings, settings.topic(), ["index", "broker", "lake"])
    (tmp_path / "audit").mkdir()
    report = audit_topic(request, lambda: datetime.now(timezone.utc))
    assert (report.verdict, report.problems) == ("complete", ())
    assert report.totals["indexed"] == RECORDS
    assert report.totals["explained"] == RECORDS // 2 + 3 * PARTITIONS
    assert sum(one.decision.lake.present.total for one in report.partitions) == RECORDS


def test_a_job_with_aggregates_and_bundles_of_its_own_keeps_them_and_gets_an_exact_index_of_two_topics(
    broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path, java: Java
) -> None:
    topics = [new_topic(broker.bootstrap_servers, topic_name(), 2) for _ in range(2)]
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for topic, records in zip(topics, (2_000, 600), strict=True):
        for number in range(records):
            producer.produce(topic, b"line", partition=number % 2)
    assert producer.flush(60) == 0
    environ = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "TOPICS": ",".join(topics), "LAKE": str(tmp_path)}
    ran = started(java, environ, GROUPING)
    output, _ = ran.communicate(timeout=300)
    assert ran.returncode == 0, output
    last = dict(re.findall(r"\+[IU]\[(\d), (\d+)\]", output))
    assert last == {"0": "1000", "1": "1000"}

    for topic, records in zip(topics, (2_000, 600), strict=True):
        paths = {"OFFSET_INDEX_PATH": str(tmp_path / "index"), "AUDIT_PATH": str(tmp_path / "audit")}
        settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "KAFKA_TOPIC": topic, **paths})
        (tmp_path / "audit").mkdir(exist_ok=True)
        request = audit_request(settings, settings.topic(), ["index", "broker"])
        report = audit_topic(request, lambda: datetime.now(timezone.utc))
        assert (report.verdict, report.problems, report.totals["indexed"]) == ("complete", (), records)
        assert report.totals["duplicated"] == 0
