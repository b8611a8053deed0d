"""The pipeline of an end-to-end test: a topic on the shared broker, and a job that never outlives the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineage_pipeline.local.broker import KafkaBroker
from tests.e2e.pipeline import Pipeline, new_topic

PARTITIONS = 3


@pytest.fixture
def pipeline(broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path) -> Iterator[Pipeline]:
    """A topic of three partitions and a job that is not started yet."""
    topic = new_topic(broker.bootstrap_servers, topic_name(), PARTITIONS)
    directory = tmp_path / "it's a lake, 100 % ours"  # every character must survive URIs, SQL and shells on the way
    directory.mkdir()
    made = Pipeline(broker.bootstrap_servers, topic, directory, os.environ)
    yield made
    made.kill()
