"""Which objects of a path are files of a topic's table: one LIST per 1,000 keys, a whole listing or an error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, topic_of
from lineage_pipeline.books.object_store import ObjectInfo, ObjectStore, is_hidden
from lineage_pipeline.core.lake_layout import LakeLayout
from lineage_pipeline.core.lake_manifest import LakeObject, LakeTable

_LOGS = ("_delta_log/", ".hoodie/")  # directories of table formats whose log alone says which files count
_SNAPSHOTS = re.compile(r"(?:.*/)?metadata/[^/]*\.metadata\.json")  # Iceberg's
_UNCOMMITTED = ("inprogress", "_tmp_", "_temporary", ".tmp")  # in names of files that no reader sees


@dataclass(frozen=True)
class TableListing:
    """The table's objects, those that a writer left uncommitted, and a sentence if some can be nobody's."""

    objects: tuple[LakeObject, ...]
    uncommitted: tuple[LakeObject, ...] = ()
    problem: str | None = None


def list_table(store: ObjectStore, table: LakeTable, layout: LakeLayout) -> TableListing:
    """The topic's objects by the layout. Raises StoreError, also for a directory that is not there."""
    template = layout.template(table)
    if template is not None:
        folder = template.folder(layout.topic)
        listed = [one for one in store.list(folder, hidden=True) if _is_ours(one, folder)]
        mine = [one for one in listed if template.match(layout.topic, one.key)]
        return _without_contested(_split(table, folder, mine, listed), layout)
    own = f"{TOPIC_DIRECTORY}{layout.topic}"
    listed = list(store.list(own, hidden=True))
    if listed or topic_of(store.uri) not in {None, layout.topic}:
        return _split(table, own, listed, listed)
    listed = list(store.list(hidden=True))
    mine = [one for one in listed if topic_of(one.key.rpartition("/")[0]) in {None, layout.topic}]
    shared = [one for one in mine if not is_hidden(one.key)]
    if shared and not layout.sole and topic_of(store.uri) != layout.topic:
        text = (
            f"{len(shared)} {table} files, the first {shared[0].key}, are in no {TOPIC_DIRECTORY} directory, and"
            f" several topics share {store.uri}: give each topic a path of its own, or a template under lake_files"
        )
        return TableListing((), problem=text)
    return _split(table, "", mine, mine)


def _without_contested(listing: TableListing, layout: LakeLayout) -> TableListing:
    """The listing without files that are another topic's by its template, too: their offsets prove nothing."""
    contested = [(one, rival) for one in listing.objects if (rival := layout.rival_of(one.key)) is not None]
    if not contested:
        return listing
    (first, rival), names = contested[0], {one.key for one, _ in contested}
    text = (
        f"{len(contested)} {first.table} files, the first {first.key}, match the templates of {layout.topic} and of"
        f" {rival.topic}: write templates under lake_files that take no other topic's files, with {{topic}} and, for a"
        " number in a name, {number} instead of *"
    )
    left = tuple(one for one in listing.objects if one.key not in names)
    return replace(listing, objects=left, problem=f"{listing.problem}; {text}" if listing.problem else text)


def _is_ours(one: ObjectInfo, folder: str) -> bool:
    return one.key.startswith(f"{folder}/") if folder else True


def _split(table: LakeTable, folder: str, mine: Iterable[ObjectInfo], listed: Iterable[ObjectInfo]) -> TableListing:
    """Visible objects of `mine`, and what is uncommitted among all that was listed; hidden below `folder`."""
    cut = len(folder) + 1 if folder else 0
    objects = [one for one in mine if not is_hidden(one.key[cut:])]
    uncommitted = [
        one for one in listed if is_hidden(one.key[cut:]) and any(word in one.key[cut:] for word in _UNCOMMITTED)
    ]
    logs = [one.key for one in listed if _is_log(one.key[cut:])]
    return TableListing(_sorted(table, objects), _sorted(table, uncommitted), _with_log(table, logs))


def _is_log(key: str) -> bool:
    return any(key.startswith(log) or f"/{log}" in key for log in _LOGS) or _SNAPSHOTS.fullmatch(key) is not None


def _with_log(table: LakeTable, logs: list[str]) -> str | None:
    """Files that such a log has removed stay where they were: they hold offsets that no reader of the table sees."""
    if not logs:
        return None
    return (
        f"the {table} files belong to a table format with a log of its own ({min(logs)}): which of them count is in the"
        " log, and it is not read here: audit without the lake book"
    )


def _sorted(table: LakeTable, found: Iterable[ObjectInfo]) -> tuple[LakeObject, ...]:
    objects = (LakeObject(table, one.key, one.size, one.etag, one.last_modified) for one in found)
    return tuple(sorted(objects, key=lambda one: one.key))
