"""Several workers on one subscription: the table is that of one worker."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from payload_blocks import (
    NOON,
    SCHEMA,
    WINDOW,
    block,
    capture_object,
    load,
    payload_keys,
    query,
    subscription,
)

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.data_mart import load as load_module
from paylog.errors import RetriableError
from paylog.records import CaptureObject, Counts, Receipt
from paylog.subscription import Subscription

A, B = capture_object("a"), capture_object("b")


def load_until_done(
    database: Connection, owner: Subscription, objects: dict[CaptureObject, Sequence[int]], run: str
) -> Receipt:
    """One worker: retries as Airflow would, with a data mart of its own."""
    with DataMart(database, SCHEMA) as mart:
        for _ in range(20):
            try:
                blocks = {item: [block(owner, numbers)] for item, numbers in objects.items()}
                return load(mart, owner, blocks, run)
            except RetriableError:
                continue
    raise AssertionError("20 tries were not enough")


def in_process(database: Connection, name: str, barrier: threading.Barrier, start: int) -> None:
    owner = subscription(name)
    barrier.wait()
    load_until_done(database, owner, {A: range(300), B: range(start, start + 500)}, f"run-{start}")


def together(*tasks: Callable[[], Receipt]) -> list[Receipt]:
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures: list[Future[Receipt]] = [pool.submit(task) for task in tasks]
        return [future.result() for future in futures]


def test_two_processes_load_the_same_object_once(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [
        context.Process(target=in_process, args=(database, "credit", barrier, start)) for start in (200, 200)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(payload_keys(database)) == 700
    assert sorted(r.objects for r in data_mart.receipts("credit")) == [0, 2]


def test_the_second_worker_waits_and_finds_the_object_loaded(
    data_mart: DataMart, database: Connection
) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    claimed = threading.Event()
    outcome: list[object] = []

    def second() -> None:
        with DataMart(database, SCHEMA) as mart:
            claimed.wait()
            with mart.load(owner, "1", "run-2", WINDOW) as batch, batch.object(A) as target:
                outcome.append(target)

    worker = threading.Thread(target=second)
    worker.start()
    with data_mart.load(owner, "0", "run-1", WINDOW) as batch, batch.object(A) as target:
        assert target is not None
        claimed.set()
        worker.join(0.5)
        assert worker.is_alive()
        assert outcome == []
        target.add(block(owner, range(10)))
    worker.join(10)
    assert outcome == [None]
    assert len(payload_keys(database)) == 10


def test_when_the_first_worker_fails_the_second_loads(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    claimed = threading.Event()

    def second() -> Receipt:
        claimed.wait()
        return load_until_done(database, owner, {A: range(10)}, "run-2")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        with pytest.raises(KeyboardInterrupt), data_mart.load(owner, "0", "run-1", WINDOW) as batch:  # noqa: PT012
            with batch.object(A) as target:
                assert target is not None
                claimed.set()
            raise KeyboardInterrupt
        assert other.result(30).counts == Counts(read=10, loaded=10)


def test_overlapping_objects_in_parallel(
    data_mart: DataMart, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both hold rows 0 to 999, in opposite order and in small flushes: waits and deadlocks happen."""
    monkeypatch.setattr(load_module, "BUFFER_ROWS", 50)
    owner = subscription()
    data_mart.ensure(owner)
    orders = [list(range(1000)), list(range(999, -1, -1))]

    def worker(number: int) -> Receipt:
        with DataMart(database, SCHEMA) as mart:
            for _ in range(20):
                blocks = [block(owner, orders[number][at : at + 25]) for at in range(0, 1000, 25)]
                try:
                    return load(mart, owner, {capture_object(f"w{number}"): blocks}, f"run-{number}")
                except RetriableError:
                    continue
        raise AssertionError("20 tries were not enough")

    done = together(lambda: worker(0), lambda: worker(1))
    assert len(payload_keys(database)) == 1000
    assert sorted((r.counts.loaded, r.counts.duplicate) for r in done) == [(0, 1000), (1000, 0)]


def test_partitions_are_created_by_many_at_once(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    barrier = threading.Barrier(4)

    def worker(number: int) -> Receipt:
        rows = [block(owner, [n * 4 + number], start=NOON, step=timedelta(days=8)) for n in range(12)]
        with DataMart(database, SCHEMA) as mart:
            barrier.wait()
            return load(mart, owner, {capture_object(f"w{number}"): rows}, f"run-{number}")

    done = together(*(lambda number=number: worker(number) for number in range(4)))  # type: ignore[misc]
    assert sum(r.counts.loaded for r in done) == len(payload_keys(database)) == 48
    leaves = query(database, "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                             "WHERE c.relkind = 'r'")  # fmt: skip
    assert leaves == [(13,)]


def test_a_partition_can_be_added_while_loads_are_open(data_mart: DataMart, database: Connection) -> None:
    """Our own load holds the table; adding a partition from beside it must not wait for it."""
    owner = subscription()
    data_mart.ensure(owner)
    with data_mart.load(owner, "0", "run", WINDOW) as batch:
        for month, name in enumerate("abc"):
            with batch.object(capture_object(name)) as target:
                assert target is not None
                target.add(block(owner, [month], start=NOON + timedelta(days=31 * month)))
            batch._write_finished()
    assert len(payload_keys(database)) == 3


def test_setup_and_ensure_by_many_at_once(empty_database: Connection) -> None:
    owner = subscription()
    barrier = threading.Barrier(4)

    def worker(number: int) -> Receipt:
        with DataMart(empty_database, SCHEMA) as mart:
            barrier.wait()
            mart.setup()
            mart.ensure(owner)
            return load(mart, owner, {capture_object(f"w{number}"): [block(owner, [number])]})

    together(*(lambda number=number: worker(number) for number in range(4)))  # type: ignore[misc]
    assert len(payload_keys(empty_database)) == 4


@pytest.mark.parametrize("seed", range(4))
def test_any_interleaving_ends_in_the_table_of_the_newest_versions(
    data_mart: DataMart, database: Connection, seed: int
) -> None:
    """Objects with overlapping rows are overwritten by concurrent workers; stale ones are read again
    until none is left. The table is the union of what the newest versions hold."""
    owner = subscription()
    data_mart.ensure(owner)
    dice = random.Random(seed)
    names = "abcde"
    content = {
        (name, version): sorted(dice.sample(range(40), 15)) for name in names for version in ("v1", "v2")
    }

    def objects(version: str, some: Sequence[str]) -> dict[CaptureObject, Sequence[int]]:
        return {capture_object(name, version): content[name, version] for name in some}

    overwritten = dice.sample(names, 3)
    load_until_done(database, owner, objects("v1", dice.sample(names, 3)), "run-0")
    together(
        lambda: load_until_done(database, owner, objects("v1", names), "run-1"),
        lambda: load_until_done(database, owner, objects("v2", overwritten[:2]), "run-2"),
        lambda: load_until_done(database, owner, objects("v2", overwritten[1:]), "run-3"),
    )
    newest = {name: "v2" if name in overwritten else "v1" for name in names}
    for turn in range(10):
        loaded = data_mart.ledger("credit", [capture_object(name).uri for name in names])
        missing = [name for name in names if loaded.get(capture_object(name).uri) != newest[name]]
        if not missing:
            break
        again = {item: numbers for n in missing for item, numbers in objects(newest[n], [n]).items()}
        load_until_done(database, owner, again, f"again-{turn}")
    else:
        raise AssertionError("objects send each other to be read for ever")
    expected = {number for name in names for number in content[name, newest[name]]}
    assert sorted(int(row[0].split("-")[1]) for row in payload_keys(database)) == sorted(expected)
