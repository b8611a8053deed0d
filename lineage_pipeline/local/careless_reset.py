"""Fault injection: a person resets the job's group offsets behind its back and throws its state away.

`python -m lineage_pipeline.local.careless_reset --shift 9:300 --config FILE ...` runs the job like `lineage job run
--from-index-end`, except that the offset of partition 9 arrives at Kafka 300 too high. That is how real losses happen
that no count sees: one reset too far, and later one back by as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from lineage_pipeline.books.broker_book import BrokerBook
from lineage_pipeline.books.kafka_offsets import KafkaBook
from lineage_pipeline.core.broker_snapshot import BrokerSnapshot
from lineage_pipeline.core.job_start import StartRequest
from lineage_pipeline.flink.job import JobRun
from lineage_pipeline.job_command import job_options, run_until_stopped
from lineage_pipeline.settings import load_settings

MODULE = "lineage_pipeline.local.careless_reset"


class CarelessBook:
    """A BrokerBook that writes the offsets of some partitions wrong, by `shift` offsets each."""

    def __init__(self, book: BrokerBook, shift: Mapping[int, int]) -> None:
        self._book = book
        self._shift = shift

    def snapshot(self, topic: str, group: str | None = None) -> BrokerSnapshot:
        """What the real book says."""
        return self._book.snapshot(topic, group)

    def commit_group_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Write the offsets, shifted."""
        wrong = {partition: offset + self._shift.get(partition, 0) for partition, offset in offsets.items()}
        self._book.commit_group_offsets(group, topic, wrong)

    def group_members(self, group: str) -> tuple[str, ...]:
        """What the real book says."""
        return self._book.group_members(group)


@click.command()
@click.option("--shift", required=True, help="PARTITION:OFFSETS, such as 9:300 or 9:-300.")
@click.option("--config", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--rest-port", type=int, required=True)
@click.option("--log-dir", type=click.Path(path_type=Path), required=True)
def main(shift: str, config: Path, rest_port: int, log_dir: Path) -> None:
    """Run the job from wrong offsets until SIGTERM."""
    partition, offsets = (int(part) for part in shift.split(":"))
    settings = load_settings({}, config)
    real = KafkaBook(settings.kafka.bootstrap_servers, settings.kafka.properties)
    topic = settings.topic()
    options = job_options(settings, topic, rest_port=rest_port, log_dir=log_dir)
    request = StartRequest(topic.baseline, from_index_end=True)
    run_until_stopped(JobRun(settings, topic, options, CarelessBook(real, {partition: offsets}), request))


if __name__ == "__main__":
    main()
