"""The plan: what of a window is new, and how it is cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylog import plan
from paylog.layout import Window
from paylog.plan import Plan, listed, make_plan
from paylog.records import CaptureObject
from paylog.subscription import Subscription

START = datetime(2024, 3, 4, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
LONG_AGO = datetime(2024, 4, 1, tzinfo=UTC)


def subscription(provider: str = "amazon_sagemaker", **logs: Any) -> Subscription:
    return Subscription.model_validate(
        {
            "id": "one",
            "service_provider": provider,
            "deployment": {"id": "one"},
            "logs": logs,
            "model_schema": {
                "fields": [
                    {"name": "x", "type": "double"},
                    {"name": "y", "type": "double", "role": "prediction"},
                ],
                "problem_type": "regression",
            },
            "data_mart": {"schema": "mart"},
        }
    )


def item(key: str, size: int = 100, version: str = "v1", modified: datetime = LONG_AGO) -> CaptureObject:
    return CaptureObject(f"file:///logs/{key}", key, version, size, modified)


def planned(found: list[CaptureObject], loaded: dict[str, str] | None = None, **options: Any) -> Plan:
    settings = {"batch_bytes": 1000, "max_batches": 1000} | options
    logs = settings.pop("logs", {})
    return make_plan(subscription(**logs), DAY, found, loaded or {}, **settings)


class Store:
    """A storage that is a list of keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.asked: list[str] = []

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        self.asked.append(prefix)
        return (item(key) for key in self.keys if key.startswith(prefix))


def keys(store: Store, wanted: Subscription, window: Window = DAY) -> list[str]:
    return [found.key for found in listed(store, wanted, window)]  # type: ignore[arg-type]


def test_the_lookback_is_listed_too_and_nothing_beyond() -> None:
    store = Store("2024/03/03/21/x", "2024/03/03/22/a", "2024/03/04/23/b", "2024/03/05/00/y")
    assert keys(store, subscription(lookback="2h")) == ["2024/03/03/22/a", "2024/03/04/23/b"]
    assert len(store.asked) == 26


def test_coarse_listing_is_cut_to_the_window() -> None:
    store = Store(
        "2024/03/02/22/x", "2024/03/02/23/a", "2024/03/04/23/b", "2024/03/05/00/y", "2024/03/03/odd"
    )
    assert keys(store, subscription(lookback="25h")) == [
        "2024/03/02/23/a",
        "2024/03/03/odd",
        "2024/03/04/23/b",
    ]
    assert store.asked == ["2024/03/02/", "2024/03/03/", "2024/03/04/"]


def test_a_flat_folder_is_listed_whole_every_time() -> None:
    store = Store("a.json", "b.json")
    assert keys(store, subscription("custom_machine_learning")) == ["a.json", "b.json"]
    assert store.asked == [""]


def test_another_variant_is_left_out_by_its_folder() -> None:
    store = Store("AllTraffic/2024/03/04/00/a", "Shadow/2024/03/04/00/b")
    wanted = subscription(variant="AllTraffic", layout="")
    assert keys(store, wanted) == ["AllTraffic/2024/03/04/00/a"]


def test_the_ledger_is_subtracted_and_changes_are_counted() -> None:
    found = [item("2024/03/04/01/a"), item("2024/03/04/01/b", version="v2"), item("2024/03/04/01/c")]
    known = {found[0].uri: "v1", found[1].uri: "v1", "file:///logs/gone": "v1"}
    result = planned(found, known)
    assert [o.key for b in result.batches for o in b.objects] == ["2024/03/04/01/b", "2024/03/04/01/c"]
    assert (result.already_loaded, result.changed, result.late, result.too_young) == (1, 1, 0, 0)


def test_young_objects_wait_and_loaded_ones_are_not_counted_as_young() -> None:
    young = datetime.now(UTC) - timedelta(seconds=5)
    found = [
        item("2024/03/04/01/a", modified=young),
        item("2024/03/04/01/b"),
        item("2024/03/04/01/c", modified=young),
    ]
    result = planned(found, {found[2].uri: "v1"}, logs={"settle": "1h"})
    assert (result.objects, result.too_young, result.already_loaded) == (1, 1, 1)


def test_late_objects_are_those_before_the_window() -> None:
    result = planned([item("2024/03/03/23/a"), item("2024/03/04/00/b"), item("2024/03/03/20/c")])
    assert (result.objects, result.late) == (3, 2)


def test_batches_are_cut_by_bytes_in_the_order_of_uris() -> None:
    found = [item(f"2024/03/04/0{n}/x", 400) for n in reversed(range(5))]
    result = planned(found)
    assert [[o.key[11:13] for o in b.objects] for b in result.batches] == [["00", "01"], ["02", "03"], ["04"]]
    assert [b.batch_id for b in result.batches] == ["0000", "0001", "0002"]
    assert (result.objects, result.bytes) == (5, 2000)


def test_an_object_larger_than_a_batch_is_a_batch() -> None:
    result = planned(
        [item("2024/03/04/00/a", 10), item("2024/03/04/01/b", 5000), item("2024/03/04/02/c", 10)]
    )
    assert [len(b.objects) for b in result.batches] == [1, 1, 1]


@pytest.mark.parametrize(
    ("count", "workers", "batches"), [(5, 1, 3), (5, 2, 4), (5, 3, 3), (4, 2, 2), (3, 4, 3), (1, 2, 1)]
)
def test_batches_divide_evenly_among_workers(count: int, workers: int, batches: int) -> None:
    found = [item(f"2024/03/04/0{n}/x", 400) for n in range(count)]
    result = planned(found, workers=workers)
    assert len(result.batches) == batches
    assert [o for b in result.batches for o in b.objects] == found
    amounts = [b.bytes for b in planned(found, workers=2).batches]
    assert max(amounts) - min(amounts) <= 400


@pytest.mark.parametrize(("size", "batches"), [(1_000, 1), (1_000_000, 1), (3_000_000, 2), (50_000_000, 2)])
def test_a_single_batch_is_shared_if_it_is_worth_a_second_worker(size: int, batches: int) -> None:
    found = [item(f"2024/03/04/0{n}/x", size) for n in range(3)]
    assert len(planned(found, batch_bytes=10**9, workers=2).batches) == batches


def test_labels_name_window_and_amount() -> None:
    result = planned(
        [item("2024/03/04/00/a", 600), item("2024/03/04/05/b", 400), item("2024/03/04/06/c", 2_500_000)]
    )
    assert [b.label for b in result.batches] == [
        "2024-03-04 00:00 to 05:00 · 2 objects · 1.0 kB",
        "2024-03-04 06:00 · 1 object · 2.5 MB",
    ]


def test_nothing_new_is_no_batch() -> None:
    assert planned([]).batches == []


def test_a_large_window_gets_larger_batches_by_bytes_and_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_OBJECTS", 1)
    # Cut by bytes and by count in turn, this once came to eight batches.
    amounts = [0, 0, 10, 2, 2, *[0] * 8, 11, *[0] * 10, 11, 0]
    found = [item(f"2024/03/04/00/{n:04d}", size) for n, size in enumerate(amounts)]
    assert 1 < len(planned(found, batch_bytes=1, max_batches=7).batches) <= 7


sizes = st.lists(st.one_of(st.just(0), st.integers(0, 20), st.integers(0, 10**12)), max_size=120)


@given(sizes, st.integers(1, 10**9), st.integers(1, 40), st.integers(1, 8), st.integers(1, 4))
def test_never_more_batches_than_allowed_and_no_object_lost(
    sizes: list[int], batch_bytes: int, max_batches: int, max_objects: int, workers: int
) -> None:
    found = [item(f"2024/03/04/00/{n:04d}", size) for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MAX_OBJECTS", max_objects)
        result = planned(found, batch_bytes=batch_bytes, max_batches=max_batches, workers=workers)
    assert len(result.batches) <= max_batches
    assert [o for b in result.batches for o in b.objects] == found
    assert all(b.objects for b in result.batches)
    assert len({b.batch_id for b in result.batches}) == len(result.batches)


def test_both_halves_of_an_hour_stay_in_one_batch_up_to_twice_its_size() -> None:
    keys = [f"{side}/2024/03/04/0{n}/x" for n in range(3) for side in ("in", "out")]
    layout = {"layout": "{in,out}/%Y/%m/%d/%H/"}
    small = planned([item(key, 400) for key in keys], logs=layout)
    assert [[o.key for o in b.objects] for b in small.batches] == [keys[:2], keys[2:4], keys[4:]]
    assert [len(b.objects) for b in planned([item(key, 700) for key in keys], logs=layout).batches] == [2] * 3
    assert [len(b.objects) for b in planned([item(key, 1100) for key in keys], logs=layout).batches] == [
        1
    ] * 6
