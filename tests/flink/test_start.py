"""A start as a whole over real directories: what it looks at, what it declares, and that a refusal leaves no trace."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lineage_pipeline.books.checkpoints import has_checkpoint, note_stopped
from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.core.deployment import Deployment, deployment_key, parse_deployment
from lineage_pipeline.core.job_start import Start, StartRequest
from lineage_pipeline.errors import BrokerError, IndexFileError, JobError, LineageError, StartRefusedError
from lineage_pipeline.flink.start import new_writer_id, prepare_start
from lineage_pipeline.settings import load_settings
from tests.books.index_files import day, parquet, put, run
from tests.books.model_broker import ModelBroker, ModelPartition

TOPIC = "orders"
PLAN = "0123456789abcdef"


class Lake:
    """The directories of one topic, with a broker that has two partitions of 100 records."""

    def __init__(self, root: Path) -> None:
        self.index = root / "offset-index"
        self.checkpoints = root / "checkpoints"
        self.broker = ModelBroker({TOPIC: {0: ModelPartition(100), 1: ModelPartition(100)}})
        config = root / "lineage.yaml"
        config.write_text(f"lake: {root}\ncheckpoint_interval: 2\ntopics: [{{name: {TOPIC}, group: g}}]")
        self.settings = load_settings({}, config)

    def start(self, plan: str = PLAN, **request: Any) -> tuple[Start, Deployment]:
        return prepare_start(self.settings, self.settings.topic(), self.broker, StartRequest(**request), plan)

    def refused(self, plan: str = PLAN, error: type[LineageError] = StartRefusedError, **request: Any) -> str:
        """The words of a refusal, which must change neither the group nor the records."""
        before = (json.dumps(str(self.broker.committed)), sorted(self.index.rglob("*")))
        with pytest.raises(error) as caught:
            self.start(plan, **request)
        assert (json.dumps(str(self.broker.committed)), sorted(self.index.rglob("*"))) == before
        return str(caught.value)

    def indexed(self, writer: str, *runs: tuple[int, int, int]) -> None:
        """A file of the index, by partition, start and end."""
        rows = [run(partition, start, end, writer=writer) for partition, start, end in runs]
        put(self.index, day(TOPIC, f"part-{len(list(self.index.rglob('part-*')))}"), parquet(rows))

    def checkpointed(self, writer: str, number: int, folder: str = "checkpoints/job") -> Path:
        """A completed checkpoint, as far as a start looks into it."""
        header = struct.pack(">iiq", 0x4960672D, 6, number) + b"state"
        return put(self.checkpoints, f"{TOPIC}/{writer}/{folder}/chk-{number}/_metadata", header).parent

    def stopped(self, writer: str, number: int) -> None:
        """A savepoint, and the note that the job FINISHED with it."""
        savepoint = self.checkpointed(writer, number, "savepoints")
        note_stopped(self.checkpoint_store, TOPIC, writer, savepoint.as_uri())

    @property
    def checkpoint_store(self) -> DirectoryStore:
        return DirectoryStore(str(self.checkpoints), str(self.checkpoints))

    @property
    def committed(self) -> dict[int, int]:
        return self.broker.committed.get(("g", TOPIC), {})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


# --- what a start declares


def test_the_first_start_writes_the_groups_offsets_and_then_its_record(lake: Lake) -> None:
    lake.broker.partitions[TOPIC][1].start = 7
    start, deployment = lake.start()
    assert lake.committed == {0: 0, 1: 7}
    key = deployment_key(deployment.writer)
    assert parse_deployment(key, (lake.index / key).read_text()) == replace(
        deployment,
        started_at=deployment.started_at.replace(microsecond=deployment.started_at.microsecond // 1000 * 1000),
    )
    assert start == Start("first", offsets={0: 0, 1: 7})
    assert (deployment.reason, deployment.previous, deployment.plan_hash) == ("first", None, PLAN)
    assert deployment.incarnation == ("cluster-1", "topic-1")
    assert deployment.start_offsets == {0: 0, 1: 7}
    assert (deployment.isolation, deployment.checkpoint_interval) == ("read_committed", 2)


def test_a_resumed_start_leaves_the_group_alone_and_declares_where_reading_began(lake: Lake) -> None:
    _, first = lake.start()
    path = lake.checkpointed(first.writer, 3)
    lake.broker.committed[("g", TOPIC)] = {0: 50, 1: 50}
    lake.broker.partitions[TOPIC][2] = ModelPartition(10)
    start, second = lake.start()
    assert start == Start("restored", restore_from=path.relative_to(lake.checkpoints).as_posix())
    assert lake.committed == {0: 50, 1: 50}
    assert second.previous == first.writer
    assert second.start_offsets == {0: 0, 1: 0, 2: 0}


def test_a_start_with_seeded_baseline_takes_what_the_group_has(lake: Lake) -> None:
    lake.broker.committed[("g", TOPIC)] = {0: 50, 1: 60}
    assert lake.start(baseline="seeded")[0].offsets == {0: 50, 1: 60}


def test_what_was_skipped_is_in_the_record(lake: Lake) -> None:
    lake.start()
    lake.broker.partitions[TOPIC][0].start = 30
    assert "partition 0: [0, 30)" in lake.refused()
    _, deployment = lake.start(skip_expired=True)
    assert json.loads(deployment.to_json())["skipped"] == {"0": [[0, 30]]}
    assert lake.committed == {0: 30, 1: 0}


def test_writer_ids_sort_by_time_and_are_never_given_twice() -> None:
    ids = [new_writer_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [one.split("-")[0] for one in ids] == sorted(one.split("-")[0] for one in ids)


# --- where a start goes on


def test_the_newest_checkpoint_wins_by_its_number_not_by_its_name(lake: Lake) -> None:
    _, first = lake.start()
    lake.checkpointed(first.writer, 9)
    newest = lake.checkpointed(first.writer, 10)
    start, _ = lake.start()
    assert start.restore_from is not None
    assert newest.as_posix().endswith(start.restore_from)


def test_a_checkpoint_without_metadata_was_never_completed(lake: Lake) -> None:
    _, first = lake.start()
    lake.checkpointed(first.writer, 3)
    put(lake.checkpoints, f"{TOPIC}/{first.writer}/checkpoints/job/chk-4/half", b"state")
    start, _ = lake.start()
    assert start.restore_from is not None
    assert start.restore_from.endswith("chk-3")
    assert has_checkpoint(lake.checkpoint_store, TOPIC, first.writer)
    assert not has_checkpoint(lake.checkpoint_store, TOPIC, "another")


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 16, struct.pack(">iiq", 0x4960672D, 6, 0)])
def test_metadata_that_is_not_flinks_stops_the_start(lake: Lake, content: bytes) -> None:
    _, first = lake.start()
    put(lake.checkpoints, f"{TOPIC}/{first.writer}/checkpoints/job/chk-3/_metadata", content)
    assert "is not Flink checkpoint metadata" in lake.refused(error=JobError)


def test_a_run_that_died_before_its_first_checkpoint_hands_over_to_the_one_it_restored(lake: Lake) -> None:
    _, first = lake.start()
    path = lake.checkpointed(first.writer, 3)
    lake.indexed(first.writer, (0, 0, 10))
    for _ in range(2):
        start, _ = lake.start()
        assert start.restore_from is not None
        assert path.as_posix().endswith(start.restore_from)


def test_a_run_that_began_without_state_is_repeated_and_nothing_older_is_restored(lake: Lake) -> None:
    _, first = lake.start()
    lake.stopped(first.writer, 3)
    lake.indexed(first.writer, (0, 0, 10))
    _, second = lake.start(plan="another")
    assert second.reason == "new-plan"
    start, _ = lake.start(plan="another")
    assert start == Start("repeated", offsets={0: 10, 1: 0})


# --- the clean stop


def test_a_new_plan_behind_a_clean_stop_starts_at_the_indexs_end(lake: Lake) -> None:
    _, first = lake.start()
    lake.indexed(first.writer, (0, 0, 40), (1, 0, 20))
    lake.indexed(first.writer, (0, 40, 60))
    lake.stopped(first.writer, 3)
    start, second = lake.start(plan="another")
    assert start.offsets == {0: 60, 1: 20} == lake.committed == second.start_offsets


def test_a_note_of_a_stop_counts_only_for_the_newest_state(lake: Lake) -> None:
    _, first = lake.start()
    lake.stopped(first.writer, 3)
    lake.checkpointed(first.writer, 4)  # the job went on after that savepoint
    assert "was not stopped with a savepoint" in lake.refused(plan="another")


@pytest.mark.parametrize("note", ["{", "[]", '"text"', "{}", '{"savepoint": 1}', '{"savepoint": ""}', "\xff"])
def test_an_unreadable_note_is_no_proof_of_a_clean_stop(lake: Lake, note: str) -> None:
    _, first = lake.start()
    lake.stopped(first.writer, 3)
    put(lake.checkpoints, f"{TOPIC}/{first.writer}/_stopped.json", note.encode("latin-1"))
    assert "was not stopped with a savepoint" in lake.refused(plan="another")


# --- evidence that is lost or damaged


def test_index_rows_of_a_restored_run_whose_checkpoints_are_gone_are_not_written_again(lake: Lake) -> None:
    _, first = lake.start()
    lake.checkpointed(first.writer, 3)
    lake.indexed(first.writer, (0, 0, 10))
    _, second = lake.start()
    lake.indexed(second.writer, (0, 10, 20))
    # The older state is there, and restoring it would read 10 to 20 once more.
    assert "no checkpoint of it is left" in lake.refused()
    assert lake.start(from_index_end=True)[0].offsets == {0: 20, 1: 0}


def test_a_lost_checkpoint_directory_does_not_start_the_topic_over(lake: Lake) -> None:
    _, first = lake.start()
    lake.checkpointed(first.writer, 3)
    lake.indexed(first.writer, (0, 0, 10))
    lake.start()  # restored, and killed before a checkpoint of its own
    for path in sorted(lake.checkpoints.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert "no checkpoint of it is left" in lake.refused()


def test_lost_deployment_records_do_not_start_the_topic_over(lake: Lake) -> None:
    lake.indexed("somebody", (0, 0, 10))
    assert "no deployment record" in lake.refused()


def test_a_record_that_cannot_be_read_may_be_the_newest_so_nothing_starts(lake: Lake) -> None:
    _, first = lake.start()
    (lake.index / deployment_key("zzz")).write_text("{")
    said = lake.refused()
    assert "zzz.json refused" in said
    assert "move it away" in said
    assert first.writer not in said


def test_two_runs_that_continue_the_same_one_stop_every_later_start(lake: Lake) -> None:
    _, first = lake.start()
    _, second = lake.start()
    other = replace(second, writer="other", previous=first.writer)
    (lake.index / deployment_key("other")).write_text(other.to_json())
    assert "were started beside each other" in lake.refused()


def test_an_index_file_that_cannot_be_read_is_never_skipped_when_its_end_matters(lake: Lake) -> None:
    _, first = lake.start()
    lake.stopped(first.writer, 3)
    put(lake.index, day(TOPIC, "part-broken"), b"PAR1 and nothing else")
    assert "part-broken cannot be read" in lake.refused(plan="another", error=IndexFileError)
    assert lake.start()[0].reason == "restored"  # the same plan needs no index


def test_tables_of_other_topics_in_the_same_index_do_not_matter(lake: Lake) -> None:
    put(lake.index, day("clicks", "part-0"), parquet([run(0, 0, 90, writer="x")]))
    assert lake.start()[0].reason == "first"


# --- the broker


def test_a_partition_that_could_not_be_asked_stops_the_start(lake: Lake) -> None:
    lake.broker.partitions[TOPIC][1].fault = "no leader"
    said = lake.refused(error=BrokerError)
    assert "the offsets of partition 1 of orders are not known (no leader)" in said


def test_a_recreated_topic_and_another_cluster_are_refused(lake: Lake) -> None:
    _, first = lake.start()
    lake.checkpointed(first.writer, 3)
    lake.broker.topic_ids[TOPIC] = "topic-2"
    assert "topic id was topic-1, is topic-2" in lake.refused()
    lake.broker.topic_ids.clear()
    lake.broker.cluster_id = "cluster-2"
    assert "cluster was cluster-1, is cluster-2" in lake.refused()
