"""A key of an S3 prefix is created once, against a real S3 server."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from lineage_pipeline.books.object_store import open_store
from lineage_pipeline.local.s3_server import BUCKET, S3Server

pytestmark = pytest.mark.e2e


def test_a_key_is_created_once_and_never_written_over(s3: S3Server) -> None:
    aws = {name: SecretStr(value) for name, value in s3.environ.items()}
    # one after the other: this server looks first and writes then, so that two at the same moment are both told yes
    first, second = (open_store(f"s3://{BUCKET}/once", aws) for _ in range(2))
    assert first.put_new("_ledger/1.jsonl", b"first")
    assert not second.put_new("_ledger/1.jsonl", b"second")
    assert second.get("_ledger/1.jsonl") == b"first"
