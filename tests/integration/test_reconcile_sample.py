"""reconcile counts the table itself, but a large run not whole."""

from __future__ import annotations

from payload_blocks import block, capture_object, load, subscription

from paylog.data_mart import DataMart


def test_of_a_large_run_some_neighbouring_objects_are_counted(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    objects = {capture_object(f"{n:02}"): [block(owner, range(10 * n, 10 * n + 10))] for n in range(12)}
    load(data_mart, owner, objects)
    counted = [e.stored for e in data_mart.stored_counts("credit", "run-1", most_rows=45)]
    assert 1 <= counted.count(10) <= 4
    assert counted.count(10) + counted.count(None) == 12
    assert [e.stored for e in data_mart.stored_counts("credit", "run-1", most_rows=120)] == [10] * 12
