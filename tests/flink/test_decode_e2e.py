"""The decode UDF in a real Flink: what Decoder gives is what the Parquet tables hold, for every type."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.flink.environment import prepare_jvm
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.java import Java
from tests.flink_classes import listing, make_archive

SCHEMA_TEXT = Path(__file__).with_name("test_decode_all_types.avsc").read_text(encoding="utf-8")
SUITS = ("SPADES", "HEARTS")


def _decimal(unscaled: int, size: int | None = None) -> bytes:
    return unscaled.to_bytes(size or unscaled.bit_length() // 8 + 1, "big", signed=True)


LOWEST = {
    "boolean": False,
    "int": -(2**31),
    "long": -(2**63),
    "float": -math.inf,
    "double": -0.0,
    "bytes": b"",
    "string": "",
    "nothing": None,
    "fixed": b"\0\0\0\0",
    "enum": "SPADES",
    **dict.fromkeys(
        f"maybe_{kind}"
        for kind in ("boolean", "int", "long", "float", "double", "bytes", "string", "fixed", "enum", "date", "time")
    ),
    **dict.fromkeys(("maybe_timestamp", "maybe_local", "maybe_decimal")),
    "date": -719_162,
    "time_millis": 0,
    "time_micros": 0,
    "timestamp_millis": -62_135_596_800_000,
    "timestamp_micros": -(2**63),
    "timestamp_nanos": -(2**63),
    "local_millis": -62_135_596_800_000,
    "local_micros": -(2**63),
    "decimal": _decimal(-(10**38) + 1),
    "decimal_fixed": _decimal(-999_999_999, 5),
    "decimal_wide": _decimal(-(10**60) + 1),
    "uuid": "not checked",
    "uuid_fixed": bytes(16),
    "record": {"value": -(2**63), "next": None},
    "array": [],
    "map": {},
    "choice": None,
    "nulls": [],
    "order": 0,
    "a `b` \"c\" 'd'": "",
    "ünï cödé.dot": "",
}
HIGHEST = {
    "boolean": True,
    "int": 2**31 - 1,
    "long": 2**63 - 1,
    "float": 3.4028234663852886e38,
    "double": 1.7976931348623157e308,
    "bytes": bytes(range(256)),
    "string": "zero \0, é, 🎲",
    "nothing": None,
    "fixed": b"\xff\xff\xff\xff",
    "enum": "HEARTS",
    "maybe_boolean": True,
    "maybe_int": -(2**31),
    "maybe_long": 2**63 - 1,
    "maybe_float": math.nan,
    "maybe_double": math.inf,
    "maybe_bytes": b"\0\xff",
    "maybe_string": "x" * 100_000,
    "maybe_fixed": b"abcd",
    "maybe_enum": "HEARTS",
    "date": 2_932_896,
    "time_millis": 86_399_999,
    "time_micros": 86_399_999_999,
    "timestamp_millis": 253_402_300_799_999,
    "timestamp_micros": 2**63 - 1,
    "timestamp_nanos": 2**63 - 1,
    "local_millis": 253_402_300_799_999,
    "local_micros": 2**63 - 1,
    "maybe_date": -1,
    "maybe_time": 1,
    "maybe_timestamp": -1,
    "maybe_local": -1,
    "decimal": _decimal(10**38 - 1),
    "decimal_fixed": _decimal(1, 5),
    "decimal_wide": _decimal(10**60 - 1),
    "maybe_decimal": _decimal(-1),
    "uuid": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "uuid_fixed": bytes(range(16)),
    "record": {"value": 1, "next": {"value": 2**63 - 1, "next": None}},
    "array": [0.1, math.inf],
    "map": {"k\n": b"\0\xff"},
    "choice": ("string", "text"),
    "nulls": [None, None],
    "order": 1,
    "a `b` \"c\" 'd'": "odd",
    "ünï cödé.dot": "too",
}
NANS = HIGHEST | {"float": math.nan, "double": math.nan, "maybe_float": -0.0, "maybe_double": math.nan, "order": 2}


def _bare(schema: object) -> object:
    """Without logical types, so that fastavro writes the plain values given here."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def _payloads() -> list[bytes | None]:
    schema = fastavro.parse_schema(_bare(json.loads(SCHEMA_TEXT)))
    payloads: list[bytes | None] = []
    for record in (LOWEST, HIGHEST, NANS):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, record)
        payloads.append(out.getvalue())
    assert payloads[1] is not None
    return [*payloads, None, payloads[1][:40], payloads[1] + b"\0"]


def _run(folder: Path) -> None:
    """In a process of its own: the decode UDF between two Parquet tables. PyFlink is imported here only."""
    prepare_jvm(None, None, fetch_jars("flink", cache=cache_folder(os.environ)))
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415
    from pyflink.table import EnvironmentSettings, TableEnvironment  # noqa: PLC0415
    from pyflink.table.udf import udf  # noqa: PLC0415

    from lineage_pipeline.flink.decode_function import BatchDecode  # noqa: PLC0415

    schema = record_schema("avro", SCHEMA_TEXT)
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in json.loads((folder / "options.json").read_text()).items():
        environment.get_config().set(key, value)
    environment.create_temporary_function(
        "decode_value",
        udf(BatchDecode(schema.format, schema.text), result_type=schema.transport_type, func_type="pandas"),
    )
    options = (
        "'connector'='filesystem', 'format'='parquet', 'parquet.write.int64.timestamp'='true',"
        " 'parquet.timestamp.time.unit'='millis', 'parquet.utc-timezone'='true'"
    )
    for name, columns in (
        ("source", "n INT, payload BYTES"),
        ("data", ", ".join((*schema.table_columns, "n INT"))),
        ("quarantine", "error STRING, payload BYTES, n INT"),
    ):
        environment.execute_sql(f"CREATE TEMPORARY TABLE {name} ({columns}) WITH ({options}, 'path'='{folder / name}')")
    environment.execute_sql(
        "CREATE TEMPORARY VIEW decoded AS SELECT n, payload, decode_value(payload) AS record FROM source"
    )
    statements = environment.create_statement_set()
    statements.add_insert_sql(
        f"INSERT INTO data SELECT {', '.join(schema.projections('record'))}, n FROM decoded WHERE record.error IS NULL"
    )
    statements.add_insert_sql(
        "INSERT INTO quarantine SELECT record.error, payload, n FROM decoded WHERE record.error IS NOT NULL"
    )
    # Through a stored plan, as the job runs: the types must survive that, too.
    statements.compile_plan().write_to_file(str(folder / "plan.json"))
    environment.execute_sql(f"EXECUTE PLAN '{folder / 'plan.json'}'").wait()
    class_path = get_gateway().jvm.java.lang.System.getProperty("java.class.path")
    (folder / "class-path").write_text(class_path, encoding="utf-8")


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, java: Java, run_folder: Path
) -> dict[str, list[dict[str, object]]]:
    """Rows of both tables, in the order of the payloads."""
    folder = tmp_path_factory.mktemp("decode")
    (folder / "source").mkdir()
    payloads = _payloads()
    table = pa.table({"n": pa.array(range(len(payloads)), pa.int32()), "payload": pa.array(payloads, pa.binary())})
    pq.write_table(table, folder / "source" / "part.parquet")
    options = {
        "parallelism.default": "1",
        "execution.checkpointing.interval": "1 s",
        # Not UTC, on purpose: no value may depend on the session's zone.
        "table.local-time-zone": "America/New_York",
        "table.plan.compile.catalog-objects": "SCHEMA",
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
        "python.executable": sys.executable,
    }
    (folder / "options.json").write_text(json.dumps(options))
    done = subprocess.run(
        [sys.executable, "-m", "tests.flink.test_decode_e2e", str(folder)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **listing(folder / "classes"), "JAVA_HOME": str(java.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    if os.environ.get("PYTEST_XDIST_WORKER"):  # alone it would speed nothing up
        make_archive(run_folder, java, folder / "classes", (folder / "class-path").read_text(encoding="utf-8"))
    return {name: _rows(folder / name) for name in ("data", "quarantine")}


def _rows(folder: Path) -> list[dict[str, object]]:
    files = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    return sorted((row for path in files for row in pq.read_table(path).to_pylist()), key=lambda row: row["n"])


EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Flink writes timestamps without a zone, in UTC
FIRST, LAST = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001
LOWEST_ROW = LOWEST | {
    "date": dt.date(1, 1, 1),
    "time_millis": dt.time(0),
    "timestamp_millis": FIRST,
    "local_millis": FIRST,
    "decimal": Decimal("-" + "9" * 28 + "." + "9" * 10),
    "decimal_fixed": Decimal("-9999999.99"),
    "decimal_wide": "-" + "9" * 57 + ".999",
    "uuid_fixed": "00000000-0000-0000-0000-000000000000",
    "record": '{"value":-9223372036854775808,"next":null}',
    "array": "[]",
    "map": "{}",
    "nulls": "[]",
}
HIGHEST_ROW = HIGHEST | {
    "date": dt.date(9999, 12, 31),
    "time_millis": dt.time(23, 59, 59, 999_000),
    "timestamp_millis": LAST,
    "local_millis": LAST,
    "maybe_date": dt.date(1969, 12, 31),
    "maybe_time": dt.time(0, 0, 0, 1000),
    "maybe_timestamp": EPOCH - dt.timedelta(milliseconds=1),
    "maybe_local": EPOCH - dt.timedelta(milliseconds=1),
    "decimal": Decimal("9" * 28 + "." + "9" * 10),
    "decimal_fixed": Decimal("0.01"),
    "decimal_wide": "9" * 57 + ".999",
    "maybe_decimal": Decimal("-0.00001"),
    "uuid_fixed": "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "record": '{"value":1,"next":{"value":9223372036854775807,"next":null}}',
    "array": '[0.1,"Infinity"]',
    "map": '{"k\\n":"\\u0000ÿ"}',
    "choice": '{"string":"text"}',
    "nulls": "[null,null]",
}


def _comparable(row: dict[str, object]) -> dict[str, object]:
    """NaN equal to itself, -0.0 different from 0.0."""
    return {name: repr(value) if isinstance(value, float) else value for name, value in row.items()}


@pytest.mark.e2e
def test_every_type_reaches_parquet_exactly_at_its_extremes(written: dict[str, list[dict[str, object]]]) -> None:
    lowest, highest, nans, _ = written["data"]
    assert _comparable(lowest) == _comparable(LOWEST_ROW | {"n": 0})
    assert _comparable(highest) == _comparable(HIGHEST_ROW | {"n": 1})
    floats = {name: NANS[name] for name in ("float", "double", "maybe_float", "maybe_double", "order")}
    assert _comparable(nans) == _comparable(HIGHEST_ROW | floats | {"n": 2})


@pytest.mark.e2e
def test_a_tombstone_is_a_row_of_nulls(written: dict[str, list[dict[str, object]]]) -> None:
    tombstone = written["data"][3]
    assert tombstone.pop("n") == 3
    assert len(tombstone) == len(LOWEST)
    assert set(tombstone.values()) == {None}


@pytest.mark.e2e
def test_undecodable_payloads_reach_the_quarantine_with_their_reason(
    written: dict[str, list[dict[str, object]]],
) -> None:
    payloads = _payloads()
    assert [(row["n"], row["payload"]) for row in written["quarantine"]] == [(4, payloads[4]), (5, payloads[5])]
    truncated, trailing = (str(row["error"]) for row in written["quarantine"])
    assert re.match(r"truncated: field 'bytes'", truncated)
    assert trailing == "trailing-bytes: 1 bytes follow the record"


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
