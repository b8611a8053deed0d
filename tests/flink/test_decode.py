"""Payloads become columns exactly, or a row in the quarantine with the right reason."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage_pipeline.core import record_values
from lineage_pipeline.core.key_schema import key_schema
from lineage_pipeline.core.payload_decoder import error_text
from lineage_pipeline.flink import decode
from lineage_pipeline.flink.decode import Decoder

ALL_TYPES = Path(__file__).with_name("test_decode_all_types.avsc").read_text(encoding="utf-8")
EXACT = Context(prec=100)


def _schema(*fields: tuple[str, object]) -> str:
    return json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in fields]}
    )


def _bare(schema: Any) -> Any:
    """Without logical types, so that fastavro writes and reads plain values."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def _encode(schema: str, record: dict[str, object]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(_bare(json.loads(schema))), record)
    return out.getvalue()


def _long(value: int) -> bytes:
    """A zigzag varint, written independently of the reader."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _rows(decoder: Decoder, payloads: Sequence[bytes | None]) -> list[dict[str, Any]]:
    """What arrives in SQL: NaN counts as NULL on the way, unless `nans` says otherwise."""
    frame = decoder.decode(payloads)
    assert list(frame.columns) == [name for name, _ in decoder.schema.transport_fields]
    rows = []
    for record in frame.to_dict("records"):
        row = {}
        for column in decoder.schema.columns:
            value = record[column.transport_name]
            row[column.name] = None if pd.isna(value) else value
            if column.nan_slot is not None and row[column.name] is None and record["nans"]:
                text = record["nans"][3 * column.nan_slot :][:3]
                row[column.name] = math.nan if text == "NaN" else None
        rows.append(row | {"error": record["error"]})
    return rows


def _error(decoder: Decoder, payload: bytes) -> str:
    """The class of the payload's error; a good record beside it must not suffer."""
    (row,) = _rows(decoder, [payload])
    assert row["error"] is not None, f"was decoded: {row}"
    assert all(value is None for name, value in row.items() if name != "error")
    error_class: str = row["error"].partition(": ")[0]
    assert error_class in record_values.ERROR_CLASSES
    return error_class


# ---- round trips


def _between(kind: str) -> st.SearchStrategy[int]:
    low, high = record_values.RANGES[kind]
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def _unscaled(precision: int) -> st.SearchStrategy[int]:
    return st.integers(-(10**precision) + 1, 10**precision - 1)


def _two_complement(value: int, size: int | None = None) -> bytes:
    return value.to_bytes(size or value.bit_length() // 8 + 1, "big", signed=True)


FLOAT32 = st.floats(width=32)
INT, LONG = _between("int"), _between("long")
TEXT = st.text()
NODE = st.recursive(
    st.fixed_dictionaries({"value": LONG, "next": st.none()}),
    lambda node: st.fixed_dictionaries({"value": LONG, "next": node}),
    max_leaves=10,
)
PLAIN = {
    "boolean": st.booleans(),
    "int": INT,
    "long": LONG,
    "float": FLOAT32,
    "double": st.floats(),
    "bytes": st.binary(),
    "string": TEXT,
    "nothing": st.none(),
    "fixed": st.binary(min_size=4, max_size=4),
    "enum": st.sampled_from(["SPADES", "HEARTS"]),
    "maybe_boolean": st.none() | st.booleans(),
    "maybe_int": st.none() | INT,
    "maybe_long": st.none() | LONG,
    "maybe_float": st.none() | FLOAT32,
    "maybe_double": st.none() | st.floats(),
    "maybe_bytes": st.none() | st.binary(),
    "maybe_string": st.none() | TEXT,
    "maybe_fixed": st.none() | st.binary(min_size=4, max_size=4),
    "maybe_enum": st.none() | st.sampled_from(["SPADES", "HEARTS"]),
    "date": _between("date"),
    "time_millis": _between("time-millis"),
    "time_micros": _between("time-micros"),
    "timestamp_millis": _between("timestamp-millis"),
    "timestamp_micros": LONG,
    "timestamp_nanos": LONG,
    "local_millis": _between("local-timestamp-millis"),
    "local_micros": LONG,
    "maybe_date": st.none() | _between("date"),
    "maybe_time": st.none() | _between("time-millis"),
    "maybe_timestamp": st.none() | _between("timestamp-millis"),
    "maybe_local": st.none() | _between("local-timestamp-millis"),
    "uuid": TEXT,
    "order": INT,
    "a `b` \"c\" 'd'": TEXT,
    "ünï cödé.dot": TEXT,
}
DECIMALS = {"decimal": (38, 10), "decimal_fixed": (9, 2), "decimal_wide": (60, 3), "maybe_decimal": (5, 5)}
NESTED = {
    "record": NODE,
    "array": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    "map": st.dictionaries(TEXT, st.binary()),
    "choice": st.none()
    | st.tuples(st.just("int"), INT)
    | st.tuples(st.just("string"), TEXT)
    | st.tuples(st.just("test.Suit"), st.sampled_from(["SPADES", "HEARTS"])),
    "nulls": st.lists(st.none()),
}


def _nested_json(name: str, value: Any) -> Any:
    if name == "map":
        return {key: item.decode("latin-1") for key, item in value.items()}
    if name == "choice" and value is not None:
        return {value[0]: value[1]}
    return value


@settings(max_examples=200, deadline=None)
@given(
    plain=st.lists(st.fixed_dictionaries(PLAIN), min_size=1, max_size=3),
    decimals=st.fixed_dictionaries({name: _unscaled(precision) for name, (precision, _) in DECIMALS.items()}),
    nested=st.fixed_dictionaries(NESTED),
    uuid_fixed=st.uuids(),
)
def test_what_fastavro_writes_comes_back_exactly(
    plain: list[dict[str, Any]], decimals: dict[str, int], nested: dict[str, Any], uuid_fixed: Any
) -> None:
    written = {name: _two_complement(value, 5 if name == "decimal_fixed" else None) for name, value in decimals.items()}
    shared = {**written, **nested, "uuid_fixed": uuid_fixed.bytes}
    decoder = Decoder("avro", ALL_TYPES)
    rows = _rows(decoder, [_encode(ALL_TYPES, {**record, **shared}) for record in plain])
    for record, row in zip(plain, rows, strict=True):
        assert row["error"] is None
        # repr: NaN equals itself, 0.0 and -0.0 differ, 1 and True differ
        assert {name: repr(row[name]) for name in PLAIN} == {name: repr(value) for name, value in record.items()}
        for name, (_, scale) in DECIMALS.items():
            assert Decimal(row[name]).compare_total(EXACT.scaleb(Decimal(decimals[name]), -scale)) == 0
        for name in NESTED:
            expected = _nested_json(name, nested[name])
            assert (row[name] is None) if expected is None else (json.loads(row[name]) == expected)
        assert row["uuid_fixed"] == str(uuid_fixed)


KEY = st.text(min_size=1)  # fastavro's JSON writer fails on an empty key; ours is tested with one above
ODD_NESTING = _schema(
    (
        "x",
        {
            "type": "record",
            "name": "Inner",
            "fields": [
                {
                    "name": "list",
                    "type": {"type": "array", "items": ["int", "string", {"type": "map", "values": "long"}]},
                },
                {"name": "deep", "type": {"type": "map", "values": {"type": "array", "items": "bytes"}}},
                {"name": "flag", "type": "boolean"},
                {"name": "half", "type": "float"},
            ],
        },
    )
)


@settings(max_examples=200, deadline=None)
@given(
    inner=st.fixed_dictionaries(
        {
            "list": st.lists(INT | TEXT | st.dictionaries(KEY, LONG)),
            "deep": st.dictionaries(KEY, st.lists(st.binary())),
            "flag": st.booleans(),
            "half": st.floats(width=32, allow_nan=False, allow_infinity=False),
        }
    )
)
def test_nested_values_are_avros_json_encoding_as_fastavro_writes_it(inner: dict[str, Any]) -> None:
    out = io.StringIO()
    fastavro.json_writer(out, fastavro.parse_schema(json.loads(ODD_NESTING)), [{"x": inner}])
    (row,) = _rows(Decoder("avro", ODD_NESTING), [_encode(ODD_NESTING, {"x": inner})])
    assert json.loads(row["x"]) == json.loads(out.getvalue())["x"]


def test_blocks_with_their_size_are_read_as_others_are() -> None:
    decoder = Decoder("avro", _schema(("x", {"type": "array", "items": "int"})))
    items = _long(1) + _long(-300)
    sized = _long(-2) + _long(len(items)) + items + _long(1) + _long(7) + _long(0)
    assert _rows(decoder, [sized]) == [{"x": "[1,-300,7]", "error": None}]


def test_nested_decimals_and_uuids_are_text_and_non_finite_floats_too() -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    fields = [("m", money), ("u", {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}), ("d", "double")]
    schema = _schema(("x", json.loads(_schema(*fields)) | {"name": "S"}))
    payload = _encode(schema, {"x": {"m": b"\xfb\x2e", "u": bytes(16), "d": math.nan}})
    (row,) = _rows(Decoder("avro", schema), [payload])
    assert row["x"] == '{"m":"-12.34","u":"00000000-0000-0000-0000-000000000000","d":"NaN"}'


def test_a_tombstone_is_a_row_of_nulls_in_every_format() -> None:
    for record_format, schema in (("avro", ALL_TYPES), ("json", ALL_TYPES), ("raw", "")):
        (row,) = _rows(Decoder(record_format, schema), [None])
        assert set(row.values()) == {None}


def test_an_empty_batch_has_its_columns() -> None:
    assert _rows(Decoder("avro", ALL_TYPES), []) == []


def test_raw_keeps_every_payload_as_it_is() -> None:
    assert _rows(Decoder("raw"), [b"", b"\xff", None]) == [
        {"value": b"", "error": None},
        {"value": b"\xff", "error": None},
        {"value": None, "error": None},
    ]


def test_bad_records_leave_their_neighbours_alone_and_keep_the_order() -> None:
    decoder = Decoder("avro", _schema(("x", "long")))
    payloads = [_long(2**63 - 1), b"", None, _long(-(2**63)), b"\x80"]
    assert [(row["x"], row["error"] is None) for row in _rows(decoder, payloads)] == [
        (2**63 - 1, True),
        (None, False),
        (None, True),
        (-(2**63), True),
        (None, False),
    ]


# ---- poison, Avro

BILLIONS = _long(2**62)
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
LIST = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


@pytest.mark.parametrize(
    ("kind", "payload", "error_class"),
    [
        ("long", b"", "truncated"),
        ("long", b"\xff\xff", "truncated"),
        ("double", b"1234567", "truncated"),
        ("string", _long(4) + b"abc", "truncated"),
        ("string", BILLIONS + b"abc", "truncated"),
        ("bytes", BILLIONS + b"abc", "truncated"),
        ("bytes", _long(-1) + b"abc", "negative-length"),
        ("string", _long(-(2**63)) + b"abc", "negative-length"),
        ({"type": "fixed", "name": "F", "size": 4}, b"abc", "truncated"),
        ("long", _long(1) + b"x", "trailing-bytes"),
        ("null", b"x", "trailing-bytes"),
        ("string", _long(2) + b"\xff\xfe", "invalid-utf8"),
        ("string", _long(3) + b"\xed\xa0\x80", "invalid-utf8"),
        ("boolean", b"\x02", "bad-boolean"),
        ("int", _long(2**31), "out-of-range"),
        ("int", _long(-(2**31) - 1), "out-of-range"),
        ("long", b"\xff" * 9 + b"\x7f", "out-of-range"),
        ("long", b"\xff" * 10 + b"\x01", "out-of-range"),
        ("long", b"\x80" * 1000, "out-of-range"),
        (ENUM, _long(2), "bad-enum"),
        (ENUM, _long(-1), "bad-enum"),
        (["null", "int"], _long(2), "bad-union-branch"),
        (["null", "int"], _long(-1) + _long(5), "bad-union-branch"),
        (["null", "int", "string"], _long(-1), "bad-union-branch"),
        ({"type": "int", "logicalType": "date"}, _long(2_932_897), "out-of-range"),
        ({"type": "int", "logicalType": "time-millis"}, _long(86_400_000), "out-of-range"),
        ({"type": "int", "logicalType": "time-millis"}, _long(-1), "out-of-range"),
        ({"type": "long", "logicalType": "timestamp-millis"}, _long(253_402_300_800_000), "out-of-range"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, _long(-62_135_596_800_001), "out-of-range"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, _long(1) + b"\x64", "out-of-range"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, _long(0), "bad-decimal"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, _long(10**6) + b"\x7f" * 10**6, "out-of-range"),
        ({"type": "array", "items": "null"}, _long(2**40) + _long(0), "too-large"),
        ({"type": "array", "items": "null"}, _long(-(2**63)) + _long(0) + _long(0), "too-large"),
        ({"type": "array", "items": "int"}, _long(2**40) + _long(0), "too-large"),
        ({"type": "array", "items": "int"}, _long(5) + _long(0), "truncated"),
        ({"type": "array", "items": "int"}, _long(-1) + _long(9) + _long(0), "truncated"),
        ({"type": "array", "items": "int"}, _long(-1) + _long(-9) + _long(0), "negative-length"),
        ({"type": "array", "items": "int"}, _long(-1) + _long(2) + _long(0) + _long(0), "bad-block-size"),
        ({"type": "map", "values": "null"}, _long(2) + (_long(1) + b"k") * 2 + _long(0), "duplicate-key"),
        (LIST, _long(1) * 65 + _long(0), "too-deep"),
        (LIST, _long(1) * 10**6 + _long(0), "too-deep"),
    ],
)
def test_avro_poison_has_its_class(kind: object, payload: bytes, error_class: str) -> None:
    assert _error(Decoder("avro", _schema(("x", kind))), payload) == error_class


def test_nesting_within_the_limit_is_read() -> None:
    (row,) = _rows(Decoder("avro", _schema(("x", LIST))), [_long(1) * 63 + _long(0)])
    assert row["x"].count("next") == 64


def test_an_error_names_the_field_is_short_and_is_valid_text() -> None:
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "é" * 600, "type": "int"}]})
    (row,) = _rows(Decoder("avro", schema), [b""])
    assert row["error"].startswith("truncated: the payload ends in field 'ééé")
    assert len(row["error"]) == 500
    assert "\\ud800" in error_text(record_values.Undecodable("wrong-type", "\ud800"))


@pytest.mark.parametrize(
    ("failure", "error_class"),
    [(MemoryError(), "out-of-memory"), (RecursionError(), "too-deep"), (KeyError("secret"), "internal")],
)
def test_any_failure_of_a_record_is_its_own(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, error_class: str
) -> None:
    decoder = Decoder("avro", _schema(("x", "int")))
    read = decoder._read

    def failing(payload: bytes) -> list[Any]:
        if payload == b"bad":
            raise failure
        return read(payload)

    monkeypatch.setattr(decoder, "_read", failing)
    good, bad = _rows(decoder, [_long(1), b"bad"])
    assert good == {"x": 1, "error": None}
    assert bad["error"].partition(":")[0] == error_class
    assert "secret" not in bad["error"]


def test_a_batch_of_huge_nested_texts_ends_in_errors_not_in_a_huge_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BATCH_TEXT", 20)
    payload = _long(3) + _long(1) * 3 + _long(0)  # becomes [1,1,1]
    rows = _rows(Decoder("avro", _schema(("x", {"type": "array", "items": "int"}))), [payload] * 4)
    assert [row["x"] for row in rows] == ["[1,1,1]", "[1,1,1]", None, None]
    assert [row["error"] and row["error"].partition(":")[0] for row in rows] == [None, None, "too-large", "too-large"]


# ---- JSON


def _json(kind: object, text: str | bytes) -> dict[str, Any]:
    payload = text if isinstance(text, bytes) else text.encode()
    (row,) = _rows(Decoder("json", _schema(("x", kind))), [payload])
    return row


def _decimal(precision: int, scale: int) -> dict[str, object]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("long", '{"x": 9223372036854775807}', 2**63 - 1),
        ("long", '{"x": -9223372036854775808.0}', -(2**63)),
        ("long", '{"x": 3e2}', 300),
        ("int", '{"x": -0}', 0),
        ("double", '{"x": 0.1}', 0.1),
        ("double", '{"x": 3}', 3.0),
        ("float", '{"x": "-Infinity"}', -math.inf),
        ("string", '{"x": "\\ud83c\\udfb2"}', "🎲"),
        ("boolean", '{"x": true}', True),
        ("bytes", '{"x": "\\u0000\\u00ff"}', b"\0\xff"),
        (ENUM, '{"x": "B"}', "B"),
        (["null", "int"], '{"x": null}', None),
        (["null", "int"], "{}", None),
        ("null", "{}", None),
        ("int", '{"x": 1, "added later": [1, {"y": 2}]}', 1),
        (_decimal(38, 10), '{"x": 9999999999999999999999999999.9999999999}', Decimal("9" * 28 + "." + "9" * 10)),
        (_decimal(5, 2), '{"x": "1.5"}', Decimal("1.50")),
        (_decimal(5, 2), '{"x": -1.5000}', Decimal("-1.50")),
        (_decimal(5, 2), '{"x": 1e2}', Decimal("100.00")),
        (_decimal(50, 2), '{"x": 1e40}', "1" + "0" * 40 + ".00"),
        ({"type": "int", "logicalType": "date"}, '{"x": 1}', 1),
        ({"type": "long", "logicalType": "timestamp-millis"}, '{"x": 1790000000000}', 1_790_000_000_000),
        ({"type": "array", "items": "int"}, '{"x": [1, 2.50, 1e400, 123456789012345678901234567890123]}', None),
        ({"type": "map", "values": "int"}, '{"x": {"a": {}, "é": [null, true, "q\\""]}}', None),
        (LIST, '{"x": {}}', "{}"),
        (["int", "string"], '{"x": 1}', "1"),
        (["int", "string"], '{"x": "1"}', '"1"'),
    ],
)
def test_json_values_are_read_without_loss(kind: object, text: str, value: object) -> None:
    row = _json(kind, text)
    assert row["error"] is None
    if isinstance(kind, dict) and kind["type"] in ("array", "map"):
        expected = json.loads(text, parse_float=Decimal, parse_int=Decimal)["x"]
        assert json.loads(row["x"], parse_float=Decimal, parse_int=Decimal) == expected
    else:
        assert repr(row["x"]) == repr(value)


@pytest.mark.parametrize(
    ("kind", "text", "error_class"),
    [
        ("int", "", "invalid-json"),
        ("int", "{", "invalid-json"),
        ("int", '{"x": NaN}', "invalid-json"),
        ("int", '{"x": 1} {}', "trailing-bytes"),
        ("int", b'{"x": "\xff"}', "invalid-utf8"),
        ("int", b"\xef\xbb\xbf{}", "invalid-json"),
        ("int", '{"x": 1}'.encode("utf-16"), "invalid-utf8"),
        ("string", '{"x": "\\ud800"}', "invalid-utf8"),
        ({"type": "array", "items": "string"}, '{"x": ["\\udfff"]}', "invalid-utf8"),
        ("int", "[1]", "wrong-type"),
        ("int", "null", "wrong-type"),
        ("int", "{}", "missing-field"),
        ("int", '{"x": null}', "wrong-type"),
        ("int", '{"x": "1"}', "wrong-type"),
        ("int", '{"x": true}', "wrong-type"),
        ("int", '{"x": 1.5}', "wrong-type"),
        ("int", '{"x": 1e-999999}', "wrong-type"),
        ("int", '{"x": 2147483648}', "out-of-range"),
        ("long", '{"x": 1e999999999}', "out-of-range"),
        ("long", '{"x": 1e99999999999999999999999999}', "out-of-range"),
        ("long", '{"x": ' + "9" * 10**6 + "}", "out-of-range"),
        ("double", '{"x": 1e400}', "out-of-range"),
        ("double", '{"x": ' + "9" * 400 + "}", "out-of-range"),
        ("float", '{"x": 3.5e38}', "out-of-range"),
        ("double", '{"x": "1"}', "wrong-type"),
        ("double", '{"x": true}', "wrong-type"),
        ("boolean", '{"x": 1}', "wrong-type"),
        ("string", '{"x": 1}', "wrong-type"),
        ("bytes", '{"x": "\\u0100"}', "wrong-type"),
        ("null", '{"x": 0}', "wrong-type"),
        ({"type": "fixed", "name": "F", "size": 2}, '{"x": "abc"}', "wrong-type"),
        ({"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}, '{"x": "abc"}', "bad-uuid"),
        (ENUM, '{"x": "C"}', "bad-enum"),
        (_decimal(5, 2), '{"x": 1.555}', "out-of-range"),
        (_decimal(5, 2), '{"x": 1000}', "out-of-range"),
        (_decimal(5, 2), '{"x": "1_0"}', "bad-decimal"),
        (_decimal(5, 2), '{"x": "NaN"}', "bad-decimal"),
        (_decimal(5, 2), '{"x": 1e-999999999}', "out-of-range"),
        ({"type": "int", "logicalType": "date"}, '{"x": "2026-01-01"}', "wrong-type"),
        ({"type": "array", "items": "int"}, '{"x": {}}', "wrong-type"),
        ({"type": "map", "values": "int"}, '{"x": []}', "wrong-type"),
        ("int", '{"x": 1, "x": 1}', "duplicate-key"),
        ("int", '{"x": 1, "y": {"z": 1, "z": 2}}', "duplicate-key"),
        ({"type": "array", "items": "int"}, '{"x": ' + "[" * 70 + "]" * 70 + "}", "too-deep"),
        ("int", "[" * 10**6, "too-deep"),
    ],
)
def test_json_poison_has_its_class(kind: object, text: str | bytes, error_class: str) -> None:
    payload = text if isinstance(text, bytes) else text.encode()
    assert _error(Decoder("json", _schema(("x", kind))), payload) == error_class


@settings(max_examples=200, deadline=None)
@given(value=st.floats(), half=st.floats(width=32), whole=LONG, text=TEXT)
def test_json_numbers_and_texts_round_trip(value: float, half: float, whole: int, text: str) -> None:
    decoder = Decoder("json", _schema(("d", "double"), ("f", "float"), ("l", "long"), ("s", "string")))
    names = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    record = {"d": names.get(repr(value), value), "f": names.get(repr(half), half), "l": whole, "s": text}
    (row,) = _rows(decoder, [json.dumps(record).encode()])
    assert row["error"] is None
    assert (repr(row["d"]), repr(row["f"]), row["l"], row["s"]) == (repr(value), repr(half), whole, text)


# ---- keys


def test_values_and_keys_of_a_batch_stand_in_one_frame() -> None:
    schema = _schema(("x", "double"))
    decoder = Decoder("avro", schema, key=key_schema("avro", schema))
    good, nan = _encode(schema, {"x": 0.5}), _encode(schema, {"x": math.nan})
    frame = decoder.decode([good, nan, None, good, b"", None], [nan, None, good, b"", b"", None])
    assert list(frame.columns) == ["f0", "k0", "nans", "error"]
    told = [None if one is None else one.partition(":")[0] for one in frame["error"]]
    assert told == [None, None, None, "key-truncated", "truncated", None]
    assert [None if pd.isna(one) else one for one in frame["f0"]] == [0.5, None, None, None, None, None]
    assert [None if pd.isna(one) else one for one in frame["k0"]] == [None, None, 0.5, None, None, None]
    assert list(frame["nans"]) == ["---NaN", "NaN---", None, None, None, None]


def test_keys_as_text_stand_beside_raw_values() -> None:
    decoder = Decoder("raw", key=key_schema("string"))
    frame = decoder.decode([b"v", None, b"w"], ["é".encode(), b"", b"\xff"])
    assert list(frame["f0"]) == [b"v", None, None]
    assert list(frame["k0"]) == ["é", "", None]
    assert frame["error"][2].startswith("key-invalid-utf8: ")


def test_what_keys_nest_counts_for_the_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineage_pipeline.flink.decode.MAX_BATCH_TEXT", 10)
    decoder = Decoder("raw", key=key_schema("avro", '{"type": "array", "items": "int"}'))
    four = bytes([8, 2, 2, 2, 2, 0])  # becomes [1,1,1,1]: nine characters
    frame = decoder.decode([b"", b""], [four, four])
    assert [one is None for one in frame["error"]] == [True, False]


def test_a_batch_with_more_keys_than_values_is_a_defect_and_never_a_shorter_batch() -> None:
    with pytest.raises(ValueError, match=r"longer|shorter"):
        Decoder("raw", key=key_schema("string")).decode([b"v"], [b"k", b"k"])
