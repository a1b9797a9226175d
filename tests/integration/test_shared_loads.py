"""Posts that come at the same time share a load; each keeps its own counts, and fails only for itself."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import payload_blocks
import psycopg
import pytest
from payload_blocks import query

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.errors import ErrorBudgetExceeded, PaylogError, SchemaMismatch
from paylog.posted import Decoders, Post, decoded, post_uri, store_together
from paylog.records import Block, Counts
from paylog.serve import shared_loads
from paylog.serve.shared_loads import SharedLoads
from paylog.subscription import Subscription

FIELDS = (
    {"name": "Age", "type": "integer"},
    {"name": "prediction", "type": "string", "role": "prediction"},
)
Outcome = Counts | PaylogError | None


@pytest.fixture
def subscription(data_mart: DataMart) -> Subscription:
    made = payload_blocks.subscription(fields=FIELDS, share=0.1)
    data_mart.ensure(made)
    return made


def records(numbers: Sequence[int], ages: Sequence[Any] | None = None, year: int = 2024) -> bytes:
    return b"\n".join(
        json.dumps(
            {
                "scoring_id": f"call-{number}",
                "scoring_timestamp": f"{year}-01-19T19:{number // 60:02}:{number % 60:02}Z",
                "request": {"fields": ["Age"], "values": [[age]]},
                "response": {"fields": ["prediction"], "values": [["Risk"]]},
            }
        ).encode()
        for number, age in zip(numbers, ages or numbers, strict=True)
    )


def post(subscription: Subscription, *given: Any, **named: Any) -> Post:
    return decoded(subscription, records(*given, **named), Decoders())


def at_once(data_mart: DataMart, posts: Sequence[Post], loads: SharedLoads | None = None) -> list[Outcome]:
    """What became of posts that all wait for the same turn, one behind the other."""
    loads = loads or SharedLoads()
    name = posts[0].subscription.id

    def store(one: Post) -> Outcome:
        try:
            return loads.store(data_mart, one)
        except PaylogError as error:
            return error

    with ThreadPoolExecutor(len(posts)) as pool:
        with loads._turns[name]:
            running: list[Future[Outcome]] = []
            for one in posts:
                before = len(loads._waiting[name])
                running.append(pool.submit(store, one))
                _until(partial(_arrived, running[-1], loads._waiting[name], before))
        return [one.result(20) for one in running]


def _arrived(running: Future[Outcome], waiting: Sequence[Any], before: int) -> bool:
    return running.done() or len(waiting) > before


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.005)


def receipts(data_mart: DataMart) -> list[tuple[str, int, int, int]]:
    """State, objects, loaded and rejected rows of each, the oldest first."""
    found = reversed(data_mart.receipts("credit"))
    return [(r.state, r.objects, r.counts.loaded, r.counts.rejected) for r in found]


def stored(database: Connection, data_mart: DataMart) -> list[str]:
    rows = query(database, f'SELECT scoring_id FROM "{data_mart.schema}"."Payload_credit" ORDER BY 1')
    return [row[0] for row in rows]


def ids(*numbers: int) -> list[str]:
    return sorted(f"call-{number}-1" for number in numbers)


@contextmanager
def watched(
    monkeypatch: pytest.MonkeyPatch, fail: Callable[[int], BaseException | None]
) -> Iterator[list[int]]:
    """Sizes of the loads; one fails before its commit with what ``fail`` gives for its size."""
    sizes: list[int] = []
    original = DataMart.load

    @contextmanager
    def load(mart: DataMart, *arguments: Any) -> Iterator[Any]:
        with original(mart, *arguments) as batch:
            yield batch
            objects = batch.receipt().objects + batch.already_loaded
            sizes.append(objects)
            if error := fail(objects):
                raise error

    with monkeypatch.context() as patched:
        patched.setattr(DataMart, "load", load)
        yield sizes


def test_posts_that_wait_are_one_load_with_an_entry_and_counts_each(
    data_mart: DataMart, database: Connection, subscription: Subscription
) -> None:
    posts = [post(subscription, range(start, start + 10 * n)) for n, start in ((1, 0), (2, 100), (3, 200))]
    assert at_once(data_mart, posts) == [Counts(read=10 * n, loaded=10 * n) for n in (1, 2, 3)]
    assert receipts(data_mart) == [("committed", 3, 60, 0)]
    assert len(stored(database, data_mart)) == 60
    for n, one in enumerate(posts, 1):
        name = one.item.version
        found = data_mart.post("credit", post_uri("credit", name), name)
        assert found is not None
        assert (found.loaded, found.duplicate, found.rejected, found.refused) == (10 * n, 0, 0, False)


def test_a_post_alone_is_a_load_of_its_own(data_mart: DataMart, subscription: Subscription) -> None:
    loads = SharedLoads()
    for start in (0, 10):
        assert loads.store(data_mart, post(subscription, range(start, start + 10))) == Counts(10, 10)
    assert receipts(data_mart) == [("committed", 1, 10, 0)] * 2


def test_the_same_post_twice_at_once_is_stored_once(
    data_mart: DataMart, database: Connection, subscription: Subscription
) -> None:
    posts = [post(subscription, range(10)), post(subscription, range(10)), post(subscription, range(10, 15))]
    assert at_once(data_mart, posts) == [Counts(10, 10), None, Counts(5, 5)]
    assert at_once(data_mart, posts) == [None, None, None]
    assert stored(database, data_mart) == ids(*range(15))


def test_records_that_two_posts_share_are_duplicates_of_the_second(
    data_mart: DataMart, database: Connection, subscription: Subscription
) -> None:
    posts = [post(subscription, range(10)), post(subscription, range(5, 15))]
    first, second = at_once(data_mart, posts)
    assert isinstance(first, Counts)
    assert isinstance(second, Counts)
    assert sorted([first.loaded, second.loaded]) == [5, 10]
    assert first.loaded + first.duplicate == second.loaded + second.duplicate == 10
    assert stored(database, data_mart) == ids(*range(15))


def test_one_over_the_error_budget_is_refused_alone(
    data_mart: DataMart, database: Connection, subscription: Subscription
) -> None:
    """2 rejects of 10 are over 10 %; together with the 30 others they would be within it."""
    broken = post(subscription, range(10), ["?", "?", *range(8)])
    within = post(subscription, range(100, 120), ["?", *range(19)])
    clean = post(subscription, range(200, 220))
    outcomes = at_once(data_mart, [broken, clean, within])
    assert isinstance(outcomes[0], ErrorBudgetExceeded)
    assert outcomes[1:] == [Counts(20, 20), Counts(read=20, loaded=19, rejected=1)]
    assert sorted(receipts(data_mart)) == [
        ("committed", 1, 19, 1),
        ("committed", 1, 20, 0),
        ("over_budget", 1, 8, 2),
    ]
    assert len(stored(database, data_mart)) == 39


def test_one_that_cannot_be_loaded_fails_alone(
    data_mart: DataMart, database: Connection, subscription: Subscription, caplog: pytest.LogCaptureFixture
) -> None:
    """A scoring time beyond 2199 stops a load; the others of the shared load are stored nevertheless."""
    good, bad = [post(subscription, range(start, start + 10)) for start in (0, 100)], post(subscription, [50])
    (block,) = bad.blocks
    late = block.records.column("scoring_timestamp").cast("int64")
    moved = [value.as_py() + 300 * 365 * 86_400 * 10**6 for value in late]
    index = block.records.schema.get_field_index("scoring_timestamp")
    field = block.records.schema.field(index)
    import pyarrow as pa

    column = pa.array(moved, pa.int64()).cast(field.type)
    block = Block(block.records.set_column(index, field, column))
    bad = Post(subscription, bad.item, [block])
    with caplog.at_level(logging.WARNING):
        outcomes = at_once(data_mart, [good[0], bad, good[1]])
    assert isinstance(outcomes[1], SchemaMismatch)
    assert [outcomes[0], outcomes[2]] == [Counts(10, 10)] * 2
    assert receipts(data_mart) == [("committed", 1, 10, 0)] * 2
    assert stored(database, data_mart) == ids(*range(10), *range(100, 110))
    assert "each is stored alone" in caplog.text


@pytest.mark.parametrize(
    "error", [SchemaMismatch("no"), psycopg.OperationalError("link lost"), ValueError("canary-value")]
)
def test_when_a_shared_load_fails_each_is_stored_alone(
    data_mart: DataMart,
    database: Connection,
    subscription: Subscription,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    posts = [post(subscription, range(start, start + 10)) for start in (0, 10, 20)]
    with watched(monkeypatch, lambda size: error if size > 1 else None) as sizes:
        assert at_once(data_mart, posts) == [Counts(10, 10)] * 3
    assert sizes == [3, 1, 1, 1]
    assert receipts(data_mart) == [("committed", 1, 10, 0)] * 3
    assert stored(database, data_mart) == ids(*range(30))
    assert "canary" not in caplog.text


def test_after_a_commit_that_nobody_heard_of_nothing_is_stored_again(
    data_mart: DataMart, database: Connection, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link breaks when the shared load is committed: each finds its entry in the ledger."""
    posts = [post(subscription, range(start, start + 10)) for start in (0, 10)]
    together = store_together

    def broken(mart: DataMart, group: Sequence[Post]) -> Any:
        done = together(mart, group)
        if len(group) > 1:
            raise ConnectionError("after the commit")
        return done

    monkeypatch.setattr(shared_loads, "store_together", broken)
    assert at_once(data_mart, posts) == [None, None]
    assert stored(database, data_mart) == ids(*range(20))


def test_a_killed_session_keeps_nothing_of_any(
    data_mart: DataMart, database: Connection, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both loads that hold the first post die before their commit; it can be posted again."""
    posts = [post(subscription, range(10)), post(subscription, range(10, 20))]
    killed = threading.Event()

    def kill(size: int) -> BaseException | None:
        if size > 1 or not killed.is_set():
            if size == 1:
                killed.set()
            return psycopg.OperationalError("terminated")
        return None

    with watched(monkeypatch, kill):
        outcomes = at_once(data_mart, posts)
    assert sum(isinstance(one, PaylogError) for one in outcomes) == 1
    assert len(stored(database, data_mart)) == 10
    again = at_once(data_mart, posts)
    assert sorted(map(str, again)) == sorted(map(str, [None, Counts(10, 10)]))
    assert stored(database, data_mart) == ids(*range(20))


def test_posts_of_two_declarations_are_not_mixed(
    data_mart: DataMart, database: Connection, subscription: Subscription
) -> None:
    other = subscription.model_copy()
    posts = [
        post(one, range(start, start + 5))
        for one, start in ((subscription, 0), (other, 5), (subscription, 10))
    ]
    assert at_once(data_mart, posts) == [Counts(5, 5)] * 3
    assert sorted(r[1] for r in receipts(data_mart)) == [1, 2]


def test_no_load_takes_more_than_so_many(
    data_mart: DataMart, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_loads, "MOST_POSTS", 2)
    posts = [post(subscription, [number]) for number in range(5)]
    assert at_once(data_mart, posts) == [Counts(1, 1)] * 5
    assert sorted(r[1] for r in receipts(data_mart)) == [1, 2, 2]
