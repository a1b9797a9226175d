"""What only a folder can do: links, growing files, rights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from paylog.errors import AccessDenied, ConfigurationError, ObjectChanged, ObjectNotFound
from paylog.storage.folder import CHUNK, FolderStorage


def keys(storage: FolderStorage, prefix: str = "") -> list[str]:
    return [item.key for item in storage.list(prefix)]


def test_keys_come_in_byte_order_across_folders(tmp_path) -> None:
    names = ["a b/1", "a-b", "a.txt", "a/1", "a/2/x", "a/2.x", "a0", "b", "é", "日本/1"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    listed = keys(FolderStorage(tmp_path))
    assert listed == sorted(names, key=str.encode)
    assert keys(FolderStorage(tmp_path), "a/2") == ["a/2.x", "a/2/x"]


def test_a_file_that_grows_while_it_is_read(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(bytes(3 * CHUNK))
    storage = FolderStorage(tmp_path)
    with storage.open(storage.stat("log.jsonl")) as chunks:
        next(chunks)
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(ObjectChanged, match=r"log\.jsonl is version"):
            list(chunks)


def test_a_file_that_grows_just_before_its_end_is_read(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(bytes(CHUNK))
    storage = FolderStorage(tmp_path)
    with storage.open(storage.stat("log.jsonl")) as chunks:
        next(chunks)
        path.write_bytes(bytes(CHUNK - 1))
        with pytest.raises(ObjectChanged):
            next(chunks)


def test_a_file_replaced_while_it_is_read_is_read_as_it_was(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"old" * CHUNK)
    storage = FolderStorage(tmp_path)
    with storage.open(storage.stat("log.jsonl")) as chunks:
        first = next(chunks)
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "new").rename(path)
        assert first + b"".join(chunks) == b"old" * CHUNK


def test_links_inside_the_root_are_followed(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/log").write_bytes(b"{}")
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "alias.log").symlink_to("real/log")
    (tmp_path / "real/loop").symlink_to("..")
    (tmp_path / "broken").symlink_to("nowhere")
    assert keys(FolderStorage(tmp_path)) == ["alias.log", "alias/log", "real/log"]


@pytest.mark.parametrize("target", ["file", "folder"])
def test_links_out_of_the_root_are_refused(tmp_path, target) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(outside / "secret" if target == "file" else outside)
    storage = FolderStorage(root)
    with pytest.raises(AccessDenied, match="leads out of the root"):
        keys(storage)
    with pytest.raises(AccessDenied, match="leads out of the root"):
        storage.stat("link" if target == "file" else "link/secret")


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "a/../b"])
def test_keys_that_climb_are_refused(tmp_path, key) -> None:
    with pytest.raises(AccessDenied):
        FolderStorage(tmp_path).stat(key)


def test_a_prefix_that_climbs_is_refused(tmp_path) -> None:
    with pytest.raises(AccessDenied):
        FolderStorage(tmp_path, "../..")


def test_only_files_are_objects(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    storage = FolderStorage(tmp_path)
    assert keys(storage) == []
    with pytest.raises(ObjectNotFound, match="not a file"):
        storage.stat("folder")


def test_a_name_that_is_not_utf8_is_named(tmp_path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.json")).write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        keys(FolderStorage(tmp_path))


@contextmanager
def somebody() -> Iterator[None]:
    """Root may read everything: for the time of the block it is another user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_without_rights() -> None:
    # Not below pytest's folder, which nobody else may enter.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "log")
        path.write_bytes(b"{}")
        path.chmod(0)
        storage = FolderStorage(Path(folder))
        with somebody(), pytest.raises(AccessDenied, match="may not be read"):  # noqa: SIM117
            with storage.open(storage.stat("log")):
                pytest.fail("opened")


def test_the_version_is_time_and_size(tmp_path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    item = FolderStorage(tmp_path).stat("log")
    assert item.version == "1700000000123456789-5"
    assert item.last_modified.isoformat() == "2023-11-14T22:13:20.123456+00:00"
