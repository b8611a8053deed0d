"""Every harm to a lake at once, on disk and on S3, beside a real broker: found, told with its file, put back.

One partition for each harm; a partition is one data file and one index file.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from lineage_pipeline.audit_topic import audit_request, audit_topic
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.cli import lineage
from lineage_pipeline.local.broker import KafkaBroker
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from tests.e2e.lossy_lake import declare, stop, write
from tests.e2e.pipeline import Pipeline, new_topic

pytestmark = pytest.mark.e2e

HARMS = (
    "delete",
    "truncate",
    "overwrite, same size",
    "overwrite, shorter",
    "corrupt page",
    "copy",
    "rename",
    "lost index file",
    "orphan in-progress file",
    "another topic's file",
)
EXPECTED: dict[str, set[tuple[str, str | None]]] = {
    "delete": {("damaged", "object-missing")},
    "truncate": {("damaged", "object-changed")},
    "overwrite, same size": {("damaged", "object-changed")},
    "overwrite, shorter": {("damaged", "object-changed")},
    "corrupt page": {("damaged", "object-changed")},
    "copy": {("duplicated", None)},
    "rename": set(),
    "lost index file": {("unknown", "index-vanished")},
    "orphan in-progress file": set(),
    "another topic's file": {("duplicated", None)},
}


class Harmed:
    """A whole lake of a topic with a partition for each harm, as a job left it that was stopped cleanly."""

    def __init__(self, pipeline: Pipeline, s3: S3Server | None) -> None:
        self.pipeline, self.s3 = pipeline, s3
        pipeline.configure(settle=1)
        pipeline.produce(1_500, transaction_size=40, abort_every=5)
        self.readable = pipeline.readable()
        declare(pipeline)
        for partition in range(len(HARMS)):
            mine = [place for place in self.readable if place[0] == partition]
            assert len(mine) > 20, "each partition needs records to lose"
            write(pipeline, mine, name=f"part-{partition}")
        stop(pipeline)

    def key(self, partition: int, name: str | None = None) -> str:
        return f"kafka_topic={self.pipeline.topic}/dt=2026-11-22/hour=22/{name or f'part-{partition}'}"

    def table(self, name: str) -> ObjectStore:
        aws = {key: SecretStr(value) for key, value in self.pipeline.aws.items()}
        return open_store(f"{self.pipeline.lake_uri}/{name}", aws)

    def delete(self, table: str, key: str) -> None:
        if self.s3 is not None:
            self.s3.client().delete_object(Bucket=BUCKET, Key=f"{self.pipeline.topic}/{table}/{key}")
        else:
            (self.pipeline.lake / table / key).unlink()

    def harm(self) -> None:
        """All of them."""
        output = self.table("output")
        contents = [output.get(self.key(partition)) for partition in range(len(HARMS))]
        self.delete("output", self.key(0))
        output.put(self.key(1), contents[1][:-30])
        output.put(self.key(2), bytes(len(contents[2])))
        rows = pq.read_table(io.BytesIO(contents[3]))
        output.put(self.key(3), parquet(rows.slice(0, rows.num_rows // 2)))
        column = pq.read_metadata(io.BytesIO(contents[4])).row_group(0).column(0)
        place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 3
        flipped = contents[4][:place] + bytes([contents[4][place] ^ 1]) + contents[4][place + 1 :]
        output.put(self.key(4), flipped)
        output.put(self.key(5, "copy-5"), contents[5])
        output.put(self.key(6, "renamed-6"), contents[6])
        self.delete("output", self.key(6))
        self.delete("offset-index", f"kafka_topic={self.pipeline.topic}/dt=2026-11-22/part-7")
        output.put(self.key(8, ".part-8.inprogress.77aa"), contents[8][:100])
        foreign = pq.read_table(io.BytesIO(contents[9]), columns=["kafka_partition", "kafka_offset"]).slice(0, 5)
        output.put(self.key(9, "stranger-9"), parquet(foreign))

    def run(self, *arguments: str) -> Result:
        environ = {"KAFKA_TOPIC": None, **self.pipeline.aws}
        return CliRunner().invoke(lineage, [*arguments, "--config", str(self.pipeline.config)], env=environ)

    def audit(self) -> dict[str, Any]:
        return json.loads(self.run("audit", "--books", "index,broker,lake", "--wait", "--json").stdout)

    def later(self) -> str:
        """What an audit two hours from now finds beside classes: then an uncommitted file is nobody's any more."""
        settings = self.pipeline.settings
        request = audit_request(settings, settings.topic(), ["index", "broker", "lake"])
        report = audit_topic(request, lambda: datetime.now(timezone.utc) + timedelta(hours=2))
        return "\n".join(f"{one.kind}: {one.text}" for one in report.findings)


def parquet(table: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def classes(report: dict[str, Any], *classes: str) -> dict[str, set[tuple[str, str | None]]]:
    return {
        harm: {(one["class"], one["cause"]) for one in part["ranges"] if one["class"] not in {"explained", *classes}}
        for harm, part in zip(HARMS, report["partitions"], strict=True)
    }


def told(report: dict[str, Any], partition: int) -> str:
    evidence = [one["evidence"] for one in report["partitions"][partition]["ranges"]]
    return "\n".join([*evidence, *(one["text"] for one in report["findings"]), *report["problems"]])


@pytest.mark.parametrize("where", ["directory", "s3"])
def test_every_harm_is_found_with_its_class_and_file_and_put_back_where_kafka_has_the_records(
    where: str, broker: KafkaBroker, topic_name: Callable[[], str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    s3: S3Server | None = request.getfixturevalue("s3") if where == "s3" else None
    topic = new_topic(broker.bootstrap_servers, topic_name(), len(HARMS))
    lake = Harmed(Pipeline(broker.bootstrap_servers, topic, tmp_path, os.environ, s3), s3)
    report = lake.audit()
    assert (report["verdict"], report["problems"]) == ("complete", [])
    lake.harm()

    report = lake.audit()
    assert (report["verdict"], classes(report)) == ("loss", EXPECTED)
    for partition, name in enumerate(("part-0", "part-1", "part-2", "part-3", "part-4", "copy-5")):
        assert name in told(report, partition), HARMS[partition]
    assert "part-5" in told(report, 5)
    assert f"rewritten: data file {lake.key(6)}" in "\n".join(f"{x['kind']}: {x['text']}" for x in report["findings"])
    assert "part-7 holds them: `lineage index rebuild` writes the rows" in told(report, 7)
    assert "stranger-9" in told(report, 9)
    assert f"data file {lake.key(8, '.part-8.inprogress.77aa')} were never committed" in lake.later()

    rebuilt = lake.run("index", "rebuild", "--execute", "--tail")
    assert "index files" in rebuilt.stdout, rebuilt.output
    repaired = lake.run("repair", "--execute", "--wait", "--by", "Ada", "--books", "index,broker,lake")
    assert repaired.exit_code == 0, repaired.output
    report = lake.audit()
    assert report["verdict"] == "complete"
    assert classes(report) == {harm: one if ("duplicated", None) in one else set() for harm, one in EXPECTED.items()}
    assert report["totals"]["actual"] == len(lake.readable)
    values = lake.run("verify", "--sample", "100000")
    # what is left is told: by the audit three files that no reader can read, by this a stranger's rows without values
    broken = [one["text"] for one in report["findings"] if one["kind"] == "broken-file"]
    assert len(broken) == 3
    assert all(f"/{name} is broken" in "\n".join(broken) for name in ("part-1", "part-2", "part-4"))
    assert "stranger-9" in values.output
