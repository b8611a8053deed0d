"""What `lineage prepare` makes: against the real broker and the real S3 server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lineage_pipeline.cli import lineage
from lineage_pipeline.errors import BrokerError
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.local.prepare_command import buckets
from lineage_pipeline.local.s3_server import S3Server
from lineage_pipeline.local.topics import partition_count
from lineage_pipeline.settings import load_settings


def test_each_bucket_of_a_topics_paths_is_named_once(tmp_path: Path) -> None:
    config = tmp_path / "lineage.yaml"
    config.write_text("lake: s3://a/x\ntopics: [{name: t, paths: {audit: s3a://b/y, checkpoints: /lake}}]")
    assert buckets(load_settings({}, config).topic()) == ["a", "b"]


@pytest.mark.e2e
def test_topic_and_bucket_are_made_once_and_left_as_they_are(
    broker: KafkaBroker, s3: S3Server, topic_name: Callable[[], str], tmp_path: Path
) -> None:
    topic, bucket = topic_name()[-40:], "prepared"
    config = tmp_path / "lineage.yaml"
    config.write_text(f"lake: s3://{bucket}\ntopics: [{{name: {topic}}}]")
    environ = {**s3.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "LINEAGE_CONFIG": str(config)}
    first = CliRunner().invoke(lineage, ["prepare", "--partitions", "3"], env=environ)
    again = CliRunner().invoke(lineage, ["prepare", "--partitions", "5"], env=environ)
    assert (first.exit_code, again.exit_code) == (0, 0), (first.output, again.output)
    assert f"bucket {bucket}: made" in first.stderr
    assert f"bucket {bucket}: is there" in again.stderr
    assert "is there with 3 partitions" in again.stderr
    assert partition_count(broker.bootstrap_servers, topic) == 3


def test_a_broker_that_stays_away_is_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "lineage.yaml"
    config.write_text(f"lake: {tmp_path}\nkafka: {{bootstrap_servers: '127.0.0.1:{free_ports(1)[0]}'}}")
    done = CliRunner().invoke(lineage, ["prepare", "--wait", "0", "--config", str(config)])
    assert isinstance(done.exception, BrokerError)
