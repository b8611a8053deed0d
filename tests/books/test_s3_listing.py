"""A listing of S3 is whole or an error, whatever the server says."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.session import Session
from botocore.stub import Stubber
from pydantic import SecretStr

from lineage_pipeline.books.s3_store import S3ObjectStore
from lineage_pipeline.errors import StoreError

NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)


def page(*keys: str, **more: Any) -> dict[str, Any]:
    return {"Contents": [{"Key": key, "Size": 1, "ETag": '"x"', "LastModified": NOW} for key in keys], **more}


def listed(monkeypatch: pytest.MonkeyPatch, *pages: dict[str, Any] | str) -> list[str]:
    client = Session().create_client(
        "s3", region_name="us-east-1", aws_access_key_id="an-id", aws_secret_access_key="a-key"
    )
    monkeypatch.setattr(S3ObjectStore, "_lister", client)
    with Stubber(client) as stub:
        for one in pages:
            if isinstance(one, str):
                stub.add_client_error("list_objects_v2", one, http_status_code=500)
            else:
                stub.add_response("list_objects_v2", one)
        aws = {"AWS_ACCESS_KEY_ID": SecretStr("an-id"), "AWS_SECRET_ACCESS_KEY": SecretStr("a-key")}
        return [one.key for one in S3ObjectStore("s3://lake", "lake", "", aws).list()]


def test_all_pages_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = (page("a", IsTruncated=True, NextContinuationToken="1"), page("b", IsTruncated=False))
    assert listed(monkeypatch, *pages) == ["a", "b"]


def test_a_listing_that_fails_halfway_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="cannot be listed"):
        listed(monkeypatch, page("a", IsTruncated=True, NextContinuationToken="1"), "InternalError")


def test_a_listing_that_is_cut_off_without_a_word_how_to_go_on_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="there is more, and not how to get it"):
        listed(monkeypatch, page("a", IsTruncated=True))


def test_an_empty_page_in_between_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"IsTruncated": True, "NextContinuationToken": "2"}
    pages = (page("a", IsTruncated=True, NextContinuationToken="1"), empty, page("b"))
    assert listed(monkeypatch, *pages) == ["a", "b"]
