"""An S3 prefix as an object store, against a real S3 server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydantic import SecretStr

from lineage_pipeline.audit_topic import AuditRequest, audit_topic
from lineage_pipeline.books.index_store import IndexPath, read_index
from lineage_pipeline.books.object_store import ObjectStore, open_store, read_many
from lineage_pipeline.errors import StoreError
from lineage_pipeline.local.s3_server import BUCKET, S3Server
from tests.books.index_files import day, parquet, put, run

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def aws(s3: S3Server) -> dict[str, SecretStr]:
    """The settings of a client of the running server."""
    return {name: SecretStr(value) for name, value in s3.environ.items()}


@pytest.fixture
def uri(topic_name: Callable[[], str]) -> str:
    return f"s3://{BUCKET}/{topic_name()}/index"


@pytest.fixture
def store(aws: dict[str, SecretStr], uri: str) -> ObjectStore:
    return open_store(uri, aws)


def test_what_is_put_is_listed_and_read_back_below_the_prefix_only(
    store: ObjectStore, aws: dict[str, SecretStr], uri: str
) -> None:
    store.put("kafka_topic=t/dt=1/part-0", b"content")
    store.put("_deployments/w.json", b"{}")
    open_store(uri + "-other", aws).put("x", b"1")

    (info,) = store.list()
    assert (info.key, info.size, bool(info.etag)) == ("kafka_topic=t/dt=1/part-0", 7, True)
    assert abs(info.last_modified - datetime.now(timezone.utc).timestamp()) < 3600
    assert store.get(info.key) == b"content"
    assert [one.key for one in store.list("_deployments")] == ["_deployments/w.json"]
    assert len(list(store.list(hidden=True))) == 2


def test_an_empty_prefix_a_missing_bucket_and_a_used_prefix_are_told_apart(
    store: ObjectStore, aws: dict[str, SecretStr]
) -> None:
    assert not store.exists()
    assert list(store.list()) == []
    store.put("_deployments/w.json", b"{}")
    assert store.exists()
    nowhere = open_store("s3://no-such-bucket/x", aws)
    for look in (nowhere.exists, lambda: list(nowhere.list())):
        with pytest.raises(StoreError, match="bucket no-such-bucket does not exist"):
            look()


def test_an_object_that_is_not_there_is_an_error(store: ObjectStore) -> None:
    for key in ("nothing", "part-403"):  # digits in a name are no refusal
        with pytest.raises(StoreError, match=rf"{key}.*not there"):
            store.get(key)


def test_more_keys_than_one_page_are_all_listed_and_read_in_order(store: ObjectStore) -> None:
    keys = [f"part-{number:04}" for number in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, key.encode()), keys))
    assert sorted(info.key for info in store.list()) == keys
    assert [content for _, content in read_many(store, keys)] == [key.encode() for key in keys]


def test_markers_of_directories_are_no_objects_but_an_empty_object_is_one(
    store: ObjectStore, s3: S3Server, uri: str
) -> None:
    client = s3.client()
    prefix = uri.removeprefix(f"s3://{BUCKET}/")
    for folder in ("", "kafka_topic=t/", "kafka_topic=t/dt=1/"):
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{folder}", Body=b"")
    store.put("kafka_topic=t/dt=1/part-0", b"")
    assert [(info.key, info.size) for info in store.list()] == [("kafka_topic=t/dt=1/part-0", 0)]


@pytest.mark.parametrize("name", ["with space", "a+b", "50%25", "ümlaut", "quote'd", "a=b&c"])
def test_a_key_with_odd_characters_is_listed_and_read_as_it_is(store: ObjectStore, name: str) -> None:
    store.put(f"x/{name}", name.encode())
    assert [info.key for info in store.list()] == [f"x/{name}"]
    assert store.get(f"x/{name}") == name.encode()


def test_wrong_credentials_are_an_error_that_shows_no_secret(aws: dict[str, SecretStr], uri: str) -> None:
    wrong = open_store(uri, {**aws, "AWS_SECRET_ACCESS_KEY": SecretStr("another-secret-of-somebody")})
    for attempt in (wrong.exists, lambda: list(wrong.list()), lambda: wrong.get("x"), lambda: wrong.put("x", b"")):
        with pytest.raises(StoreError, match="credentials") as error:
            attempt()
        assert "another-secret" not in str(error.value)
        assert aws["AWS_ACCESS_KEY_ID"].get_secret_value() not in str(error.value)


def test_the_audit_of_a_prefix_is_that_of_a_directory(
    store: ObjectStore, tmp_path: Path, aws: Mapping[str, SecretStr], uri: str
) -> None:
    files = {
        day("t", "part-1"): parquet([run(0, 0, 10), run(1, 0, 5)]),
        day("t", "part-2"): parquet([run(0, 12, 20)]),
        day("t", "part-3"): b"PAR1",
    }
    for key, content in files.items():
        store.put(key, content)
        put(tmp_path, key, content)
    now = datetime.now(timezone.utc)
    reports = [
        audit_topic(AuditRequest(IndexPath(open_store(place, aws), "t")), lambda: now).to_json()
        for place in (uri, str(tmp_path))
    ]
    assert reports[0] == reports[1]
    assert reports[0]["totals"]["unknown"] == 2


def test_a_server_that_is_not_there_leaves_the_index_unreadable(unused_port: int, aws: dict[str, SecretStr]) -> None:
    nowhere = {**aws, "AWS_ENDPOINT_URL": SecretStr(f"http://127.0.0.1:{unused_port}")}
    away = open_store(f"s3://{BUCKET}/x", nowhere)
    found = read_index(IndexPath(away, "t"))
    assert found.status == "unreadable"
    assert aws["AWS_SECRET_ACCESS_KEY"].get_secret_value() not in str(found.problems)
    assert str(unused_port) in found.problems[0]
