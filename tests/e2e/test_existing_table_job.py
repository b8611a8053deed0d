"""A Table job that somebody else wrote, with our index added in one call: audited complete by all three books."""

from __future__ import annotations

import os
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
RECORDS, PARTITIONS = 3_000, 3

pytestmark = pytest.mark.e2e


def started(java: Java, environ: dict[str, str], **more: str) -> subprocess.Popen[str]:
    whole = {**os.environ, "JAVA_HOME": str(Path(java.executable).parents[1]), **environ, **more}
    return subprocess.Popen(
        [sys.executable, EXAMPLE], env=whole, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
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
