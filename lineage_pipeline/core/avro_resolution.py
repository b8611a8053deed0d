"""Records read with the schema they were written with, in the columns of the table's schema. Pure: no I/O.

This is Avro's schema resolution: fields by name or by an alias of the table's schema, in any order; fields that the
table does not have are passed over; fields that were not written take the table's default; scalars as
avro_promotion.py says; symbols and branches one by one. Records go together by their name (without the namespace) or an
alias, the top level too: else a topic with several kinds of records would fill the table with rows of defaults.

It is worked out once per pair of schemas; reading a record then costs about what reading it unresolved costs. Our own
reader does it, since fastavro's has no bounds (avro_binary.py) and resolves anew for every record; the tests hold the
two against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from lineage_pipeline.core.avro_binary import NESTED, RowReader, column_reader, field_error, row_reader, trailing
from lineage_pipeline.core.avro_defaults import column_default, nested_default
from lineage_pipeline.core.avro_nested import (
    Budget,
    Nested,
    as_json,
    blocks_reader,
    nested_reader,
    nested_scalar,
    unread,
)
from lineage_pipeline.core.avro_promotion import (
    Unresolvable,
    distance,
    none_of,
    resolved_scalar,
    same_name,
    unresolvable,
)
from lineage_pipeline.core.avro_scalars import Reader, read_long, read_null, union_reader
from lineage_pipeline.core.avro_schema import AvroType
from lineage_pipeline.core.record_values import Undecodable

_PASSED_OVER: Final = -1


def resolved_reader(written: AvroType, table: AvroType) -> RowReader:
    """The reader of records of the schema `written`, one value per field of the record `table`.

    Values and errors are those of avro_binary.record_reader. Raises Unresolvable when no record of the one schema can
    be a row of the other; what goes for some records only is found when they are read, and is Undecodable then.
    """
    if written.kind != "record" or not same_name(written, table):
        remedy = ": an alias in the table's schema would join them" if written.kind == "record" else ""
        raise Unresolvable(f"written as {written.words}, the table has {table.words}{remedy}")
    sources = _sources(written, table)
    row = [None if name in sources else _column_default(table, name, avro_type) for name, avro_type in table.fields]
    slots = {sources[name]: slot for slot, (name, _) in enumerate(table.fields) if name in sources}
    steps = []
    for name, avro_type in written.fields:
        slot = slots.get(name, _PASSED_OVER)
        reader = _passing(avro_type) if slot == _PASSED_OVER else _column(avro_type, *_named(table, slot))
        steps.append((name, reader, slot))
    if [slot for _, _, slot in steps] == list(range(len(row))):
        return row_reader([(name, reader) for name, reader, _ in steps])
    return _placing_reader(steps, row)


def _named(table: AvroType, slot: int) -> tuple[AvroType, str]:
    name, avro_type = table.fields[slot]
    return avro_type, name


def _sources(written: AvroType, table: AvroType) -> dict[str, str]:
    """Field of the table -> field that was written; by name first, then by alias, none twice."""
    names = {name for name, _ in written.fields}
    sources = {name: name for name, _ in table.fields if name in names}
    free = names - sources.keys()
    for name, _ in table.fields:
        alias = next((one for one in table.field_aliases.get(name, ()) if one in free), None)
        if name not in sources and alias is not None:
            sources[name] = alias
            free.discard(alias)
    return sources


def _column_default(record: AvroType, name: str, avro_type: AvroType) -> Any:
    try:
        return column_default(avro_type, _default(record, name, avro_type, name))
    except ValueError as error:
        raise Unresolvable(f"field {name!r}: its default in the table's schema cannot be used: {error}") from None


def _default(record: AvroType, name: str, avro_type: AvroType, path: str) -> Any:
    if name not in record.defaults:
        raise Unresolvable(
            f"field {path!r}: not written, and the table's {avro_type.words} has no default: give it one in the"
            " table's schema"
        )
    return record.defaults[name]


def _placing_reader(steps: list[tuple[str, Reader, int]], defaults: list[Any]) -> RowReader:
    names = [name for name, _, _ in steps]
    width = len(defaults)
    # What is passed over lands in one more place, which is cut off.
    places = [(at, reader, width if slot == _PASSED_OVER else slot) for at, (_, reader, slot) in enumerate(steps)]
    template = [*defaults, None]

    def read(payload: bytes, position: int = 0, /) -> list[Any]:
        row = template.copy()
        at = 0
        try:
            for at, reader, slot in places:  # noqa: B007 - the error names the field that was being read
                row[slot], position = reader(payload, position)
        except (IndexError, UnicodeDecodeError, Undecodable) as error:
            raise field_error(names[at], error) from None
        if position != len(payload):
            raise trailing(payload, position)
        del row[width]
        return row

    return read


def _passing(avro_type: AvroType) -> Reader:
    """Passes over a field that the table does not have; nothing is asked of its values but that they are there."""
    if avro_type.unwrapped()[0].kind in NESTED:
        return unread(_passed_over(avro_type))
    return column_reader(_bare(avro_type, {}))


def _passed_over(avro_type: AvroType) -> Nested:
    return nested_reader(_bare(avro_type, {}), {})


def _bare(avro_type: AvroType, made: dict[int, AvroType]) -> AvroType:
    """The type without logical types, also inside: a date in the year 20000 may be passed over."""
    if id(avro_type) not in made:
        bare = AvroType(avro_type.kind, name=avro_type.name, symbols=avro_type.symbols, size=avro_type.size)
        made[id(avro_type)] = bare  # before the inside: it may hold this type again
        bare.fields = tuple((name, _bare(one, made)) for name, one in avro_type.fields)
        bare.branches = tuple(_bare(branch, made) for branch in avro_type.branches)
        bare.items = None if avro_type.items is None else _bare(avro_type.items, made)
    return made[id(avro_type)]


def _column(written: AvroType, table: AvroType, path: str) -> Reader:
    if _equal(written, table, set()):
        return column_reader(table)
    inner, nullable = table.unwrapped()
    if inner.kind in NESTED:
        return as_json(_nested(written, table, path, {}))
    return _scalar_column(written, inner, path, nullable=nullable)


def _scalar_column(written: AvroType, table: AvroType, path: str, *, nullable: bool) -> Reader:
    if written.kind == "union":
        readers, failed = [], []
        for branch in written.branches:
            try:
                readers.append(_scalar_column(branch, table, path, nullable=nullable))
            except Unresolvable as error:
                failed.append(error)
                readers.append(_refusing(error))
        if len(failed) == len(readers):
            raise none_of(path, written, table, failed)
        return union_reader(readers)
    if written.kind == "null" and nullable:
        return read_null
    return resolved_scalar(written, table, path)


def _refusing(error: Unresolvable) -> Callable[..., NoReturn]:
    def refuse(*_arguments: object) -> NoReturn:
        raise Undecodable("unresolvable", str(error), placed=True)

    return refuse


# Readers of records that are resolved already, or just now, by the two types: a schema may be recursive.
_Resolved = dict[tuple[int, int], Nested]


def _nested(written: AvroType, table: AvroType, path: str, resolved: _Resolved) -> Nested:
    if written.kind == "union":
        return _written_union(written, table, path, resolved)
    if table.kind == "union":
        return _table_union(written, table, path, resolved)
    if written.kind != table.kind or table.kind not in NESTED:
        return nested_scalar(resolved_scalar(written, table, path), table)
    if table.kind == "record":
        return _nested_record(written, table, path, resolved)
    assert written.items is not None
    assert table.items is not None
    return blocks_reader(_nested(written.items, table.items, f"{path}[]", resolved), keyed=table.kind == "map")


def _written_union(written: AvroType, table: AvroType, path: str, resolved: _Resolved) -> Nested:
    branches: list[Nested] = []
    failed = []
    for branch in written.branches:
        try:
            branches.append(_nested(branch, table, path, resolved))
        except Unresolvable as error:
            failed.append(error)
            branches.append(_refusing(error))
    if len(failed) == len(branches):
        raise none_of(path, written, table, failed)

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        index, position = read_long(payload, position)
        if not 0 <= index < len(branches):
            raise Undecodable("bad-union-branch", f"branch {index} of {len(branches)}")
        return branches[index](payload, position, budget)

    return read


def _table_union(written: AvroType, table: AvroType, path: str, resolved: _Resolved) -> Nested:
    """The table's first branch of the same kind that goes, else the first that goes.

    Of branches with a name the one that is called the same is asked first: another of the same simple name, or with an
    alias, may take the record too, with its own defaults in the place of what was written.
    """
    failed = []
    for branch in sorted(table.branches, key=lambda one: (one.kind != written.kind, distance(written, one))):
        try:
            reader = _nested(written, branch, path, resolved)
        except Unresolvable as error:
            failed.append(error)
            continue
        if branch.kind == "null" or sum(one.kind != "null" for one in table.branches) == 1:
            return reader
        return _labelled(reader, branch.label)
    raise unresolvable(path, written, table)


def _labelled(reader: Nested, label: str) -> Nested:
    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        value, position = reader(payload, position, budget)
        return {label: value}, position

    return read


def _nested_record(written: AvroType, table: AvroType, path: str, resolved: _Resolved) -> Nested:
    key = (id(written), id(table))
    if key in resolved:
        return resolved[key]
    if not same_name(written, table):
        raise unresolvable(path, written, table, " (an alias in the table's schema would join them)")
    steps: list[tuple[str | None, Nested]] = []
    template: dict[str, Any] = {}

    def read(payload: bytes, position: int, budget: Budget) -> tuple[Any, int]:
        budget.enter()
        budget.take(1 + len(steps) + len(template))  # defaults take no byte of a payload, but memory
        value = template.copy()
        for name, reader in steps:
            found, position = reader(payload, position, budget)
            if name is not None:
                value[name] = found
        budget.leave()
        return value, position

    resolved[key] = read  # before the fields: they may hold this record again
    try:
        _resolve_fields((written, table), path, resolved, (template, steps))
    except Unresolvable as error:
        steps[:] = [(None, _refusing(error))]  # whoever holds this reader must not read half a record
        raise
    return read


def _resolve_fields(
    pair: tuple[AvroType, AvroType],
    path: str,
    resolved: _Resolved,
    into: tuple[dict[str, Any], list[tuple[str | None, Nested]]],
) -> None:
    written, table = pair
    template, steps = into
    sources = _sources(written, table)
    for name, avro_type in table.fields:
        inside = f"{path}.{name}"
        try:
            template[name] = (
                None if name in sources else nested_default(avro_type, _default(table, name, avro_type, inside))
            )
        except (ValueError, Undecodable) as error:
            raise Unresolvable(f"field {inside!r}: its default in the table's schema cannot be used: {error}") from None
    targets = {source: name for name, source in sources.items()}
    fields = dict(table.fields)
    for name, avro_type in written.fields:
        target = targets.get(name)
        if target is None:
            steps.append((None, _passed_over(avro_type)))
        else:
            steps.append((target, _nested(avro_type, fields[target], f"{path}.{target}", resolved)))


def _equal(one: AvroType, other: AvroType, seen: set[tuple[int, int]]) -> bool:
    """Whether both types read the same bytes as the same values, so that nothing is to be resolved."""
    if (id(one), id(other)) in seen:
        return True  # being compared further up
    seen.add((id(one), id(other)))
    plain = ("kind", "logical", "name", "symbols", "size", "precision", "scale")
    if any(getattr(one, name) != getattr(other, name) for name in plain):
        return False
    if len(one.fields) != len(other.fields) or len(one.branches) != len(other.branches):
        return False
    pairs = list(zip(one.branches, other.branches, strict=True))
    for (name, inner), (other_name, other_inner) in zip(one.fields, other.fields, strict=True):
        if name != other_name:
            return False
        pairs.append((inner, other_inner))
    if one.items is not None and other.items is not None:
        pairs.append((one.items, other.items))
    return all(_equal(first, second, seen) for first, second in pairs)
