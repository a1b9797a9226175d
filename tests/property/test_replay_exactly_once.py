"""Broken schemas, replays and retractions in any order: mended at the end, the books are a clean run's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from histories import few
from hypothesis import event, example, given
from hypothesis import strategies as st

from paylog import pipeline, replay, retract
from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.layout import Window
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.decoded import with_missing_feature
from paylog.testing.exactly_once.books import books
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import run, run_until_done
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
from paylog.testing.scoring_logs import Defect

_RECORDS = 18
_DEFECTS = dict.fromkeys([d for d in Defect if d is not Defect.DUPLICATE], 1)
_ALWAYS = {"logs": {"lookback": "0h", "pending": "900d"}, "error_budget": {"share": None}}
_numbers = count(1)
_connections: dict[str, Connection] = {}
CALLS = Calls(_RECORDS)


@pytest.fixture(scope="module", autouse=True)
def _database() -> Iterator[None]:
    with shared_data_mart(_connections):
        yield


@dataclass
class World:
    """One subscription and its objects.

    :param model: ``credit`` or ``churn``, whose records are whole, or ``collected``, whose halves lie apart.
    """

    model: str
    folder: LogFolder
    subscription: Subscription = field(init=False)

    def __post_init__(self) -> None:
        _connections[LOGS] = self.folder.connection
        self.subscription = self.owner()
        pipeline.prepare(self.broken)  # the table knows the field from the start

    def owner(self) -> Subscription:
        makers = {"credit": credit, "churn": churn, "collected": collector}
        made: Subscription = makers[self.model](f"r{next(_numbers)}", **_ALWAYS)
        return made

    @property
    def broken(self) -> Subscription:
        """Every sound record is rejected."""
        return with_missing_feature(self.subscription)

    def write(self, name: str, records: Sequence[int]) -> None:
        """Objects a to d, of hours 0, 6, 12 and 18; of pairs, b and d hold responses."""
        number = "abcd".index(name)
        if self.model == "collected":
            side, key = (OUTPUTS, outputs) if number % 2 else (INPUTS, inputs)
            # Every half is in one object only.
            mine = [n for n in dict.fromkeys(records) if n % 2 == number // 2]
            self.folder.write(key(6 * number, name), CALLS.of(side, *mine))
            return
        log = credit_log if self.model == "credit" else churn_log
        (item,) = log(records=_RECORDS, rows_per_record=2, defects=_DEFECTS).objects()
        lines = item.data.splitlines(keepends=True)
        self.folder.write(f"2024/03/04/{6 * number:02d}/{name}.jsonl", [lines[n] for n in records])

    def run(self, window: tuple[int, int]) -> None:
        run(self.subscription, hours(*window), batch_bytes=1)

    def run_broken(self, window: tuple[int, int]) -> None:
        run(self.broken, hours(*window), batch_bytes=1)

    def replay_some(self, window: tuple[int, int]) -> None:
        self._replay(hours(*window))

    def replay_broken(self) -> None:
        """What was wrong is not mended yet."""
        pipeline.prepare(self.broken)
        replay.replay(self.broken, f"replay-{next(_numbers)}")

    def retract_some(self, window: tuple[int, int]) -> None:
        self._retract(retract.Selection(window=hours(*window)))

    def retract_replay(self) -> None:
        """Take back the newest run, when it is a replay."""
        with pipeline.open_data_mart(self.subscription) as data_mart:
            receipts = data_mart.receipts(self.subscription.id)
        if receipts and receipts[0].run_id.startswith("replay"):
            self._retract(retract.Selection(run=receipts[0].run_id))

    def _retract(self, selection: retract.Selection) -> None:
        try:
            retract.retract(self.subscription, selection, actor="me", reason="test")
            event("retracted")
        except ConfigurationError:
            event("nothing to retract")

    def _replay(self, window: Window | None = None) -> None:
        pipeline.prepare(self.subscription)
        found = replay.replay(self.subscription, f"replay-{next(_numbers)}", replay.Selection(window=window))
        event(f"replayed: {'some' if found.receipt.counts.loaded else 'none'}")

    def end(self) -> None:
        """Mended: what was rejected is replayed, what was taken back or changed is loaded."""
        run_until_done(self.subscription)
        self._replay()
        run_until_done(self.subscription)
        self._replay()

    def content(self, subscription: Subscription) -> Any:
        """Rows, open rejects and waiting halves, whichever entry brought them."""
        if self.model == "collected":
            return paired_books(subscription)
        found = books(subscription)
        return found.without_origin().rows, sorted(found.quarantine, key=repr)

    def clean(self) -> Any:
        fresh = self.owner()
        run(fresh)
        return self.content(fresh)


names = st.sampled_from("abcd")
contents = st.lists(st.integers(0, _RECORDS - 1), max_size=10)
windows = st.sampled_from([(0, 24), (0, 12), (6, 13), (12, 24), (18, 19)])
steps = st.one_of(
    st.tuples(st.just("write"), names, contents),
    st.tuples(st.just("run"), windows),
    st.tuples(st.just("run_broken"), windows),
    st.tuples(st.just("run_broken"), windows),
    st.tuples(st.just("replay_some"), windows),
    st.tuples(st.just("replay_broken")),
    st.tuples(st.just("retract_some"), windows),
    st.tuples(st.just("retract_replay")),
)
objects = st.dictionaries(names, contents, min_size=2)


@few(8)
@given(
    model=st.sampled_from(["credit", "churn", "collected"]),
    before=objects,
    steps=st.lists(steps, min_size=2, max_size=7),
)
@example(
    model="collected",
    before={"a": list(range(18)), "b": list(range(18))},
    steps=[("run_broken", (0, 24)), ("replay_some", (0, 24)), ("retract_some", (6, 13)), ("run", (0, 24))],
)
def test_any_history_ends_in_the_books_of_a_clean_run(
    tmp_path: Path,
    model: str,
    before: dict[str, Sequence[int]],
    steps: Sequence[tuple[Any, ...]],
) -> None:
    root = tmp_path / f"world-{next(_numbers)}"
    root.mkdir()
    here = World(model, LogFolder(root))
    for name, records in before.items():
        here.write(name, records)
    for act, *arguments in steps:
        getattr(here, act)(*arguments)
    here.end()
    found = here.content(here.subscription)
    assert found == here.clean()
    run(here.subscription, DAY)
    assert here.content(here.subscription) == found
