"""JSON records by JSON Schema and by list of columns: every value exact, or a reason."""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.core.declared_field import UNKNOWN_COLUMN
from lineage_pipeline.core.json_declaration import declaration_text
from lineage_pipeline.core.payload_decoder import PayloadDecoder
from lineage_pipeline.core.record_schema import record_schema
from lineage_pipeline.flink.decode import Decoder


def text_of(described: Any = None, columns: dict[str, str] | None = None, unknown: Any = "ignore", **more: Any) -> str:
    schema = None if described is None else json.dumps({"properties": {"x": described}, **more})
    return declaration_text(schema, columns, unknown)


def decode(text: str, payload: str | bytes) -> tuple[dict[str, Any], str | None]:
    """Values by column, and the error; the job's decoder and the repair's must agree."""
    encoded = payload.encode() if isinstance(payload, str) else payload
    decoder = Decoder("json", text)
    (row,) = decoder.decode([encoded]).to_dict("records")
    schema = record_schema("json", text)
    values, error = PayloadDecoder(schema).decode(encoded)
    assert error == row["error"]
    assert all(a == row[one.transport_name] or a != a for a, one in zip(values, schema.columns, strict=True))  # noqa: PLR0124
    return dict(zip((one.name for one in schema.columns), values, strict=True)), row["error"]


def value(kind: Any, written: str) -> Any:
    """The column's value of {"x": written}; `kind` is a property's schema or a listed type."""
    text = text_of(columns={"x": kind}) if isinstance(kind, str) else text_of(kind)
    found, error = decode(text, f'{{"x": {written}}}')
    assert error is None, error
    return found["x"]


def error_class(kind: Any, written: str) -> str:
    text = text_of(columns={"x": kind}) if isinstance(kind, str) else text_of(kind)
    _, error = decode(text, f'{{"x": {written}}}')
    assert error is not None
    assert "field 'x'" in error
    return error.partition(": ")[0]


MILLIS = 1_769_857_200_500  # 2026-01-31T11:00:00.5Z
READ = [
    ("bigint", "9223372036854775807", 2**63 - 1),
    ("bigint", "-9.223372036854775808e18", -(2**63)),
    ({"type": "integer"}, "3.0", 3),
    ({"type": "integer", "maximum": 2**64 - 1}, "18446744073709551615", Decimal(2**64 - 1)),
    ("decimal(12,2)", "12.30", Decimal("12.30")),
    ("decimal(12,2)", '"-0.01"', Decimal("-0.01")),
    ("decimal(38, 18)", "0.123456789012345678", Decimal("0.123456789012345678")),
    ({"type": "number", "multipleOf": 0.001}, "1e-3", Decimal("0.001")),
    ("double", "0.1", 0.1),
    ("double", "0.10000000000000001", 0.1),
    ("double", "9007199254740993e0", None),
    ("double", "1e22", 1e22),
    ("double", "0.1000000000000000055511151231257827021181583404541015625", 0.1),
    ("real", "0.1", struct.unpack("<f", struct.pack("<f", 0.1))[0]),
    ("real", "0.10000000149011612", struct.unpack("<f", struct.pack("<f", 0.1))[0]),
    ("real", "16777217", None),
    ({"type": "number"}, "5", 5.0),
    ("timestamp", '"2026-01-31T12:00:00.5+01:00"', MILLIS),
    ("timestamp", '"2026-01-31 12:00:00.500000+0100"', MILLIS),
    ({"type": "string", "format": "date-time"}, '"2026-01-31t11:00:00.5z"', MILLIS),
    ("timestamp(6)", '"2026-01-31T11:00:00.500001Z"', MILLIS * 1000 + 1),
    ("timestamp(9)", '"2026-01-31T11:00:00.500000001Z"', MILLIS * 10**6 + 1),
    ("timestamp", '"0001-01-01T00:00:00Z"', -62_135_596_800_000),
    ("timestamp", '"9999-12-31T23:59:59.999Z"', 253_402_300_799_999),
    ("timestamp", '"9999-12-31T23:59:59.9991Z"', None),
    ("timestamp", '"9999-12-31T23:59:59.999-00:01"', None),
    ("timestamp(9)", '"2262-04-12T00:00:00Z"', None),
    ("local_timestamp", '"2026-01-31T11:00:00.5"', MILLIS),
    ("epoch_millis", str(MILLIS), MILLIS),
    ("date", '"1969-12-31"', -1),
    ("date", '"0001-01-01"', -719_162),
    ("time", '"23:59:59.999"', 86_399_999),
    ("time", '"23:59:59.9999"', None),
    ("bytes", '"AP8="', b"\0\xff"),
    ("uuid", '"7D444840-9DC0-11D1-B245-5FFDCE74FAD2"', "7d444840-9dc0-11d1-b245-5ffdce74fad2"),
    ("json", '{"a": [1.10, 12345678901234567890123]}', '{"a":[1.10,12345678901234567890123]}'),
    ("json", '"text"', '"text"'),
    ({"type": ["string", "integer"]}, '"7"', '"7"'),
    ({"type": ["string", "integer"]}, "7.0", "7.0"),
    ({"enum": ["a", "b", None]}, '"b"', "b"),
    ({"type": "object"}, "{}", "{}"),
    ({"type": "array"}, "[]", "[]"),
    ({"type": "boolean"}, "true", True),
]


@pytest.mark.parametrize(("kind", "written", "expected"), READ)
def test_a_value_is_exact_or_refused_as_out_of_range(kind: Any, written: str, expected: Any) -> None:
    if expected is None:
        assert error_class(kind, written) == "out-of-range"
    else:
        found = value(kind, written)
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "written", "word"),
    [
        ("bigint", "9223372036854775808", "out-of-range"),
        ("bigint", "1e400", "out-of-range"),
        ("bigint", "1.5", "wrong-type"),
        ("bigint", '"1"', "wrong-type"),
        ("bigint", "true", "wrong-type"),
        ("decimal(12,2)", "1.005", "out-of-range"),
        ("decimal(12,2)", "10000000000", "out-of-range"),
        ("decimal(12,2)", '"1,5"', "bad-decimal"),
        ("double", "0.1234567890123456789", "out-of-range"),
        ("double", "1e-400", "out-of-range"),
        ("double", "1e400", "out-of-range"),
        ("double", "[]", "wrong-type"),
        ("timestamp", '"2026-01-31T12:00:00"', "bad-time"),
        ("timestamp", '"2026-02-30T12:00:00Z"', "bad-time"),
        ("timestamp", '"2026-01-31T24:00:00Z"', "bad-time"),
        ("timestamp", '"2026-01-31T23:59:60Z"', "bad-time"),
        ("timestamp", '"2026-01-31T12:00:00+24:00"', "bad-time"),
        ("timestamp", '"٢٠٢٦-01-31T12:00:00Z"', "bad-time"),
        ("timestamp", '"0000-01-31T12:00:00Z"', "bad-time"),
        ("timestamp", '"yesterday"', "bad-time"),
        ("timestamp", str(MILLIS), "wrong-type"),
        ("local_timestamp", '"2026-01-31T12:00:00Z"', "bad-time"),
        ("epoch_millis", '"2026-01-31T12:00:00Z"', "wrong-type"),
        ("date", '"2026-13-01"', "bad-time"),
        ("date", "1", "wrong-type"),
        ("time", '"25:00:00"', "bad-time"),
        ("bytes", '"A"', "wrong-type"),
        ("bytes", '"AP8"', "wrong-type"),
        ("bytes", '"é"', "wrong-type"),
        ("uuid", '"x"', "bad-uuid"),
        ({"enum": ["a"]}, '"b"', "bad-enum"),
        ({"type": ["string", "integer"]}, "1.5", "wrong-type"),
        ({"type": ["string", "integer"]}, "true", "wrong-type"),
        ({"type": "object"}, "[]", "wrong-type"),
        ({"type": "null"}, "0", "wrong-type"),
        ({"type": "string"}, "null", "wrong-type"),
        ({"type": "string"}, '"\\ud800"', "invalid-utf8"),
        ({}, '{"a": "\\ud800"}', "invalid-utf8"),
        ("json", "[" * 100 + "]" * 100, "too-deep"),
    ],
)
def test_poison_has_its_class_and_names_its_field(kind: Any, written: str, word: str) -> None:
    assert error_class(kind, written) == word


def test_what_is_required_must_be_there_and_what_is_not_may_be_null() -> None:
    columns = {"id": "bigint not null", "note": "string"}
    text = text_of(columns=columns)
    assert decode(text, '{"id": 1, "note": null}') == ({"id": 1, "note": None}, None)
    assert decode(text, '{"id": 1}') == ({"id": 1, "note": None}, None)
    assert decode(text, '{"note": "x"}')[1] == "missing-field: field 'id' is not there"
    assert str(decode(text, '{"id": null}')[1]).startswith("wrong-type: field 'id': null")
    required = text_of({"type": ["string", "null"]}, required=["x"])
    assert decode(required, '{"x": null}') == ({"x": None}, None)
    assert str(decode(required, "{}")[1]).startswith("missing-field")
    assert str(decode(text_of({"type": "string"}), "{}")[1]) == "None"


# ---- unknown fields


def test_unknown_fields_are_kept_as_they_were_written() -> None:
    text = text_of({"type": "integer"}, unknown="keep")
    found, error = decode(text, '{"new": {"n": 1.10, "big": 123456789012345678901234567890.5}, "x": 1, "é": null}')
    assert error is None
    assert found == {"x": 1, UNKNOWN_COLUMN: '{"new":{"n":1.10,"big":123456789012345678901234567890.5},"é":null}'}
    assert decode(text, '{"x": 1}') == ({"x": 1, UNKNOWN_COLUMN: None}, None)


def test_unknown_fields_are_ignored_or_refused_as_told() -> None:
    payload = '{"x": 1, "new": 2}'
    assert decode(text_of({"type": "integer"}), payload) == ({"x": 1}, None)
    _, error = decode(text_of({"type": "integer"}, unknown="refuse"), payload)
    assert error == "unknown-field: field 'new' is not declared"
    assert decode(text_of({"type": "integer"}, unknown="refuse"), '{"x": 1}') == ({"x": 1}, None)


def test_unknown_fields_have_the_bounds_of_nested_values() -> None:
    text = text_of({}, unknown="keep")
    for payload, word in (
        (b'{"y":' + b"[" * 100 + b"]" * 100 + b"}", "too-deep"),
        (b'{"y":"\\ud800"}', "invalid-utf8"),
    ):
        _, error = decode(text, payload)
        assert str(error).startswith(word)


# ---- properties

json_numbers = st.one_of(
    st.integers(min_value=-(10**40), max_value=10**40).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda one: str(one).replace("E", "e")),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda one: f"{one:.17g}"),
)


@given(json_numbers)
def test_a_number_is_exact_in_every_numeric_column_or_refused(written: str) -> None:
    exact = Decimal(written)
    for kind in ("bigint", "int", "decimal(38, 9)", "decimal(5, 2)"):
        found, error = decode(text_of(columns={"x": kind}), f'{{"x": {written}}}')
        assert error is not None or found["x"] == exact
        assert error is None or error.partition(": ")[0] in {"out-of-range", "wrong-type"}
    found, error = decode(text_of(columns={"x": "json"}), f'{{"x": {written}}}')
    assert error is None
    assert Decimal(found["x"]) == exact


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_survives_in_both_of_its_usual_spellings(number: float) -> None:
    for written in (repr(number), f"{number:.17g}"):
        assert repr(value("double", written)) == repr(number) or number == 0


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_every_float_survives_as_float_and_as_double(number: float) -> None:
    for written in (repr(number), f"{number:.9g}"):
        assert value("real", written) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, places=25).filter(lambda one: one.adjusted() < 60))
def test_a_double_that_is_read_writes_the_number_again(number: Decimal) -> None:
    found, error = decode(text_of(columns={"x": "double"}), f'{{"x": {number:f}}}')
    if error is None:
        assert number in (Decimal(repr(found["x"])), Decimal(f"{found['x']:.17g}"), Decimal(found["x"]))
    else:
        assert error.startswith("out-of-range")


instants = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30))  # noqa: DTZ001
offsets = st.integers(min_value=-1439, max_value=1439)


@given(instants, offsets)
def test_an_instant_survives_in_every_offset(at: dt.datetime, minutes: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=minutes))
    exact = at.replace(tzinfo=dt.timezone.utc)
    micros = (exact - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) // dt.timedelta(microseconds=1)
    written = json.dumps(exact.astimezone(zone).isoformat())
    assert value("timestamp(6)", written) == micros
    if micros % 1000:
        assert error_class("timestamp", written) == "out-of-range"
    else:
        assert value("timestamp", written) == micros // 1000


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), plain_json, max_size=5))
def test_nothing_of_a_record_is_lost_where_unknown_fields_are_kept(record: dict[str, Any]) -> None:
    found, error = decode(text_of({}, unknown="keep"), json.dumps(record))
    assert error is None
    kept = json.loads(found[UNKNOWN_COLUMN]) if found[UNKNOWN_COLUMN] else {}
    mine = {"x": json.loads(found["x"])} if found["x"] is not None else {}
    assert kept | mine == {name: one for name, one in record.items() if name != "x" or one is not None}
