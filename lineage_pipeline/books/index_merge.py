"""The offset index read onto a fold: only files that are new are fetched, and those that are gone are noticed.

Days are directories `dt=YYYY-MM-DD`. The newest two that the fold knows, and all later ones, are open: they are listed
by every audit, one request per 1,000 keys. Older days are closed: only a full listing looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from lineage_pipeline.books.deployments import DeploymentBook, read_deployments
from lineage_pipeline.books.index_file import read_rows_by_writer
from lineage_pipeline.books.index_files import work_through
from lineage_pipeline.books.index_store import IndexListing, IndexPath, list_index
from lineage_pipeline.books.object_store import ObjectInfo
from lineage_pipeline.core.coverage import CoverageBuilder, PartitionCoverage
from lineage_pipeline.core.fold import Fold, MergedFile, Owner
from lineage_pipeline.core.ledger_events import Incarnation, Listing
from lineage_pipeline.errors import IndexFileError

MAX_OPEN_DAYS = 40  # more directories than that are not asked for one by one
_DAY = re.compile(r"(?P<root>(?:.*/)?)dt=(?P<day>\d{4}-\d{2}-\d{2})/[^/]+")


@dataclass(frozen=True)
class IndexReading:
    """The index as it is now. `rebuilt`: files had vanished or changed, so everything was merged anew.

    `newest`: when the store took the newest listed file, epoch seconds; `refused`: how many files were refused, each
    with a sentence in `problems`.
    """

    fold: Fold
    deployments: DeploymentBook
    listing: Listing
    newest: float | None = None
    refused: int = 0
    problems: tuple[str, ...] = ()
    rebuilt: bool = False


def read_index_onto(
    path: IndexPath, fold: Fold | None, today: date, writers: frozenset[str], *, full: bool
) -> IndexReading:
    """The index read onto `fold`; with `full` every day is listed, and without a fold every file read.

    `writers`: those whose records were known at the audit before; another one makes the listing full, since a job that
    comes back may put files into old days. Raises StoreError when listing fails, as a whole.
    """
    days = None if full or fold is None else open_days(fold.files, today)
    listing = list_index(path) if days is None else _list_days(path, days)
    records = read_deployments(path.store, path.topic)
    if days is not None and not {one.writer for one in records.deployments} <= writers:
        days, listing = None, list_index(path)
        records = read_deployments(path.store, path.topic)
    listed = {info.key: MergedFile(info.size, info.etag) for info in listing.files}
    base = fold or Fold()
    rebuilt = any(base.files[key] != listed.get(key) for key in _in_scope(base.files, days))
    if rebuilt:
        # what a file covered cannot be taken out of merged runs: everything that is left is merged anew
        days, listing, base = None, list_index(path), Fold()
    reading = _merged(path, base, listing, records)
    return replace(reading, listing="full" if days is None else "open-days", rebuilt=rebuilt)


def open_days(files: Iterable[str], today: date) -> tuple[str, ...] | None:
    """The directories that an audit has to list; None when every one must be, since they are not days."""
    found = [_DAY.fullmatch(key) for key in files]
    roots = {one["root"] for one in found if one}
    if len(roots) != 1 or not all(found):
        return None
    try:
        newest = max(date.fromisoformat(one["day"]) for one in found if one)
        first, last = newest - timedelta(days=1), max(newest, today) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    count = (last - first).days + 1
    if count > MAX_OPEN_DAYS:
        return None
    root = roots.pop()
    return tuple(f"{root}dt={first + timedelta(days=number)}" for number in range(count))


def _list_days(path: IndexPath, days: tuple[str, ...]) -> IndexListing:
    found = [info for day in days for info in path.store.list(day)]
    return IndexListing(tuple(sorted(found, key=lambda one: one.key)), ())


def _in_scope(files: Mapping[str, MergedFile], days: tuple[str, ...] | None) -> list[str]:
    if days is None:
        return list(files)
    prefixes = tuple(f"{day}/" for day in days)
    return [key for key in files if key.startswith(prefixes)]


def _merged(path: IndexPath, base: Fold, listing: IndexListing, records: DeploymentBook) -> IndexReading:
    owners = {one.writer: Incarnation(*one.incarnation) for one in records.deployments}
    new = [info for info in listing.files if info.key not in base.files]
    collected, merged, problems = _read(path, new, owners)
    fold = base.owned(owners).with_files(merged, collected)
    return IndexReading(
        fold=fold,
        deployments=records,
        listing="full",
        newest=max((info.last_modified for info in listing.files), default=None),
        refused=len(new) - len(merged),
        problems=(*listing.problems, *problems),
    )


def _read(
    path: IndexPath, new: list[ObjectInfo], owners: Mapping[str, Incarnation]
) -> tuple[dict[Owner, dict[int, PartitionCoverage]], dict[str, MergedFile], list[str]]:
    builders: dict[Owner, CoverageBuilder] = {}
    merged: dict[str, MergedFile] = {}
    problems: list[str] = []

    def collected(key: str, content: bytes) -> dict[Owner, CoverageBuilder]:
        parts: dict[Owner, CoverageBuilder] = {}
        for writer, rows in read_rows_by_writer(key, content):
            owner: Owner = writer if writer is None else owners.get(writer, writer)
            parts.setdefault(owner, CoverageBuilder()).add(rows)
        return parts

    for info, (key, parts) in zip(new, work_through(path.store, [one.key for one in new], collected), strict=True):
        if isinstance(parts, IndexFileError):
            problems.append(str(parts))
            continue
        merged[key] = MergedFile(info.size, info.etag)
        for owner, part in parts.items():
            builders.setdefault(owner, CoverageBuilder()).extend(part)
    return {owner: one.build() for owner, one in builders.items()}, merged, problems
