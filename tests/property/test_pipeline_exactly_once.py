"""Whatever happens on the way, runs until nothing is left to do end in the books of one clean run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from histories import few
from hypothesis import event, given
from hypothesis import strategies as st
from isal import igzip

from paylog import pipeline
from paylog.connections import Connection
from paylog.data_mart import load
from paylog.errors import ErrorBudgetExceeded
from paylog.reprocess import Reprocess
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import Books, books
from paylog.testing.exactly_once.runs import load as load_batches
from paylog.testing.exactly_once.runs import plan, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    LOGS,
    LogFolder,
    churn,
    churn_log,
    credit,
    credit_log,
    hours,
)
from paylog.testing.exactly_once.site import shared_data_mart
from paylog.testing.scoring_logs import Defect, ScoringLog

_DEFECTS = dict.fromkeys([d for d in Defect if d is not Defect.DUPLICATE], 1)
_RECORDS = 18
_numbers = count(1)
_connections: dict[str, Connection] = {}


@pytest.fixture(scope="module", autouse=True)
def _database() -> Iterator[None]:
    with shared_data_mart(_connections):
        yield


@dataclass(frozen=True, repr=False)
class Engine:
    """The records that an engine may write: of one or two rows, some of them defective."""

    subscription: Any
    log: ScoringLog

    @cached_property
    def lines(self) -> list[bytes]:
        (item,) = self.log.objects()
        return item.data.splitlines(keepends=True)

    @cached_property
    def row_ids(self) -> list[set[str]]:
        """Scoring ids of the rows that each record must become: none if it is defective."""
        known = [row["scoring_id"] for row in self.log.truth()]
        return [{row for row in known if row[:36].encode() in line} for line in self.lines]


CUSTOM = Engine(credit, credit_log(records=_RECORDS, rows_per_record=2, defects=_DEFECTS))
SAGEMAKER = Engine(churn, churn_log(records=_RECORDS, rows_per_record=2, defects=_DEFECTS))
engines = st.sampled_from([CUSTOM, SAGEMAKER])
contents = st.lists(st.integers(0, _RECORDS - 1), max_size=10)


@dataclass
class World:
    """One subscription, its objects, and what was planned and not done yet."""

    engine: Engine
    folder: LogFolder
    subscription: Subscription = field(init=False)
    objects: dict[str, Sequence[int]] = field(default_factory=dict)
    planned: list[tuple[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        _connections[LOGS] = self.folder.connection
        self.subscription = self.owner()

    def owner(self, name: str = "", **budget: int | None) -> Subscription:
        """The subscription, or another one to the same logs, which has loaded nothing yet."""
        name = name or f"s{next(_numbers)}"
        budget = {"share": None, **budget}
        return self.engine.subscription(name, logs={"lookback": "0h"}, error_budget=budget)

    def write(self, name: str, records: Sequence[int]) -> None:
        """Objects a to d, of hours 0, 6, 12 and 18; every second one is compressed."""
        number = "abcd".index(name)
        data = b"".join(self.engine.lines[n] for n in records)
        key = f"2024/03/04/{6 * number:02d}/{name}.jsonl" + (".gz" if number % 2 else "")
        self.folder.write(key, igzip.compress(data) if number % 2 else data)
        self.objects[key] = records

    def run(self, window: tuple[int, int]) -> None:
        run(self.subscription, hours(*window), batch_bytes=1)

    def run_row_by_row(self) -> None:
        """Every row is written by itself."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "BUFFER_ROWS", 1)
            run(self.subscription, DAY)

    def run_over_budget(self) -> None:
        """Not a single reject is allowed."""
        try:
            run(self.owner(self.subscription.id, count=0), DAY)
        except ErrorBudgetExceeded:
            event("over budget")

    def crash(self, after: int, mode: Reprocess = Reprocess.NEW) -> None:
        """The task dies after some steps of its only batch."""
        steps = count()

        def step(rows: int, size: int) -> None:
            if next(steps) == after:
                raise KeyboardInterrupt

        run_id, batches = plan(self.subscription, reprocess=mode)
        try:
            for batch_id in batches:
                pipeline.ingest_planned(self.subscription, run_id, batch_id, step)
        except KeyboardInterrupt:
            event("crashed")

    def plan(self) -> None:
        """Plan now, load later, when everything may be different."""
        self.planned.append(plan(self.subscription, batch_bytes=1))

    def reprocess(self, mode: Reprocess, size: int | None = None) -> None:
        """Load the day again, what has rejects or everything."""
        run_id, batches = plan(self.subscription, batch_bytes=size, reprocess=mode)
        load_batches(self.subscription, run_id, batches)

    def plan_everything(self) -> None:
        """As ``plan``, to load everything again."""
        self.planned.append(plan(self.subscription, batch_bytes=1, reprocess=Reprocess.EVERYTHING))

    def load_planned(self) -> None:
        """Load the oldest plan, and its first batch twice."""
        if self.planned:
            run_id, batches = self.planned.pop(0)
            load_batches(self.subscription, run_id, batches + batches[:1])

    def clean(self) -> Books:
        """The books of one undisturbed run over the objects as they are now."""
        fresh = self.owner()
        run(fresh)
        return books(fresh)

    def assert_true(self, found: Books) -> None:
        """Every row is that of a record which its object holds at its position; none is missing."""
        at = {name: n for n, name in enumerate(found.columns)}
        row_ids = self.engine.row_ids
        for row in found.rows:
            records = next(r for key, r in self.objects.items() if row[at["uri"]].endswith(key))
            assert row[at["scoring_id"]] in row_ids[records[row[at["_position"]]]]
        wanted = {row_id for records in self.objects.values() for n in records for row_id in row_ids[n]}
        assert Counter(row[at["scoring_id"]] for row in found.rows) == Counter(wanted)


names = st.sampled_from("abcd")
windows = st.tuples(st.integers(0, 18), st.integers(1, 12)).map(lambda w: (w[0], min(24, w[0] + w[1])))
modes = st.sampled_from([Reprocess.REJECTED, Reprocess.EVERYTHING])
steps = st.one_of(
    st.tuples(st.just("write"), names, contents),
    st.tuples(st.just("write"), names, contents),
    st.tuples(st.just("run"), windows),
    st.tuples(st.just("run"), st.just((0, 24))),
    st.tuples(st.just("run_row_by_row")),
    st.tuples(st.just("run_over_budget")),
    st.tuples(st.just("crash"), st.integers(0, 9), st.sampled_from(Reprocess)),
    st.tuples(st.just("plan")),
    st.tuples(st.just("plan_everything")),
    st.tuples(st.just("reprocess"), modes, st.sampled_from([1, None])),
    st.tuples(st.just("load_planned")),
)
objects = st.dictionaries(names, contents, min_size=1)


def world(engine: Engine, folders: Path) -> World:
    root = folders / f"world-{next(_numbers)}"
    root.mkdir()
    return World(engine, LogFolder(root))


@few(25)
@given(engine=engines, before=objects, steps=st.lists(steps, min_size=2, max_size=9))
def test_any_history_ends_in_the_books_of_a_clean_run(
    tmp_path: Path, engine: Engine, before: dict[str, Sequence[int]], steps: Sequence[tuple[Any, ...]]
) -> None:
    here = world(engine, tmp_path)
    for name, records in before.items():
        here.write(name, records)
    for act, *arguments in steps:
        getattr(here, act)(*arguments)
    while here.planned:
        here.load_planned()
    run_until_done(here.subscription)
    found = books(here.subscription)
    here.assert_true(found)
    assert found.without_origin() == here.clean().without_origin()
    run(here.subscription)
    assert books(here.subscription) == found
    here.reprocess(Reprocess.EVERYTHING)
    run_until_done(here.subscription)
    assert books(here.subscription).without_origin() == found.without_origin()


@few(10)
@given(engine=engines, contents=objects, data=st.data())
def test_the_order_of_the_objects_does_not_matter(
    tmp_path: Path, engine: Engine, contents: dict[str, Sequence[int]], data: st.DataObject
) -> None:
    here = world(engine, tmp_path)
    for name in data.draw(st.permutations(sorted(contents))):
        here.write(name, contents[name])
        here.run((0, 24))
    run_until_done(here.subscription)
    found = books(here.subscription)
    here.assert_true(found)
    assert found.without_origin() == here.clean().without_origin()


@few(10)
@given(engine=engines, records=st.lists(st.integers(0, _RECORDS - 1), min_size=1, max_size=30))
def test_many_records_at_once_are_what_each_is_alone(
    tmp_path: Path, engine: Engine, records: Sequence[int]
) -> None:
    """The columnar path over all records of an object, and each record in an object of its own."""
    bulk, alone = world(engine, tmp_path), world(engine, tmp_path)
    lines = [engine.lines[n] for n in records]
    bulk.folder.write("2024/03/04/00/all.jsonl", lines)
    for n, line in enumerate(lines):
        alone.folder.write(f"2024/03/04/00/{n:02d}.jsonl", line)
    kept = []
    for here in (bulk, alone):
        _connections[LOGS] = here.folder.connection
        run(here.subscription)
        found = books(here.subscription)
        rejects = Counter(row[3:] for row in found.quarantine)
        counts = [sum(column) for column in zip(*(row[2:6] for row in found.ledger), strict=True)]
        kept.append((found.without_origin().rows, rejects, counts))
    assert kept[0] == kept[1]
