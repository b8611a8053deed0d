"""Everything the job writes and reads on S3: tables, index, deployments, plan, checkpoints. Only Kafka is elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from urllib.request import urlopen

import pytest

from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.core.report import AuditReport
from lineage_pipeline.lake_sql import LakeSql
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.s3_server import S3Server
from tests.e2e.exactness import assert_exact
from tests.e2e.pipeline import Pipeline, new_topic

pytestmark = pytest.mark.e2e


@pytest.fixture
def pipeline(broker: KafkaBroker, s3: S3Server, topic_name: Callable[[], str], tmp_path: Path) -> Iterator[Pipeline]:
    topic = new_topic(broker.bootstrap_servers, topic_name(), 3)
    made = Pipeline(broker.bootstrap_servers, topic, tmp_path, os.environ, s3)
    yield made
    made.kill()


def test_a_job_on_s3_survives_a_crash_stops_cleanly_and_is_proven_on_s3(pipeline: Pipeline) -> None:
    pipeline.produce(3000, poison_fraction=0.01)
    pipeline.start()
    pipeline.wait_moved(3000)
    pipeline.kill()
    pipeline.produce(3000, poison_fraction=0.01)
    pipeline.start()
    assert [one["reason"] for one in pipeline.deployments] == ["first", "restored"]
    pipeline.wait_moved(6000)
    answers = all_that_flink_answers(pipeline)
    pipeline.stop()
    assert_exact(pipeline, pipeline.readable())

    report = audited(pipeline)
    assert (report.verdict, report.to_json()["totals"]["actual"]) == ("complete", 6000)
    lake = LakeSql(pipeline.settings, pipeline.topic_settings)
    assert lake.value("SELECT (SELECT count(*) FROM data) + (SELECT count(*) FROM quarantine)") == 6000

    (lost, *_) = pipeline.files("offset-index")
    lost.unlink()
    assert audited(pipeline).verdict == "undetermined", "an index file that has vanished from S3 is noticed"

    secrets = [pipeline.aws["AWS_SECRET_ACCESS_KEY"].encode(), pipeline.aws["AWS_ACCESS_KEY_ID"].encode()]
    texts = {"flink": answers}
    for root in (pipeline.directory, pipeline.lake):
        texts |= {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for kind in ("plans", "_deployments", "_metadata", "flink-", "job.log", "_ledger"):
        assert any(kind in name for name in texts), kind
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []


def audited(pipeline: Pipeline) -> AuditReport:
    request = audit_request(pipeline.settings, pipeline.topic_settings, ("index", "broker"))
    return audit_topic(request, lambda: datetime.now(timezone.utc))


def all_that_flink_answers(pipeline: Pipeline) -> bytes:
    def get(path: str) -> bytes:
        with urlopen(pipeline.job.ui_url + path, timeout=30) as answer:
            return bytes(answer.read())

    overview = get("/jobs/overview")
    (job,) = [one["jid"] for one in json.loads(overview)["jobs"]]
    pages = [f"/jobs/{job}/config", f"/jobs/{job}/checkpoints", "/jobmanager/config", "/jobmanager/environment"]
    return overview + b"".join(get(page) for page in pages)
