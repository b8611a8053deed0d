"""A repository to download from, for the tests of the jar cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.repository import FakeRepository


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    server = FakeRepository()
    server.serve()
    yield server
    server.finish.set()
    server.shutdown()
    server.server_close()
