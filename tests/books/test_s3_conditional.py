"""A key of an S3 prefix is created once, against a real S3 server."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from lineage_pipeline.books.object_store import open_store
from tests.books.test_s3_store import BUCKET, aws  # noqa: F401 - the fixture that runs the server

pytestmark = pytest.mark.e2e


def test_a_key_is_created_once_and_never_written_over(aws: dict[str, SecretStr]) -> None:  # noqa: F811 - the fixture
    # one after the other: this server looks first and writes then, so that two at the same moment are both told yes
    first, second = (open_store(f"s3://{BUCKET}/once", aws) for _ in range(2))
    assert first.put_new("_ledger/1.jsonl", b"first")
    assert not second.put_new("_ledger/1.jsonl", b"second")
    assert second.get("_ledger/1.jsonl") == b"first"
