"""Use case: where the settings say that a topic's data and quarantine files are, and how they are to be read."""

from __future__ import annotations

from collections.abc import Iterator

from lineage_pipeline.books.index_store import TOPIC_DIRECTORY
from lineage_pipeline.books.lake_book import LakeBook, LakeBudget, Progress
from lineage_pipeline.books.object_store import ObjectStore, below, open_store
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.books.shared_places import is_shared
from lineage_pipeline.core.lake_layout import Columns, LakeLayout, PathTemplate, Rival
from lineage_pipeline.core.lake_manifest import LakeTable
from lineage_pipeline.settings import DEFAULT_LAKE, Settings
from lineage_pipeline.topic_settings import TopicSettings

_OURS = f"{TOPIC_DIRECTORY}{{topic}}/**"  # where files of a topic without a template are


def lake_book(
    settings: Settings, topic: TopicSettings, *, state: ObjectStore | None, progress: Progress | None = None
) -> LakeBook:
    """The topic's lake book; its manifest is kept in `state`. Raises SettingsError for a senseless template."""
    tables: dict[LakeTable, ObjectStore] = {"data": open_store(topic.paths.output, settings.aws)}
    if has_quarantine(topic):
        tables["quarantine"] = open_store(topic.paths.quarantine, settings.aws)
    files = topic.lake_files
    return LakeBook(
        tables=tables,
        layout=lake_layout(settings, topic),
        state=state,
        budget=LakeBudget(files.max_files, files.max_bytes, files.max_seconds),
        data_days=topic.retention.data_days,
        leftover=max(float(topic.max_delay), 2 * settings.settle_seconds(topic)),
        progress=progress,
        replays=ReplayLog(open_store(topic.paths.offset_index, settings.aws), topic.name),
    )


def lake_layout(settings: Settings, topic: TopicSettings) -> LakeLayout:
    """How the topic's files are named and read. Raises SettingsError."""
    files = topic.lake_files
    owned = tuple((one.name, uri) for one in settings.topics for uri in (one.paths.output, one.paths.quarantine))
    shared = any(is_shared(topic.name, uri, owned) for uri in (topic.paths.output, topic.paths.quarantine))
    return LakeLayout(
        topic=topic.name,
        sole=not shared,
        columns=Columns(files.partition_column, files.offset_column, files.timestamp_column, files.topic_column),
        data=PathTemplate(files.data) if files.data is not None else None,
        quarantine=PathTemplate(files.quarantine) if files.quarantine is not None else None,
        rivals=tuple(dict.fromkeys(_rivals(settings, topic))),
    )


def _rivals(settings: Settings, topic: TopicSettings) -> Iterator[Rival]:
    """Other topics, at the same paths or below, whose files the topic's templates may take, or the other way round."""
    own = {text for text in (topic.lake_files.data, topic.lake_files.quarantine) if text is not None}
    for one in settings.topics if own else ():
        if one.name == topic.name:
            continue
        for path, text in ((one.paths.output, one.lake_files.data), (one.paths.quarantine, one.lake_files.quarantine)):
            for mine in (topic.paths.output, topic.paths.quarantine):
                inner = below(mine, path)
                template = "/".join([*(inner or ()), text or _OURS])
                if inner is not None and not _apart(topic.name, one.name, {*own, template}):
                    yield Rival(one.name, PathTemplate(template))


def _apart(one: str, other: str, templates: set[str]) -> bool:
    """Whether it is plain that no key matches these templates for both topics.

    It is when there is one template, the topic's name stands at a known place of it, and no name begins the other.
    """
    if len(templates) > 1 or one.startswith(other) or other.startswith(one):
        return False
    before, found, behind = next(iter(templates)).partition("{topic}")
    in_last = before.startswith("**/") and "/" not in behind
    return bool(found) and "*" not in (before.removeprefix("**/") if in_last else before)


def has_quarantine(topic: TopicSettings) -> bool:
    """Whether anybody chose a place for quarantine files: a lake written by others has none."""
    unset = topic.paths.quarantine == f"{DEFAULT_LAKE}/quarantine"
    return not unset or topic.paths.output == f"{DEFAULT_LAKE}/output"


def has_data(topic: TopicSettings) -> bool:
    """Whether anybody chose a place for data files, or nobody chose one for the index either."""
    unset = topic.paths.output == f"{DEFAULT_LAKE}/output"
    return not unset or topic.paths.offset_index == f"{DEFAULT_LAKE}/offset-index"
