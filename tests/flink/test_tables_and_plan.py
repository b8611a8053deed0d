"""The job's SQL and its compiled plan: what names a plan, what a plan must be, and that it holds no option."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lineage_pipeline.core.key_schema import key_schema, with_key
from lineage_pipeline.core.record_schema import RecordSchema, record_schema
from lineage_pipeline.errors import JobError
from lineage_pipeline.flink.environment import JobConfig, flink_options, island_ttl_ms
from lineage_pipeline.flink.plan import check_plan, node_types, plan_for, plan_hash
from lineage_pipeline.flink.tables import (
    TOPIC_PLACEHOLDER,
    WRITER_PLACEHOLDER,
    JobTables,
    create_tables,
    create_views,
    inserts,
)
from lineage_pipeline.local.demo_record import schema_text

AVRO = record_schema("avro", schema_text())
RAW = record_schema("raw")
KEY = '{"type": "record", "name": "k", "fields": [{"name": "id", "type": "long"}, {"name": "w", "type": "double"}]}'
KEYED = with_key(AVRO, key_schema("avro", KEY), headers=True)
TABLES = JobTables({"connector": "kafka"}, "file:///o", "file:///q", "file:///i")
TTL = 43_200_000


def schema(*names: str, kind: str = "string") -> RecordSchema:
    fields = [{"name": name, "type": kind} for name in names]
    return record_schema("avro", {"type": "record", "name": "r", "fields": fields})


def config(**changes: Any) -> JobConfig:
    return JobConfig(**{"topic": "t", "schema": AVRO, "tables": TABLES, "checkpoint_interval": 60.0, **changes})


# --- what names a plan


def test_the_name_of_a_plan_is_the_same_for_the_same_shape() -> None:
    assert plan_hash(AVRO, TTL, "2.3.0") == plan_hash(record_schema("avro", schema_text()), TTL, "2.3.0")
    assert re.fullmatch(r"[0-9a-f]{16}", plan_hash(AVRO, TTL, "2.3.0"))


def test_whatever_shapes_the_job_gives_the_plan_another_name() -> None:
    shapes = [
        (AVRO, TTL, "2.3.0"),
        (AVRO, TTL + 1, "2.3.0"),
        (AVRO, TTL, "2.3.1"),
        (RAW, TTL, "2.3.0"),
        (schema("a"), TTL, "2.3.0"),
        (schema("b"), TTL, "2.3.0"),
        (schema("a", "b"), TTL, "2.3.0"),
        (schema("b", "a"), TTL, "2.3.0"),
        (schema("a", kind="bytes"), TTL, "2.3.0"),
        (with_key(AVRO, key_schema("raw"), headers=False), TTL, "2.3.0"),
        (with_key(AVRO, key_schema("string"), headers=False), TTL, "2.3.0"),
        (with_key(AVRO, key_schema("avro", "long"), headers=False), TTL, "2.3.0"),
        (with_key(AVRO, None, headers=True), TTL, "2.3.0"),
        (with_key(RAW, key_schema("raw"), headers=False), TTL, "2.3.0"),
        (with_key(RAW, key_schema("string"), headers=False), TTL, "2.3.0"),
    ]
    assert len({plan_hash(*shape) for shape in shapes}) == len(shapes)


def test_the_plan_of_a_job_without_keys_and_headers_has_the_name_it_had_before_there_were_any() -> None:
    """Jobs that run resume from their state after an update."""
    assert plan_hash(AVRO, TTL, "2.3.0") == "123b1c772f05185f"


def test_a_schema_that_reads_the_same_columns_from_other_bytes_keeps_the_plan_and_so_its_state() -> None:
    """Safe because the plan names the decoder and does not hold it: see the test on the compiled plan below."""
    texts = [
        record_schema(each, {"type": "record", "name": "r", "fields": [{"name": "a", "type": kind}]})
        for each, kind in (("avro", "string"), ("avro", ["null", "string"]), ("json", "string"))
    ]
    assert len({plan_hash(one, TTL, "2.3.0") for one in texts}) == 1


def test_parallelism_paths_and_intervals_do_not_change_the_plans_name() -> None:
    """They are options of a start; state must survive their change."""
    one, other = config(), config(parallelism=4, checkpoint_interval=1.0, tables=JobTables({"x": "y"}, "a", "b", "c"))
    names = {plan_hash(each.schema, island_ttl_ms(each), "2.3.0") for each in (one, other)}
    assert len(names) == 1


def test_the_islands_expire_at_half_of_the_general_time() -> None:
    each = config(state_ttl=7.5)
    assert island_ttl_ms(each) == 3750
    assert flink_options(each, "file:///c", None)["table.exec.state.ttl"] == "7500 ms"
    assert "STATE_TTL('numbered' = '3750ms')" in "".join(create_views(AVRO, 3750))


# --- the SQL


def test_a_path_with_quotes_stays_inside_its_sql_string() -> None:
    path = 'file:///it\'s a "lake"; DROP'
    statements = create_tables(JobTables({}, path, path, path), AVRO)[1:]
    for statement in statements:
        assert "'path' = 'file:///it''s a \"lake\"; DROP'" in statement


def test_an_odd_field_name_is_quoted_wherever_it_stands() -> None:
    odd = record_schema("json", {"type": "record", "name": "r", "fields": [{"name": "order", "type": "string"}]})
    assert "`order` STRING" in create_tables(TABLES, odd)[1]


def test_the_tables_have_the_columns_of_the_contract_in_their_order() -> None:
    source, data, quarantine, index = create_tables(TABLES, AVRO)
    assert source.startswith("CREATE TEMPORARY TABLE kafka_source")
    assert _columns(data) == [
        "`uuid` STRING",
        "`timestamp` TIMESTAMP_LTZ(3)",
        "kafka_partition INT",
        "kafka_offset BIGINT",
        "kafka_timestamp TIMESTAMP_LTZ(3)",
        "kafka_topic STRING",
        "dt STRING",
        "`hour` STRING",
    ]
    assert _columns(quarantine)[3:5] == ["error STRING", "payload BYTES"]
    assert [column.split()[0] for column in _columns(index)] == [
        "kafka_partition", "min_offset", "max_offset", "record_count", "window_start", "quarantined_count",
        "window_end", "max_timestamp", "leader_epoch", "writer", "kafka_topic", "dt",
    ]  # fmt: skip


def test_key_and_headers_stand_behind_the_contracts_columns_and_the_decoded_key_between_them() -> None:
    source, data, quarantine, index = create_tables(TABLES, KEYED)
    assert "kafka_key BYTES,\n" in source
    assert "kafka_headers MAP<STRING NOT NULL, BYTES> METADATA FROM 'headers' VIRTUAL" in source
    asked = ["kafka_key BYTES", "kafka_headers MAP<STRING NOT NULL, BYTES>"]
    assert _columns(data)[4:9] == [
        "kafka_timestamp TIMESTAMP_LTZ(3)", asked[0], "`kafka_key_id` BIGINT", "`kafka_key_w` DOUBLE", asked[1],
    ]  # fmt: skip
    assert _columns(quarantine)[4:7] == ["payload BYTES", *asked]
    assert index == create_tables(TABLES, AVRO)[3]


def test_value_and_key_are_decoded_in_one_call() -> None:
    views = " ".join(create_views(KEYED, TTL))
    assert views.count("decode_value(") == views.count("decode_value(payload, kafka_key) AS record") == 1
    raw_key = " ".join(create_views(with_key(AVRO, key_schema("raw"), headers=True), TTL))
    assert "decode_value(payload) AS record" in raw_key
    assert "decode_value" not in " ".join(create_views(with_key(RAW, key_schema("raw"), headers=True), TTL))


def test_a_bad_key_of_raw_values_goes_to_the_quarantine() -> None:
    data, bad, _ = inserts(with_key(RAW, key_schema("string"), headers=True))
    assert "WHERE record.`error` IS NULL" in data
    assert "record.`error`, payload, kafka_key, kafka_headers," in bad


@pytest.mark.parametrize("each", [AVRO, RAW], ids=["avro", "raw"])
def test_every_insert_names_its_directories_by_the_clock_and_never_by_the_record(each: RecordSchema) -> None:
    for insert in inserts(each):
        assert "DATE_FORMAT(CURRENT_TIMESTAMP, 'yyyy-MM-dd')" in insert
        assert "DATE_FORMAT(kafka_timestamp" not in insert


def test_raw_records_are_never_decoded_or_quarantined() -> None:
    views = " ".join(create_views(RAW, TTL))
    assert "decode_value" not in views
    assert "CAST(0 AS BIGINT) AS quarantined" in views


def _columns(statement: str) -> list[str]:
    inside = statement[statement.index("(") + 1 : statement.index(") PARTITIONED BY")]
    return [column.strip() for column in re.split(r",\s*(?![^()]*\)|[^<>]*>)", inside)]


# --- what a plan must be


def plan(*kinds: str, **further: object) -> str:
    text = f"{WRITER_PLACEHOLDER} {TOPIC_PLACEHOLDER}"
    return json.dumps({"nodes": [{"type": kind} for kind in kinds], "text": text, **further})


GOOD = ("stream-exec-python-calc_1", "stream-exec-local-group-aggregate_1", "stream-exec-sink_1")


def test_a_plan_that_decodes_once_and_aggregates_in_two_phases_is_accepted() -> None:
    check_plan(plan(*GOOD), AVRO)
    check_plan(plan(*GOOD[1:]), RAW)
    check_plan(plan(*GOOD[1:]), with_key(RAW, key_schema("raw"), headers=True))
    check_plan(plan(*GOOD), with_key(RAW, key_schema("string"), headers=True))
    assert node_types(plan(*GOOD)) == [
        "stream-exec-python-calc",
        "stream-exec-local-group-aggregate",
        "stream-exec-sink",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (plan(GOOD[0], *GOOD), "it decodes 2 times instead of 1"),
        (plan(*GOOD[1:]), "it decodes 0 times instead of 1"),
        (plan(GOOD[0]), "islands are not aggregated before the exchange"),
        (plan(*GOOD).replace(WRITER_PLACEHOLDER, "w"), "the writer's placeholder is missing"),
        (plan(*GOOD).replace(TOPIC_PLACEHOLDER, "t"), "the topic's placeholder is missing"),
        (plan(*GOOD, options={"connector": "kafka"}), "it holds table options"),
    ],
)
def test_a_plan_that_breaks_a_promise_is_refused(text: str, words: str) -> None:
    with pytest.raises(JobError, match=words):
        check_plan(text, AVRO)


def test_a_raw_plan_must_not_decode() -> None:
    with pytest.raises(JobError, match="it decodes 1 times instead of 0"):
        check_plan(plan(*GOOD), RAW)


@pytest.mark.parametrize("each", [AVRO, RAW], ids=["avro", "raw"])
def test_what_is_put_in_later_has_no_fixed_length_or_it_would_be_padded(each: RecordSchema) -> None:
    for insert in inserts(each):
        assert insert.count(f"CAST('{TOPIC_PLACEHOLDER}' AS STRING)") == insert.count(TOPIC_PLACEHOLDER) == 1
        assert insert.count(f"CAST('{WRITER_PLACEHOLDER}' AS STRING)") == insert.count(WRITER_PLACEHOLDER)


def test_writer_and_topic_take_their_placeholders_places() -> None:
    filled = json.loads(plan_for(plan(*GOOD), "w-1.x_Y", "orders_2.eu"))
    assert filled["text"] == "w-1.x_Y orders_2.eu"


@pytest.mark.parametrize("name", ["", "a'b", 'a"b', "a b", "x" * 250, "../x", "w\n"])
def test_what_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(JobError, match="writer id"):
        plan_for(plan(*GOOD), name, "t")
    with pytest.raises(JobError, match="topic"):
        plan_for(plan(*GOOD), "w", name)


@pytest.mark.e2e
def test_flink_compiles_the_demos_job_into_one_decoder_three_sinks_and_no_option(tmp_path: Path) -> None:
    """`lineage job plan` needs neither Kafka nor a lake, so what is planted here need not exist.

    With keys and headers; the plan without them is compiled and checked by every job of the end-to-end tests.
    """
    asked = ", key_format: avro, key_schema: k.avsc, headers: true"
    (tmp_path / "k.avsc").write_text(KEY, encoding="utf-8")
    (tmp_path / "lineage.yaml").write_text(
        "kafka: {bootstrap_servers: 'planted-host:1', properties: {sasl.mechanism: PLAIN, sasl.username: planted-user,"
        " sasl.password: {env: PLANTED}}}\nlake: /planted-lake\ntopics: [{name: planted-topic, group: planted-group"
        f"{asked}}}]",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "lineage_pipeline", "job", "plan", "--config", str(tmp_path / "lineage.yaml")],
        env={**os.environ, "PLANTED": "planted-password"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_plan(done.stdout, KEYED)
    kinds = node_types(done.stdout)
    assert kinds.count("stream-exec-python-calc") == 1
    assert kinds.count("stream-exec-sink") == 3
    assert kinds.count("stream-exec-table-source-scan") == 1
    assert "planted" not in done.stdout
    calls = re.findall(r'"systemName"\s*:\s*"decode_value"', done.stdout)
    assert len(calls) == 1
    assert "serializedInstance" not in done.stdout
    assert done.stdout.count(WRITER_PLACEHOLDER) >= 1
    assert done.stdout.count(TOPIC_PLACEHOLDER) >= 3  # data, quarantine, index
    assert "kafka_headers" in done.stdout
    assert "kafka_key_w" in done.stderr
    assert re.search(r"value\.uuid +string +uuid +string", done.stderr), "the columns are told beside the plan"
