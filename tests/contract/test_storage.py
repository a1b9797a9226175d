"""What every storage promises; the servers are those of ``storage_places``."""

from __future__ import annotations

import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from storage_places import MEGABYTE, Place

from paylog.errors import ObjectChanged, ObjectNotFound
from paylog.storage.read_ahead import ReadAhead


def keys(place: Place, prefix: str = "") -> list[str]:
    return [item.key for item in place.storage.list(prefix)]


def test_lists_more_than_a_page_in_key_order(place: Place) -> None:
    expected = [f"2026/01/31/{n // 600:02}/part-{n:05}.jsonl" for n in range(1_203)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: place.put(key, b"{}"), expected))
    assert keys(place) == expected
    assert keys(place, "2026/01/31/01/") == expected[600:1200]
    assert keys(place, "2026/01/31/01/part-0061") == expected[610:620]


def test_prefix_of_nothing_lists_nothing(place: Place) -> None:
    place.put("2026/a.jsonl", b"{}")
    assert keys(place, "2027/") == []
    assert keys(place, "2026/b") == []


def test_describes_objects_alike_in_list_and_stat(place: Place) -> None:
    place.put("2026/01/log.jsonl", b"0123456789")
    (listed,) = place.storage.list("")
    found = place.storage.stat("2026/01/log.jsonl")
    assert (listed.uri, listed.key) == (f"{place.address}2026/01/log.jsonl", "2026/01/log.jsonl")
    assert (listed.uri, listed.version, listed.size) == (found.uri, found.version, 10)
    assert listed.last_modified.tzinfo is UTC
    assert abs(listed.last_modified - datetime.now(UTC)) < timedelta(minutes=5)
    assert abs(listed.last_modified - found.last_modified) < timedelta(seconds=1)


def test_reads_what_was_written(place: Place) -> None:
    content = os.urandom(3 * MEGABYTE + 5)
    place.put("log.bin", content)
    with place.storage.open(place.storage.stat("log.bin")) as chunks:
        read = list(chunks)
    assert b"".join(read) == content
    assert max(map(len, read)) <= MEGABYTE


@pytest.mark.parametrize("start", [1, MEGABYTE, 2 * MEGABYTE + 7, 3 * MEGABYTE + 5])
def test_reads_from_a_byte(place: Place, start: int) -> None:
    content = os.urandom(3 * MEGABYTE + 5)
    place.put("log.bin", content)
    item = place.storage.stat("log.bin")
    with place.storage.open(item, start) as chunks:
        assert b"".join(chunks) == content[start:]
    with ReadAhead(place.storage, [item]) as source, source.open(item, start) as chunks:
        assert b"".join(chunks) == content[start:]


@pytest.mark.parametrize(
    "key", ["a b.json", "a+b.json", "100%.json", "%2F.json", "größe/日本.json", "a=1&b?.json", "x#y'\"~.json"]
)
def test_odd_keys(place: Place, key: str) -> None:
    place.put(key, key.encode())
    assert keys(place) == [key]
    assert place.read(key) == key.encode()


def test_an_empty_object_is_listed_and_read(place: Place) -> None:
    place.put("empty.jsonl", b"")
    (item,) = place.storage.list("")
    assert item.size == 0
    assert place.read("empty.jsonl") == b""


def test_markers_and_unfinished_files_are_not_listed(place: Place) -> None:
    for key in (
        "_SUCCESS", "a/_SUCCESS", "a/.part.jsonl.crc", "a/part.crc", "a/part.tmp", "_temporary/0/part.jsonl",
        ".hidden/part.jsonl", "a/_delta_log/00.json", "a/part.jsonl", "b.tmp/part_1.jsonl",
    ):  # fmt: skip
        place.put(key, b"{}")
    assert keys(place) == ["a/part.jsonl", "b.tmp/part_1.jsonl"]


def test_an_overwritten_object_is_another_version(place: Place) -> None:
    place.put("log.jsonl", b"first")
    before = place.storage.stat("log.jsonl")
    place.put("log.jsonl", b"other")
    assert place.storage.stat("log.jsonl").version != before.version
    with pytest.raises(ObjectChanged, match=r"log\.jsonl"), place.storage.open(before) as chunks:
        list(chunks)


def test_a_vanished_object_has_changed(place: Place) -> None:
    place.put("log.jsonl", b"first")
    before = place.storage.stat("log.jsonl")
    place.delete("log.jsonl")
    with pytest.raises(ObjectChanged, match=r"log\.jsonl"), place.storage.open(before) as chunks:
        list(chunks)


def test_stat_of_nothing(place: Place) -> None:
    with pytest.raises(ObjectNotFound, match=r"nothing\.jsonl"):
        place.storage.stat("nothing.jsonl")


def test_reading_takes_memory_for_a_few_chunks_only(place: Place) -> None:
    place.put("large.jsonl", bytes(48 * MEGABYTE))
    item = place.storage.stat("large.jsonl")
    tracemalloc.start()
    try:
        with place.storage.open(item) as chunks:
            assert sum(map(len, chunks)) == 48 * MEGABYTE
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEGABYTE


def test_reading_may_stop_early(place: Place) -> None:
    place.put("log.bin", b"x" * (8 * MEGABYTE))
    item = place.storage.stat("log.bin")
    threads = set(threading.enumerate())
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(5):
        with place.storage.open(item) as chunks:
            assert len(next(chunks)) == MEGABYTE
        assert next(chunks, None) is None
    mine = [t for t in threading.enumerate() if t not in threads and "process_request" not in t.name]
    assert not mine
    if descriptors and item.uri.startswith("file:"):
        assert len(os.listdir("/proc/self/fd")) == descriptors
    assert len(place.read("log.bin")) == item.size


def test_reading_ahead_gives_the_same(place: Place) -> None:
    contents = {f"log-{n:02}.bin": os.urandom(n * 150_000) for n in range(12)}
    for key, content in contents.items():
        place.put(key, content)
    items = list(place.storage.list(""))
    with ReadAhead(place.storage, items) as source:
        for item in items[::2]:
            with source.open(item) as chunks:
                assert b"".join(chunks) == contents[item.key]
    with ReadAhead(place.storage, items) as source, source.open(items[3]) as chunks:
        assert next(chunks) == contents[items[3].key]
    assert len([t for t in threading.enumerate() if t.name.startswith("read-ahead")]) == 0


def test_reading_ahead_meets_a_changed_object_in_its_turn(place: Place) -> None:
    for n in range(5):
        place.put(f"log-{n}.jsonl", b"%d" % n)
    items = list(place.storage.list(""))
    place.put("log-2.jsonl", b"other")
    with ReadAhead(place.storage, items) as source:
        for n in (0, 1):
            with source.open(items[n]) as chunks:
                assert list(chunks) == [b"%d" % n]
        with pytest.raises(ObjectChanged), source.open(items[2]):
            pytest.fail("opened")
        with source.open(items[3]) as chunks:
            assert list(chunks) == [b"3"]


def test_several_threads_read_one_storage(place: Place) -> None:
    contents = {f"log-{n}.bin": os.urandom(100_000 + n) for n in range(12)}
    for key, content in contents.items():
        place.put(key, content)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(place.read, contents)) == list(contents.values())
