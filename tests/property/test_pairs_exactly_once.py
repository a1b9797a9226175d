"""However halves are spread over objects, runs and versions: the same rows, rejects and waiting halves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from histories import few
from hypothesis import given
from hypothesis import strategies as st

from paylog import pipeline
from paylog.connections import Connection
from paylog.data_mart import load, pair_load
from paylog.reprocess import Reprocess
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.exactly_once.collector import Calls, PairedBooks, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import load as load_batches
from paylog.testing.exactly_once.runs import plan, run, run_until_done
from paylog.testing.exactly_once.served_model import DAY, LOGS, LogFolder, hours
from paylog.testing.exactly_once.site import shared_data_mart

_CALLS = 24
_numbers = count(1)
_connections: dict[str, Connection] = {}
CALLS = Calls(_CALLS)
# Which calls an object may hold: every half is in one object only.
OBJECTS = {
    inputs(0, "a"): (INPUTS, range(0, _CALLS, 2)),
    inputs(12, "b"): (INPUTS, range(1, _CALLS, 2)),
    outputs(0, "c"): (OUTPUTS, range(_CALLS // 2)),
    outputs(12, "d"): (OUTPUTS, range(_CALLS // 2, _CALLS)),
}


@pytest.fixture(scope="module", autouse=True)
def _database() -> Iterator[None]:
    with shared_data_mart(_connections):
        yield


@dataclass
class World:
    """One subscription, its objects, and what was planned and not done yet."""

    folder: LogFolder
    subscription: Subscription = field(init=False)
    objects: dict[str, list[int]] = field(default_factory=dict)
    planned: list[tuple[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        _connections[LOGS] = self.folder.connection
        self.subscription = collector(f"p{next(_numbers)}", logs={"lookback": "0h", "pending": "90d"})

    def write(self, key: str, calls: Sequence[int]) -> None:
        """Overwrite an object."""
        self.objects[key] = list(dict.fromkeys(calls))
        self._put(key)

    def append(self, key: str, calls: Sequence[int]) -> None:
        """Append to an object: what it held is not read again."""
        held = self.objects.get(key, [])
        self.objects[key] = list(dict.fromkeys((*held, *calls)))
        self._put(key)

    def _put(self, key: str) -> None:
        self.folder.write(key, CALLS.of(OBJECTS[key][0], *self.objects[key]))

    def run(self, window: tuple[int, int]) -> None:
        run(self.subscription, hours(*window))

    def run_one_by_one(self) -> None:
        """Every object is a batch of its own."""
        run(self.subscription, DAY, batch_bytes=1)

    def run_in_little_memory(self) -> None:
        """Every half goes to PostgreSQL at once, every row is written by itself."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "BUFFER_ROWS", 1)
            patch.setattr(pair_load, "HELD_BYTES", 0)
            patch.setattr(pair_load, "PAIRS_AT_ONCE", 1)
            run(self.subscription, DAY)

    def crash(self, after: int) -> None:
        """The task dies after some steps of its first batch."""
        steps = count()

        def step(rows: int, size: int) -> None:
            if next(steps) == after:
                raise KeyboardInterrupt

        run_id, batches = plan(self.subscription)
        try:
            for batch_id in batches:
                pipeline.ingest_planned(self.subscription, run_id, batch_id, step)
        except KeyboardInterrupt:
            pass

    def load_again(self, batch_bytes: int | None) -> None:
        """Everything takes the place of what it loaded."""
        run_id, batches = plan(self.subscription, batch_bytes=batch_bytes, reprocess=Reprocess.EVERYTHING)
        load_batches(self.subscription, run_id, batches)

    def plan(self) -> None:
        self.planned.append(plan(self.subscription, batch_bytes=1))

    def load_planned(self) -> None:
        """Load the oldest plan, and its first batch twice."""
        if self.planned:
            run_id, batches = self.planned.pop(0)
            load_batches(self.subscription, run_id, batches + batches[:1])

    def clean(self) -> PairedBooks:
        """The books of one undisturbed run over the objects as they are now."""
        fresh = collector(f"p{next(_numbers)}", logs={"lookback": "0h", "pending": "90d"})
        run(fresh)
        return paired_books(fresh)


def contents(key: str) -> st.SearchStrategy[tuple[str, list[int]]]:
    calls = st.lists(st.sampled_from(list(OBJECTS[key][1])), min_size=3, max_size=12, unique=True)
    return st.tuples(st.just(key), calls)


content = st.sampled_from(sorted(OBJECTS)).flatmap(contents)
windows = st.sampled_from([(0, 12), (12, 24), (0, 24)])
steps = st.one_of(
    st.tuples(st.just("write"), content),
    st.tuples(st.just("append"), content),
    st.tuples(st.just("append"), content),
    st.tuples(st.just("run"), st.tuples(windows)),
    st.tuples(st.just("run_one_by_one"), st.just(())),
    st.tuples(st.just("run_in_little_memory"), st.just(())),
    st.tuples(st.just("crash"), st.tuples(st.integers(0, 9))),
    st.tuples(st.just("load_again"), st.tuples(st.sampled_from([1, None]))),
    st.tuples(st.just("plan"), st.just(())),
    st.tuples(st.just("load_planned"), st.just(())),
)


def world(folders: Path) -> World:
    root = folders / f"world-{next(_numbers)}"
    root.mkdir()
    return World(LogFolder(root))


@few(16)
@given(whole=st.booleans(), steps=st.lists(steps, min_size=3, max_size=9))
def test_any_history_ends_in_the_books_of_one_clean_run(
    tmp_path: Path, whole: bool, steps: Sequence[tuple[str, Any]]
) -> None:
    here = world(tmp_path)
    for key, (_, calls) in OBJECTS.items():
        here.write(key, calls if whole else calls[::2])
    here.run((0, 24) if whole else (0, 12))
    for act, arguments in steps:
        getattr(here, act)(*arguments)
    while here.planned:
        here.load_planned()
    run_until_done(here.subscription)
    found = paired_books(here.subscription)
    assert found == here.clean()
    run(here.subscription)
    assert paired_books(here.subscription) == found
    here.load_again(None)
    run_until_done(here.subscription)
    assert paired_books(here.subscription) == found


@few(4)
@given(data=st.data())
def test_the_order_of_the_objects_does_not_matter(tmp_path: Path, data: st.DataObject) -> None:
    """All pairs are there; each object comes with a run of its own, in two parts."""
    here = world(tmp_path)
    keys = [(key, half) for key in OBJECTS for half in (0, 1)]
    for key, half in sorted(data.draw(st.permutations(keys)), key=lambda part: part[1]):
        calls = list(OBJECTS[key][1])
        here.append(key, calls[: len(calls) // 2] if half == 0 else calls)
        here.run((0, 24))
    found = paired_books(here.subscription)
    assert found == here.clean()
    assert found.rows
    assert found.rejects
    assert not found.waiting
