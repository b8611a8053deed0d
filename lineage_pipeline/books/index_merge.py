"""The offset index read onto a fold: only files that are new are fetched, and those that are gone are noticed.

Days are directories `dt=YYYY-MM-DD`. The newest two that the fold knows, and all later ones, are open: they are listed
by every audit, one request per 1,000 keys. So are yesterday and today, whatever the clock of a job made the newest.
Older days are closed: only a full listing looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

from lineage_pipeline.books.deployments import DeploymentBook, read_deployments
from lineage_pipeline.books.index_file import read_rows_by_writer
from lineage_pipeline.books.index_files import work_through
from lineage_pipeline.books.index_store import TOPIC_DIRECTORY, IndexListing, IndexPath, list_index
from lineage_pipeline.books.object_store import ObjectInfo
from lineage_pipeline.core.coverage import CoverageBuilder, PartitionCoverage
from lineage_pipeline.core.fold import Fold, MergedFile, Owner
from lineage_pipeline.core.ledger_events import Incarnation, Listing
from lineage_pipeline.errors import IndexFileError

MAX_OPEN_DAYS = 40  # more directories than that are not asked for one by one
_DAY = re.compile(r"(?P<root>(?:.*/)?)dt=(?P<day>\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class IndexReading:
    """The index as it is now. `rebuilt`: files had vanished or changed, so everything was merged anew.

    `newest`: when the store took the newest listed file, epoch seconds; `refused`: how many files were refused, each
    with a sentence in `problems`. `future`: the newest day, if it has begun nowhere.
    """

    fold: Fold
    deployments: DeploymentBook
    listing: Listing
    newest: float | None = None
    refused: int = 0
    problems: tuple[str, ...] = ()
    rebuilt: bool = False
    future: date | None = None


def read_index_onto(
    path: IndexPath, fold: Fold | None, today: date, writers: frozenset[str], *, full: bool
) -> IndexReading:
    """The index read onto `fold`; with `full` every day is listed, and without a fold every file read.

    `writers`: those whose records were known at the audit before; another one makes the listing full, since a job that
    comes back may put files into old days. Raises StoreError when listing fails, as a whole.
    """
    days = None if full or fold is None else open_days(fold.files, path.topic, today)
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
    return replace(
        reading,
        listing="full" if days is None else "open-days",
        rebuilt=rebuilt,
        future=_to_come((one.day for one in _folders(reading.fold.files) if one), today),
    )


def open_days(files: Iterable[str], topic: str, today: date) -> tuple[str, ...] | None:
    """The directories that an audit has to list; None when every one must be: they are not days, or of many places.

    Or one is a day to come: a clock is wrong, and where the next file goes is not known. The directory that the job of
    this project writes to is looked at while it is empty too: the job may take over an index of another layout.
    """
    folders = _folders(files)
    days = [one.day for one in folders if one]
    roots, own = {one.root for one in folders if one}, f"{TOPIC_DIRECTORY}{topic}/"
    if not folders or not all(folders) or len(roots - {own}) > 1 or _to_come(days, today):
        return None
    try:
        first, last = min(max(days), today) - timedelta(days=1), max(*days, today) + timedelta(days=1)
    except OverflowError:
        return None
    count = (last - first).days + 1
    if count > MAX_OPEN_DAYS:
        return None
    listed = [f"{root}dt={first + timedelta(days=number)}" for root in sorted(roots) for number in range(count)]
    return tuple(listed) if own in roots else (*listed, own.rstrip("/"))


def _to_come(days: Iterable[date], today: date) -> date | None:
    """The newest day, if it is later than tomorrow: tomorrow has begun somewhere."""
    newest = max(days, default=today)
    return newest if (newest - today).days > 1 else None


class _Folder(NamedTuple):
    root: str
    day: date


def _folders(files: Iterable[str]) -> list[_Folder | None]:
    """Each directory that holds files; None for one that is no day."""
    found = [_DAY.fullmatch(one) for one in {key.rpartition("/")[0] for key in files}]
    return [_folder(one["root"], one["day"]) if one else None for one in found]


def _folder(root: str, day: str) -> _Folder | None:
    try:
        return _Folder(root, date.fromisoformat(day))
    except ValueError:
        return None


def _list_days(path: IndexPath, days: tuple[str, ...]) -> IndexListing:
    found = {info.key: info for day in days for info in path.store.list(day)}  # one may lie below another
    return IndexListing(tuple(found[key] for key in sorted(found)), ())


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
