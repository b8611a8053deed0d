"""Records written with one schema become rows of another, as Avro says, or say which field does not go and why."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lineage_pipeline.core.avro_binary import record_reader
from lineage_pipeline.core.avro_promotion import Unresolvable
from lineage_pipeline.core.avro_resolution import resolved_reader
from lineage_pipeline.core.avro_schema import parse_record
from lineage_pipeline.core.record_values import MAX_DEPTH, Undecodable

Schema = dict[str, Any]
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "v", "type": "int"}, {"name": "n", "type": ["null", "Node"]}],
}
WIDE_NODE = json.loads(json.dumps(NODE).replace('"int"', '"long"'))
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}


def record(*fields: Any, name: str = "R", **more: Any) -> Schema:
    """Fields as (name, type) or (name, type, {default, aliases})."""
    declared = [{"name": one[0], "type": one[1], **(one[2] if len(one) > 2 else {})} for one in fields]
    return {"type": "record", "name": name, "fields": declared, **more}


def encoded(schema: Schema, value: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def resolved(written: Schema, table: Schema, value: dict[str, Any]) -> list[Any]:
    return resolved_reader(parse_record(written)[0], parse_record(table)[0])(encoded(written, value))


def one(written: Any, table: Any, value: Any) -> Any:
    """The value of a record's only field, written as one type and read as another."""
    (found,) = resolved(record(("x", written)), record(("x", table)), {"x": value})
    return found


def refusal(written: Schema, table: Schema) -> str:
    with pytest.raises(Unresolvable) as caught:
        resolved_reader(parse_record(written)[0], parse_record(table)[0])
    return str(caught.value)


def refused(written: Any, table: Any, value: Any) -> str:
    with pytest.raises(Undecodable) as caught:
        one(written, table, value)
    assert caught.value.error_class == "unresolvable"
    return caught.value.detail


# ---- fields


def test_fields_go_by_their_name_in_any_order_and_others_are_passed_over() -> None:
    written = record(("gone", {"type": "array", "items": "string"}), ("b", "string"), ("also", ENUM), ("a", "int"))
    value = {"gone": ["x", "y"], "b": "text", "also": "C", "a": 7}
    assert resolved(written, record(("a", "int"), ("b", "string")), value) == [7, "text"]


def test_an_alias_of_the_tables_field_finds_a_field_that_was_renamed() -> None:
    table = record(("new", "int", {"aliases": ["older", "old"]}), ("b", "int"))
    assert resolved(record(("b", "int"), ("old", "int")), table, {"b": 1, "old": 2}) == [2, 1]


def test_a_field_of_the_same_name_goes_before_an_alias_and_no_field_is_taken_twice() -> None:
    table = record(("b", "int", {"aliases": ["a"], "default": -1}), ("a", "int"))
    assert resolved(record(("a", "int")), table, {"a": 5}) == [-1, 5]
    assert resolved(record(("a", "int"), ("b", "int")), table, {"a": 5, "b": 6}) == [6, 5]


DEFAULTS = [
    ("null", None, None),
    (["null", "long"], None, None),
    (["null", "long"], 4, 4),
    ("boolean", True, True),
    ("int", -3, -3),
    ("long", 2**40, 2**40),
    ("float", 0.1, 0.10000000149011612),
    ("double", "NaN", float("nan")),
    ("double", 1, 1.0),
    ("bytes", "\u00ff", b"\xff"),
    ("string", "ü", "ü"),
    ({"type": "fixed", "name": "F", "size": 2}, "\u0001\u0002", b"\1\2"),
    (ENUM, "B", "B"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "\u00fe", Decimal("-0.02")),
    ({"type": "int", "logicalType": "date"}, 0, 0),
    ({"type": "array", "items": "int"}, [1, 2], "[1,2]"),
    ({"type": "map", "values": "bytes"}, {"k": "\u0001"}, '{"k":"\\u0001"}'),
    (["int", "string"], 1, '{"int":1}'),
    (["int", "string"], "s", '{"string":"s"}'),
    (record(("a", "int"), ("b", "int", {"default": 9}), name="I"), {"a": 1}, '{"a":1,"b":9}'),
]


@pytest.mark.parametrize(
    ("kind", "default", "expected"), DEFAULTS, ids=lambda value: json.dumps(value, default=str)[:40]
)
def test_a_field_that_was_not_written_takes_the_tables_default(kind: Any, default: Any, expected: Any) -> None:
    table = record(("a", "int"), ("x", kind, {"default": default}))
    found = resolved(record(("a", "int")), table, {"a": 1})
    assert repr(found) == repr([1, expected])


def test_a_default_inside_a_nested_record_is_filled_in_where_the_table_has_it() -> None:
    inner = record(("a", "int"), name="I")
    wider = record(("b", ["null", "string"], {"default": None}), ("a", "long"), ("c", "int", {"default": 3}), name="I")
    assert one({"type": "array", "items": inner}, {"type": "array", "items": wider}, [{"a": 1}, {"a": 2}]) == (
        '[{"b":null,"a":1,"c":3},{"b":null,"a":2,"c":3}]'
    )


def test_a_field_without_a_value_and_without_a_default_does_not_resolve() -> None:
    said = refusal(
        record(("a", "int")), record(("a", "int"), ("b", {"type": "long", "logicalType": "timestamp-millis"}))
    )
    assert "field 'b'" in said
    assert "long (timestamp-millis)" in said
    assert "default" in said
    nested = refusal(
        record(("x", record(("a", "int"), name="I"))), record(("x", record(("a", "int"), ("b", "int"), name="I")))
    )
    assert "field 'x.b'" in nested


def test_of_branches_that_take_a_record_the_one_of_its_own_name_does() -> None:
    other = record(("n", "int", {"default": 0}), name="A", namespace="y")
    mine = record(("b", "string", {"default": ""}), name="A", namespace="x")
    wider = record(("b", "string"), ("c", "int"), name="A", namespace="x")
    alias = record(("n", "int", {"default": 0}), name="B", namespace="x", aliases=["A"])
    for table in ([other, mine], [mine, other], [alias, mine], [other, alias, mine]):
        assert one([other, wider], table, ("x.A", {"b": "kept", "c": 1})) == '{"x.A":{"b":"kept"}}'
    assert one([other, wider], [alias, other], ("x.A", {"b": "gone", "c": 1})) == '{"y.A":{"n":0}}'


# ---- scalars

PROMOTIONS = [
    ("int", "long", 7, 7),
    ("int", "float", 7, 7.0),
    ("int", "double", 7, 7.0),
    ("long", "float", 2**40 + 1, float(2**40)),
    ("long", "double", 2**40 + 1, float(2**40 + 1)),
    ("float", "double", 0.1, 0.10000000149011612),
    ("string", "bytes", "ü", b"\xc3\xbc"),
    ("bytes", "string", b"\xc3\xbc", "ü"),
    (ENUM, {**ENUM, "symbols": ["C", "A", "B"]}, "A", "A"),
    (ENUM, {**ENUM, "symbols": ["Z", "A"], "default": "Z"}, "B", "Z"),
    ({**ENUM, "name": "n.E"}, {**ENUM, "name": "F", "aliases": ["E"]}, "B", "B"),
    ("int", ["null", "long"], 7, 7),
    (["null", "int"], "int", 7, 7),
    (["null", "int"], ["long", "null"], None, None),
    (["int", "string"], ["null", "double"], 7, 7.0),
    ("long", {"type": "long", "logicalType": "timestamp-millis"}, 5, 5),
    ("int", {"type": "long", "logicalType": "timestamp-millis"}, 5, 5),
    ("string", {"type": "string", "logicalType": "uuid"}, "u", "u"),
    ("bytes", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\1", Decimal("0.01")),
    ("int", ["null", "int", "string"], 7, '{"int":7}'),
    ("int", ["string", "double", "null"], 7, '{"double":7.0}'),
    (["string", "int"], ["int", "string"], 7, '{"int":7}'),
    ({"type": "map", "values": "int"}, {"type": "map", "values": ["null", "long"]}, {"k": 1}, '{"k":1}'),
    (NODE, WIDE_NODE, {"v": 1, "n": {"v": 2, "n": None}}, '{"v":1,"n":{"v":2,"n":null}}'),
    (["null", NODE], ["null", WIDE_NODE], None, None),
]


@pytest.mark.parametrize(
    ("written", "table", "value", "expected"), PROMOTIONS, ids=lambda value: json.dumps(value, default=str)[:40]
)
def test_a_value_is_read_as_the_tables_type(written: Any, table: Any, value: Any, expected: Any) -> None:
    assert repr(one(written, table, value)) == repr(expected)


FIXED = {"type": "fixed", "name": "F", "size": 4}
CLASHES = [
    ("string", "long"),
    ("long", "int"),
    ("double", "float"),
    ("double", "long"),
    ("boolean", "int"),
    ("null", "int"),
    ("bytes", FIXED),
    (FIXED, {**FIXED, "size": 5}),
    (FIXED, {**FIXED, "name": "G"}),
    (ENUM, "string"),
    (ENUM, {**ENUM, "name": "F"}),
    ({"type": "long", "logicalType": "timestamp-micros"}, {"type": "long", "logicalType": "timestamp-millis"}),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
    ),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "string"),
    ("int", {"type": "array", "items": "int"}),
    ({"type": "array", "items": "int"}, "int"),
    ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}),
    ({"type": "array", "items": "string"}, {"type": "array", "items": "int"}),
    (NODE, json.loads(json.dumps(NODE).replace("Node", "Other"))),
    ("string", ["null", "int"]),
    (["string", "boolean"], ["null", "int"]),
    ("string", ["null", "int", "boolean"]),
]


@pytest.mark.parametrize(("written", "table"), CLASHES, ids=lambda value: json.dumps(value)[:40])
def test_types_that_do_not_go_together_are_named_with_the_field(written: Any, table: Any) -> None:
    said = refusal(record(("x", written)), record(("x", table)))
    assert re.match(r"field 'x(\[\])?': written as \w.*, the table has \w", said), said
    for kind in (written, table):
        word = kind["type"] if isinstance(kind, dict) else "union" if isinstance(kind, list) else kind
        # of a list or a union the text names what is inside
        assert word in said or word in ("array", "union"), said


def test_a_clash_deep_inside_is_named_by_its_path() -> None:
    written = record(("x", {"type": "map", "values": record(("a", "string"), name="I")}))
    table = record(("x", {"type": "map", "values": record(("a", ["null", "int"]), name="I")}))
    assert refusal(written, table) == "field 'x[].a': written as string, the table has union of null, int"


def test_records_of_another_name_do_not_fill_the_table_with_defaults() -> None:
    table = record(("x", ["null", "int"], {"default": None}), name="lake.Order")
    said = refusal(record(("y", "int"), name="shop.Customer"), table)
    assert "shop.Customer" in said
    assert "lake.Order" in said
    assert resolved(record(("x", "int"), name="shop.Order"), table, {"x": 1}) == [1]
    joined = {**table, "aliases": ["shop.Customer"]}
    assert resolved(record(("x", "int"), name="shop.Customer"), joined, {"x": 1}) == [1]


def test_what_goes_for_some_values_only_is_refused_for_the_others_alone() -> None:
    assert one(["null", "int"], "int", 3) == 3
    assert refused(["null", "int"], "int", None) == "field 'x': written as null, the table has int"
    assert one(["int", "string"], ["null", "long"], 3) == 3
    assert refused(["int", "string"], ["null", "long"], "s") == "field 'x': written as string, the table has long"
    small = {**ENUM, "symbols": ["A"]}
    assert one(ENUM, small, "A") == "A"
    assert refused(ENUM, small, "C").startswith("field 'x': symbol 'C' is not in the table's enum E")
    items = [{"type": "array", "items": kind} for kind in (["int", "string"], "int")]
    assert one(*items, [1, 2]) == "[1,2]"
    assert refused(*items, [1, "s"]) == "field 'x[]': written as string, the table has int"


def test_half_of_a_record_is_never_read_when_the_other_half_does_not_resolve() -> None:
    """The failing branch holds itself, and what holds it outside of itself must not use what was made of it."""
    bad = record(("n", ["null", "Bad"]), ("x", "string"), name="Bad")
    good = record(("n", ["null", "Bad"]), ("x", "int"), name="Bad")
    written = record(("a", ["null", bad, "int"]), ("b", ["null", "Bad", "int"]))
    table = record(("a", ["null", good, "int"]), ("b", ["null", "Bad", "int"]))
    assert resolved(written, table, {"a": 1, "b": None}) == ['{"int":1}', None]
    node = {"n": None, "x": "s"}
    for value in ({"a": node, "b": 1}, {"a": 1, "b": node}, {"a": 1, "b": {"n": node, "x": "t"}}):
        with pytest.raises(Undecodable) as caught:
            resolved(written, table, value)
        assert caught.value.error_class == "unresolvable"


def test_a_passed_over_value_is_not_asked_to_fit_anything_but_must_be_there() -> None:
    date = {"type": "int", "logicalType": "date"}
    written = record(("gone", date), ("deep", {"type": "array", "items": date}), ("a", "int"))
    value = {"gone": 2**31 - 1, "deep": [2**31 - 1], "a": 1}
    table = record(("a", "int"))
    bare = json.loads(json.dumps(written).replace(', "logicalType": "date"', ""))
    read = resolved_reader(parse_record(written)[0], parse_record(table)[0])
    payload = encoded(bare, value)
    assert read(payload) == [1]
    for end in range(len(payload)):
        with pytest.raises(Undecodable) as caught:
            read(payload[:end])
        assert caught.value.error_class == "truncated"
        assert "field '" in caught.value.detail
    with pytest.raises(Undecodable) as caught:
        read(payload + b"\0")
    assert caught.value.error_class == "trailing-bytes"


def test_hostile_counts_and_depths_stay_bounded_through_a_resolution() -> None:
    many = record(("x", {"type": "array", "items": record(("a", "null"), name="I")}))
    table = record(("x", {"type": "array", "items": record(("d", "string", {"default": "d" * 100}), name="I")}))
    read = resolved_reader(parse_record(many)[0], parse_record(table)[0])
    with pytest.raises(Undecodable) as caught:
        read(b"\xfe\xff\xff\xff\x0f\x00")
    assert caught.value.error_class == "too-large"
    nodes = resolved_reader(parse_record(record(("x", NODE)))[0], parse_record(record(("x", WIDE_NODE)))[0])
    deep = b"\x02\x02" * (MAX_DEPTH - 1) + b"\x02\x00"
    (found,) = nodes(deep)
    assert found.count("{") == MAX_DEPTH
    with pytest.raises(Undecodable) as caught:
        nodes(b"\x02\x02" + deep)
    assert caught.value.error_class == "too-deep"


# ---- fastavro is the judge

SCALARS = ["boolean", "int", "long", "float", "double", "bytes", "string", "null"]
VALUES = {
    "boolean": st.booleans(),
    # what a float of 32 bits holds exactly: fastavro does not round when it promotes to one, Java and we do
    "int": st.integers(-(2**24), 2**24),
    "long": st.integers(-(2**24), 2**24),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.text(max_size=8).map(str.encode),
    "string": st.text(max_size=8),
    "null": st.none(),
}
NAMES = ["a", "b", "c", "d"]


@st.composite
def types(draw: st.DrawFn, depth: int = 2) -> Any:
    kind = draw(st.sampled_from([*SCALARS, "union", "array", "map"] if depth else SCALARS))
    if kind == "union":
        # not both bytes and string: fastavro takes the first branch that goes, Java and we one of the same kind first
        left_out = draw(st.sampled_from(["bytes", "string"]))
        branches = st.sampled_from([one for one in SCALARS if one != left_out])
        return draw(st.lists(branches, min_size=1, max_size=4, unique=True))
    if kind in ("array", "map"):
        return {"type": kind, "items" if kind == "array" else "values": draw(types(depth - 1))}
    return kind


@st.composite
def values(draw: st.DrawFn, kind: Any) -> Any:
    if isinstance(kind, list):
        branch = draw(st.sampled_from(kind))
        return (branch, draw(VALUES[branch]))
    if isinstance(kind, dict):
        inner = values(kind.get("items", kind.get("values")))
        return draw(
            st.lists(inner, max_size=3)
            if kind["type"] == "array"
            else st.dictionaries(st.text(max_size=2), inner, max_size=3)
        )
    return draw(VALUES[kind])


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    return record(*((name, draw(types())) for name in names))


WIDER = {
    "int": ["long", "float", "double"],
    "long": ["double"],
    "float": ["double"],
    "string": ["bytes"],
    "bytes": ["string"],
}


@st.composite
def evolved_type(draw: st.DrawFn, kind: Any, *, inside: bool = False) -> Any:
    """What the type may have become: wider, nullable, one of several, or something else altogether.

    The last not inside lists: fastavro refuses a list for its items, and an empty one never; we refuse the schema.
    """
    if isinstance(kind, dict):
        (place,) = kind.keys() - {"type"}
        return {**kind, place: draw(evolved_type(kind[place], inside=True))}
    change = draw(st.sampled_from(["same", "wider", "nullable", "several"] if inside else ["same", "wider", "other"]))
    if change == "other":
        return draw(types())
    if isinstance(kind, list) or change == "same":
        return kind
    if change == "wider":
        return draw(st.sampled_from(WIDER.get(kind, [kind])))
    more = [one for one in ("null", "boolean") if one != kind]
    return draw(st.permutations([kind, *more[: 1 if change == "nullable" else 2]]))


@st.composite
def evolved(draw: st.DrawFn, written: Schema) -> Schema:
    fields: list[Any] = []
    for field in draw(st.permutations(written["fields"])):
        kind = draw(evolved_type(field["type"]))
        fate = draw(st.sampled_from(["kept", "kept", "kept", "removed", "renamed"]))
        if fate == "renamed":
            fields.append((f"new_{field['name']}", kind, {"aliases": [field["name"]]}))
        elif fate == "kept":
            fields.append((field["name"], kind))
    if draw(st.booleans()):
        fields.append(("added", "string", {"default": "d"}))
    return record(*(fields or [("added", "int", {"default": 3})]))


@given(st.data())
def test_whatever_fastavro_resolves_has_the_same_values_here(data: st.DataObject) -> None:
    written = data.draw(schemas())
    table = data.draw(evolved(written))
    value = {field["name"]: data.draw(values(field["type"])) for field in written["fields"]}
    payload = encoded(written, value)
    try:
        judge: Any = fastavro.schemaless_reader(
            io.BytesIO(payload), fastavro.parse_schema(written), fastavro.parse_schema(table)
        )
    except (fastavro.read.SchemaResolutionError, ValueError):
        assume(False)  # what it refuses is judged by the cases above
    row = resolved_reader(parse_record(written)[0], parse_record(table)[0])(payload)
    for field, found in zip(table["fields"], row, strict=True):
        expected, kind = judge[field["name"]], field["type"]
        if not isinstance(kind, dict) and (kind == "null" or not isinstance(kind, list) or len(_others(kind)) == 1):
            assert found == expected, field
        elif found is None:
            assert expected is None, field
        else:
            assert _untagged(json.loads(found), kind) == _as_json(expected), field


def _others(union: list[str]) -> list[str]:
    return [branch for branch in union if branch != "null"]


def _untagged(value: Any, kind: Any) -> Any:
    """The value inside JSON text without the names of branches, which fastavro does not give."""
    if isinstance(kind, list) and len(_others(kind)) > 1 and isinstance(value, dict):
        ((branch, inner),) = value.items()
        assert branch in kind
        return inner
    if isinstance(kind, dict) and kind["type"] == "array":
        return [_untagged(one, kind["items"]) for one in value]
    if isinstance(kind, dict):
        return {key: _untagged(one, kind["values"]) for key, one in value.items()}
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    return value.decode("latin-1") if isinstance(value, bytes) else value


@given(st.data())
def test_equal_schemas_resolve_to_what_reads_without_a_resolution(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    value = {field["name"]: data.draw(values(field["type"])) for field in schema["fields"]}
    payload = encoded(schema, value)
    avro_type = parse_record(schema)[0]
    again = parse_record(json.loads(json.dumps(schema)))[0]
    assert resolved_reader(avro_type, again)(payload) == record_reader(avro_type)(payload)
