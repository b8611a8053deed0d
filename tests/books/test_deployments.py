"""Deployment records: one that cannot be read is a problem, never one that is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lineage_pipeline.books.deployments import read_deployments, write_deployment
from lineage_pipeline.books.directory_store import DirectoryStore
from lineage_pipeline.core.deployment import deployment_key
from lineage_pipeline.errors import StoreError
from tests.core.test_deployment import RECORD


class _Failing(DirectoryStore):
    """A store that lists what it cannot give."""

    def get(self, key: str) -> bytes:
        if key == deployment_key("w2"):
            raise StoreError("refused")
        return super().get(key)


def test_a_record_that_cannot_be_fetched_or_parsed_is_named_and_the_others_count(tmp_path: Path) -> None:
    store = _Failing("index", str(tmp_path))
    for writer in ("w1", "w2", "w3"):
        write_deployment(store, replace(RECORD, writer=writer))
    (tmp_path / deployment_key("w3")).write_bytes(b"{")
    book = read_deployments(store, RECORD.topic)
    assert [one.writer for one in book.deployments] == ["w1"]
    fetched, parsed = book.problems
    assert fetched == f"deployment record {deployment_key('w2')} could not be read: refused"
    assert deployment_key("w3") in parsed
