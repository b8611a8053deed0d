"""Use case: where the settings say that a topic's data and quarantine files are, and how they are to be read."""

from __future__ import annotations

from lineage_pipeline.books.lake_book import LakeBook, LakeBudget, Progress
from lineage_pipeline.books.object_store import ObjectStore, open_store
from lineage_pipeline.books.replay_log import ReplayLog
from lineage_pipeline.books.shared_places import is_shared
from lineage_pipeline.core.lake_layout import Columns, LakeLayout, PathTemplate
from lineage_pipeline.core.lake_manifest import LakeTable
from lineage_pipeline.settings import DEFAULT_LAKE, Settings, TopicSettings


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
    )


def has_quarantine(topic: TopicSettings) -> bool:
    """Whether anybody chose a place for quarantine files: a lake written by others has none."""
    unset = topic.paths.quarantine == f"{DEFAULT_LAKE}/quarantine"
    return not unset or topic.paths.output == f"{DEFAULT_LAKE}/output"


def has_data(topic: TopicSettings) -> bool:
    """Whether anybody chose a place for data files, or nobody chose one for the index either."""
    unset = topic.paths.output == f"{DEFAULT_LAKE}/output"
    return not unset or topic.paths.offset_index == f"{DEFAULT_LAKE}/offset-index"
