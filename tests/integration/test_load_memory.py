"""What a batch holds in memory while it waits to be written is bounded, however small its objects are."""

from __future__ import annotations

import tracemalloc

import pytest

from paylog.testing.exactly_once.runs import load, plan
from paylog.testing.exactly_once.served_model import LogFolder, credit, credit_log

OBJECTS, MEGABYTE = 300, 1_000_000


@pytest.mark.parametrize("rows", [1, 20])
def test_many_small_objects_take_little_memory(folder: LogFolder, rows: int) -> None:
    owner = credit()
    folder.fill(credit_log(records=OBJECTS * rows, objects_count=OBJECTS))
    run_id, batches = plan(owner, batch_bytes=1_000 * MEGABYTE)
    assert len(batches) == 1
    tracemalloc.start()
    try:
        counts = load(owner, run_id, batches).counts
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts.loaded == OBJECTS * rows
    assert peak < 50 * MEGABYTE
