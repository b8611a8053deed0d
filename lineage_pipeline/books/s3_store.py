"""A prefix of an S3 bucket as an object store: one GET per object, one LIST per 1,000 keys.

Objects are read and written by obstore, several times faster than any other client here. Listing is botocore's: obstore
cuts the final slash off the markers that S3A leaves for directories, so that they look like empty objects, and fails as
a whole on a server that gives a marker no size (S3Proxy does).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache, cached_property, lru_cache
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session
import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store
from pydantic import SecretStr

from lineage_pipeline.books.object_store import ObjectInfo, checked_key, is_hidden
from lineage_pipeline.errors import StoreError

# AWS_* variables that obstore knows under the same name in lower case; others (AWS_PROFILE, ...) are not for it
_PASSED = frozenset(
    f"AWS_{name}"
    for name in (
        "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY",
        "SESSION_TOKEN",
        "REGION",
        "DEFAULT_REGION",
        "WEB_IDENTITY_TOKEN_FILE",
        "ROLE_ARN",
        "ROLE_SESSION_NAME",
        "ENDPOINT_URL_STS",
        "CONTAINER_CREDENTIALS_RELATIVE_URI",
        "CONTAINER_CREDENTIALS_FULL_URI",
        "CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "REQUEST_PAYER",
    )
)
_FOREIGN = (BaseError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError, ValueError)
_DENIED = (PermissionDeniedError, UnauthenticatedError, PermissionError, botocore.exceptions.NoCredentialsError)
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "NoCredentials")
_REFUSED_STATUS = ("403 Forbidden", "(403)")  # not the digits alone: ids of requests have them too
_MESSAGE_LENGTH = 300  # of a foreign error's text: enough to act on
_IN_FLIGHT = 32  # measured: 1,000 objects at 20 ms each in 0.9 s
_MAKING = threading.Lock()  # many threads ask for the first client at once


@cache
def _models() -> Any:
    """Botocore's descriptions of S3, which it would parse anew for each session: 50 ms and more."""
    return botocore.loaders.create_loader()


@lru_cache(maxsize=8)
def _made_lister(endpoint: str | None, settings: tuple[str | None, ...], _all: tuple[tuple[str, str], ...]) -> Any:
    """The client that lists, safe to share by threads.

    One for all stores of the same settings, `_all` being those that botocore finds by itself too: to make one takes
    longer than a listing, and a tick of Dagster opens a store for each topic.
    """
    region, access_key_id, secret_access_key, session_token = settings
    config = botocore.config.Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"max_attempts": 4, "mode": "standard"},
        s3={"addressing_style": "path"} if endpoint else {},
        max_pool_connections=_IN_FLIGHT,
    )
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    return session.create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        aws_session_token=session_token,
        config=config,
    )


class S3ObjectStore:
    """The objects below s3://bucket/prefix. Retries for at most 30 s, then StoreError."""

    in_flight = _IN_FLIGHT

    def __init__(self, uri: str, bucket: str, prefix: str, aws: Mapping[str, SecretStr]) -> None:
        self.uri = uri
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._aws = tuple(sorted((name, value.get_secret_value()) for name, value in aws.items()))
        self._secrets = [value.get_secret_value() for name, value in aws.items() if _is_secret(name)]
        endpoint = aws.get("AWS_ENDPOINT_URL_S3") or aws.get("AWS_ENDPOINT_URL")
        self._endpoint = endpoint.get_secret_value() if endpoint else None
        config: Any = {name.lower(): value.get_secret_value() for name, value in aws.items() if name in _PASSED}
        if self._endpoint:
            config["aws_endpoint_url"] = self._endpoint
            config["aws_virtual_hosted_style_request"] = False
            config.setdefault("aws_region", config.get("aws_default_region", "us-east-1"))
        self._settings = config

    @cached_property
    def _store(self) -> S3Store:
        """Made when an object is first read or written: it takes 4 ms, and ticks of Dagster only list."""
        try:
            return S3Store(
                self._bucket,
                prefix=self._prefix.rstrip("/") or None,
                config=self._settings,
                client_options={
                    "allow_http": bool(self._endpoint and self._endpoint.startswith("http://")),
                    "connect_timeout": timedelta(seconds=5),
                    "timeout": timedelta(seconds=60),
                },
                retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
            )
        except BaseError as error:
            raise self._failed("opened", "", error) from None

    def exists(self) -> bool:
        """Whether any object, hidden ones included, is below the prefix. Raises StoreError for a missing bucket."""
        return any(True for _ in self._pages("", page_size=1))

    def list(self, prefix: str = "", *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """All objects below the prefix; see ObjectStore.list. Markers of directories, which end in /, are none."""
        below = prefix.strip("/")
        cut = len(below) + 1 if below else 0
        for page in self._pages(below, page_size=1000):
            for entry in page:
                key = str(entry["Key"])[len(self._prefix) :]
                if key and not key.endswith("/") and (hidden or not is_hidden(key[cut:])):
                    yield ObjectInfo(key, int(entry["Size"]), entry.get("ETag"), entry["LastModified"].timestamp())

    def get(self, key: str) -> bytes:
        """The object's content; see ObjectStore.get."""
        try:
            return bytes(obstore.get(self._store, checked_key(key)).bytes())
        except _FOREIGN as error:
            raise self._failed("read", key, error) from None

    def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:
        """One ranged GET; see ObjectStore.get_range."""
        options: Any = {"range": (start, end)}
        if listed.etag is not None:
            options["if_match"] = listed.etag
        try:
            return bytes(obstore.get(self._store, checked_key(listed.key), options=options).bytes())
        except PreconditionError:
            raise StoreError(f"{self.uri.rstrip('/')}/{listed.key} changed since it was listed: try again") from None
        except _FOREIGN as error:
            raise self._failed("read", listed.key, error) from None

    def put(self, key: str, data: bytes) -> None:
        """One PUT, which S3 makes visible whole or not at all; see ObjectStore.put."""
        try:
            # a single part: a multipart upload that dies leaves parts behind that nobody sees
            kind = {"Content-Type": "text/html; charset=utf-8"} if key.endswith(".html") else None
            obstore.put(self._store, checked_key(key), data, use_multipart=False, attributes=kind)
        except _FOREIGN as error:
            raise self._failed("written", key, error) from None

    def put_new(self, key: str, data: bytes) -> bool:
        """One PUT with If-None-Match; see ObjectStore.put_new."""
        try:
            obstore.put(self._store, checked_key(key), data, use_multipart=False, mode="create")
        except (AlreadyExistsError, FileExistsError):
            return False
        except (BaseError, OSError, ValueError) as error:
            raise self._failed("written", key, error) from None
        return True

    def _pages(self, below: str, page_size: int) -> Iterator[Any]:
        """The non-empty pages of entries below `below`, whole segments only."""
        prefix = f"{self._prefix}{below}/" if below else self._prefix
        try:
            pages = self._lister.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": page_size}):
                if page.get("Contents"):
                    yield page["Contents"]
                if page.get("IsTruncated") and not page.get("NextContinuationToken"):
                    raise ValueError("the server says that there is more, and not how to get it")
        except (*_FOREIGN, KeyError) as error:
            raise self._failed("listed", below, error) from None

    @property
    def _lister(self) -> Any:
        names = ("aws_region", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        with _MAKING:
            return _made_lister(self._endpoint, tuple(self._settings.get(name) for name in names), self._aws)

    def _failed(self, verb: str, key: str, error: Exception) -> StoreError:
        where = f"{self.uri.rstrip('/')}/{key}" if key else self.uri
        at = f" at {self._endpoint}" if self._endpoint else ""
        text = " ".join(str(error).split("Debug source:")[0].split())
        for secret in self._secrets:
            text = text.replace(secret, "***") if secret else text
        remedy = "check path, endpoint and network"
        if isinstance(error, NotFoundError | FileNotFoundError):
            remedy = "it is not there: check bucket and path"
        elif isinstance(error, _DENIED) or any(word in text for word in (*_REFUSED, *_REFUSED_STATUS)):
            remedy = "check the AWS credentials and their rights"
        elif "NoSuchBucket" in text:
            remedy = f"the bucket {self._bucket} does not exist: check its name, or create it"
        return StoreError(f"{where}{at} cannot be {verb}: {remedy} ({text[:_MESSAGE_LENGTH]})")


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("SECRET", "TOKEN", "ACCESS_KEY"))
