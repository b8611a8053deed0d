"""Three schema versions and all poison on one topic, a table schema with a mistake, and the way back from it.

The registry is tests/registry_server.py, which speaks Confluent's protocol and is NOT a real one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from lineage_pipeline.cli import lineage
from tests.e2e.pipeline import Pipeline, Place
from tests.flink.test_decode_confluent import POISON, REGISTERED, TABLE, payload, value_of
from tests.registry_server import RegistryServer

pytestmark = pytest.mark.e2e

GOOD = 900
# away in the unit tests; here the registry answers that it has no such schema
REASONS = {kind: "unknown-schema" if kind == "a registry that is away" else word for kind, (_, word) in POISON.items()}
KINDS = {data: REASONS[kind] for kind, (data, _) in POISON.items()}
# As what they were written: with the mistake in the table's schema, nothing of these versions is read any further.
RENAMED = tuple(b"\0" + version.to_bytes(4, "big") for version in (1, 2))

# Each replay goes on where the one before was killed; the last has written all, and could not say so any more.
KILLS = (("claim", "unnamed"), ("claim", "after"), ("note", "after"), ("data", "unnamed"), ("data", "after"))


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        for number, one in REGISTERED.items():
            server.schemas[number] = {"schema": one.text, **({"schemaType": one.kind} if one.kind != "AVRO" else {})}
        yield server


def without_alias() -> dict[str, Any]:
    """The mistake: nobody said that `customer` was called `name` in the first two versions."""
    fields = [{key: value for key, value in one.items() if key != "aliases"} for one in TABLE["fields"]]
    return {**TABLE, "fields": fields}


def at_first(data: bytes | None) -> str | None:
    """Why the table's schema with the mistake refuses a payload: its own defect only where it was read so far."""
    assert data is not None
    return "unresolvable" if data.startswith(RENAMED) else KINDS.get(data)


def configure(pipeline: Pipeline, registry: RegistryServer, schema: dict[str, Any], name: str) -> None:
    path = pipeline.directory / name
    path.write_text(json.dumps(schema), encoding="utf-8")
    pipeline.configure(format="avro-confluent", schema=str(path), settle=1)
    content = yaml.safe_load(pipeline.config.read_text(encoding="utf-8"))
    content["schema_registry"] = {"url": registry.url}
    pipeline.config.write_text(yaml.safe_dump(content), encoding="utf-8")


def run(pipeline: Pipeline, *arguments: str) -> Result:
    return CliRunner().invoke(lineage, [*arguments, "--config", str(pipeline.config)], env={"KAFKA_TOPIC": None})


def said(pipeline: Pipeline, *arguments: str) -> Any:
    done = run(pipeline, *arguments, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def produce(pipeline: Pipeline) -> None:
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    poison = [data for data, _ in POISON.values()] * 2
    for number in range(GOOD):
        version = 1 + number % 3
        producer.produce(pipeline.topic, payload(version, value_of(version, number)), partition=number % 3)
        if number % 10 == 0 and poison:
            producer.produce(pipeline.topic, poison.pop(), partition=number % 3)
    assert poison == []
    assert producer.flush(60) == 0


def places(pipeline: Pipeline, table: str) -> Counter[Place]:
    rows = pipeline.rows(table)
    if not rows.num_rows:
        return Counter()
    return Counter(zip(rows["kafka_partition"].to_pylist(), rows["kafka_offset"].to_pylist(), strict=True))


def killed(pipeline: Pipeline, what: str, when: str) -> None:
    command = [sys.executable, "-m", "tests.e2e.killed_replay", what, when]
    arguments = ["quarantine", "replay", "--execute", "--config", str(pipeline.config)]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def assert_every_reason_is_right(pipeline: Pipeline, produced: dict[Place, Any]) -> None:
    """Data + quarantine = produced, index = all; each row of the quarantine, and the list, has the right reason."""
    bad = places(pipeline, "quarantine")
    assert places(pipeline, "output") + bad == Counter(dict.fromkeys(produced, 1))
    index = pipeline.rows("offset-index")
    assert sum(index["record_count"].to_pylist()) == len(produced)
    assert sum(index["quarantined_count"].to_pylist()) == bad.total()
    for row in pipeline.rows("quarantine").to_pylist():
        assert row["error"].partition(":")[0] == at_first(row["payload"]), row
    reasons = Counter(at_first(record.payload) for record in produced.values())
    del reasons[None]  # decoded
    listed = said(pipeline, "quarantine")
    assert {one["class"]: one["records"] for one in listed["classes"]} == dict(reasons)
    assert all(one["examples"][0]["payload"] is not None for one in listed["classes"])


def assert_all_books_and_commands_agree(pipeline: Pipeline, replayed: Place) -> None:
    """After the replay nobody calls anything lost or double, and it can be seen what was replayed."""
    report = said(pipeline, "audit", "--books", "index,broker,lake", "--wait")
    assert (report["verdict"], report["totals"]["duplicated"], report["problems"]) == ("complete", 0, [])
    assert report["totals"]["quarantined"] == 600 + 2 * len(POISON)
    partition, offset = replayed
    located = said(pipeline, "locate", str(partition), str(offset), "--record")
    assert [one["table"] for one in located["data_files"]] == ["data", "quarantine"]
    assert located["record"]["customer"].startswith("é")
    told = run(pipeline, "locate", str(partition), str(offset))
    assert "replayed from quarantine file" in told.output
    assert said(pipeline, "sql", "SELECT count(*) AS n FROM quarantine_open") == [{"n": 2 * len(POISON)}]
    assert said(pipeline, "sql", "SELECT count(*) AS n FROM data") == [{"n": GOOD}]
    listed = said(pipeline, "quarantine")
    assert (listed["records"], listed["replayed"]) == (600 + 2 * len(POISON), 600)
    verified = said(pipeline, "verify", "--sample", "100000")
    found = (verified["verdict"], verified["records"], verified["other_reason"])
    assert found == ("complete", GOOD + 2 * len(POISON), 2 * sum(data.startswith(RENAMED) for data in KINDS))
    history = run(pipeline, "quarantine", "replay", "--history").output
    assert "begun" in history
    assert "600 records" in history


def test_what_a_wrong_schema_put_into_quarantine_is_replayed_exactly_once_through_kills(
    pipeline: Pipeline, registry: RegistryServer
) -> None:
    configure(pipeline, registry, without_alias(), "wrong.avsc")
    produce(pipeline)
    produced = pipeline.readable()
    pipeline.start()
    pipeline.wait_moved(len(produced))
    pipeline.stop()
    assert_every_reason_is_right(pipeline, produced)
    before, quarantine = places(pipeline, "output"), pipeline.rows("quarantine").to_pylist()

    configure(pipeline, registry, TABLE, "right.avsc")
    plan = said(pipeline, "quarantine", "replay")
    assert (plan["decodable"], plan["undecodable"], plan["executed"]) == (600, 2 * len(POISON), False)
    still = Counter[str]()
    for one in plan["classes"]:
        still.update({other["class"]: other["records"] for other in one["still"]})
    assert still == Counter([*REASONS.values()] * 2)
    assert places(pipeline, "output") == before
    for what, when in KILLS:
        assert places(pipeline, "output") == before, "a replay that did not end has written"
        killed(pipeline, what, when)
    assert said(pipeline, "audit", "--books", "index,broker,lake", "--wait")["totals"]["duplicated"] == 0
    assert said(pipeline, "quarantine", "replay", "--execute", "--by", "Ada")["written"] == 0

    good = {place for place, record in produced.items() if record.payload not in KINDS}
    assert places(pipeline, "output") == Counter(dict.fromkeys(good, 1))
    rows = pipeline.rows("output").to_pylist()
    assert Counter(row["customer"] for row in rows) == Counter(f"é{number}" for number in range(GOOD))
    assert all(row["customer"] == f"é{row['id']}" for row in rows)
    assert pipeline.rows("quarantine").to_pylist() == quarantine
    assert_all_books_and_commands_agree(pipeline, min(good - set(before)))
