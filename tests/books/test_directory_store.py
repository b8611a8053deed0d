"""A plain directory as an object store: whole listings or an error, writes that are never seen half."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage_pipeline.books.object_store import ObjectStore, open_store, read_many
from lineage_pipeline.errors import SettingsError, StoreError


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path), {})


def keys(store: ObjectStore, prefix: str = "", hidden: bool = False) -> list[str]:
    return sorted(info.key for info in store.list(prefix, hidden=hidden))


def test_what_is_put_is_listed_and_read_back(store: ObjectStore) -> None:
    store.put("a/b=1/f", b"content")
    (info,) = store.list()
    assert (info.key, info.size) == ("a/b=1/f", 7)
    assert store.get("a/b=1/f") == b"content"


def test_a_write_replaces_the_object_whole_and_leaves_nothing_beside_it(store: ObjectStore) -> None:
    store.put("f", b"a long old content")
    before = next(iter(store.list())).etag
    store.put("f", b"new")
    assert store.get("f") == b"new"
    assert keys(store, hidden=True) == ["f"]
    assert next(iter(store.list())).etag != before


def test_a_write_that_fails_leaves_the_old_object_and_no_temporary(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(StoreError, match="f cannot be written"):
        store.put("f", b"x")
    assert keys(store, hidden=True) == []


def test_hidden_names_are_left_out_unless_asked_for(store: ObjectStore) -> None:
    for key in ("a/f", "_d/f", "a/.tmp", "a/_x/f"):
        store.put(key, b"1")
    assert keys(store) == ["a/f"]
    assert keys(store, hidden=True) == ["_d/f", "a/.tmp", "a/_x/f", "a/f"]
    assert keys(store, "_d") == ["_d/f"]
    assert keys(store, "nothing") == []


def test_a_missing_directory_is_no_empty_one(tmp_path: Path) -> None:
    missing = open_store(str(tmp_path / "nowhere"), {})
    assert not missing.exists()
    with pytest.raises(StoreError, match="does not exist"):
        list(missing.list())
    with pytest.raises(StoreError, match="nowhere"):
        missing.get("f")
    assert open_store(str(tmp_path), {}).exists()
    assert list(open_store(str(tmp_path), {}).list()) == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file"):
        open_store(str(tmp_path / "f"), {}).exists()
    assert not open_store(str(tmp_path / "f" / "below"), {}).exists()


def test_links_to_directories_are_followed(store: ObjectStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / ".elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f").write_bytes(b"1")
    (tmp_path / "a").symlink_to(elsewhere, target_is_directory=True)
    assert keys(store) == ["a/f"]


def test_a_name_that_is_not_utf_8_fails_the_listing_and_other_names_of_any_kind_do_not(
    store: ObjectStore, tmp_path: Path
) -> None:
    names = ["ünï", "a b", "line\nbreak", "\u2028"]
    for name in names:
        (tmp_path / name).write_bytes(b"1")
    assert keys(store) == sorted(names)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/dt=\xff")).mkdir()
    with pytest.raises(StoreError, match=r"the name 'dt=\\udcff' in \./ is not UTF-8: rename it"):
        keys(store)


def test_a_link_to_nothing_fails_the_listing(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    with pytest.raises(StoreError, match="link to nothing"):
        list(store.list())


def test_a_link_that_leads_in_circles_fails_the_listing(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(StoreError, match="above itself"):
        list(store.list())


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything, so a test about rights gives them up for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def closed_folder(open_folder: Path) -> Path:
    (open_folder / "f").write_bytes(b"1")
    (open_folder / "closed").mkdir(mode=0)
    return open_folder


def test_a_directory_that_may_not_be_read_fails_the_listing(closed_folder: Path, nobody: None) -> None:
    with pytest.raises(StoreError, match="check rights"):
        list(open_store(str(closed_folder), {}).list())


@pytest.mark.parametrize("key", ["", "../x", "a/../../x", "/etc/passwd", "a//b", "."])
def test_no_key_leads_out_of_the_root(store: ObjectStore, key: str) -> None:
    with pytest.raises(StoreError, match="no key"):
        store.get(key)
    with pytest.raises(StoreError, match="no key"):
        store.put(key, b"")


def test_a_file_uri_and_a_plain_path_are_the_same_place(store: ObjectStore, tmp_path: Path) -> None:
    store.put("f", b"1")
    spaced = tmp_path / "with space"
    spaced.mkdir()
    (spaced / "g").write_bytes(b"2")
    assert keys(open_store(tmp_path.as_uri(), {})) == ["f", "with space/g"]
    assert keys(open_store(spaced.as_uri(), {})) == ["g"]


@pytest.mark.parametrize("uri", ["", "hdfs://x/y", "s3:///nobucket", "file://host/dir", "http://x"])
def test_a_place_that_cannot_be_opened_is_a_settings_error(uri: str) -> None:
    with pytest.raises(SettingsError):
        open_store(uri, {})


def test_reading_many_keeps_the_order_and_carries_each_error(store: ObjectStore) -> None:
    store.put("a", b"1")
    store.put("c", b"3")
    found = list(read_many(store, ["a", "b", "c"]))
    assert [key for key, _ in found] == ["a", "b", "c"]
    assert (found[0][1], found[2][1]) == (b"1", b"3")
    assert isinstance(found[1][1], StoreError)
