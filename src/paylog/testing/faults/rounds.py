"""Rounds: an engine writes, lanes load, faults strike; at the end the books are those of one clean run."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paylog.connections import use_resolver
from paylog.subscription import Subscription
from paylog.testing.collector_logs import CollectorLog
from paylog.testing.exactly_once.books import Books, assert_nothing_held, books
from paylog.testing.exactly_once.collector import PairedBooks, collector, paired_books
from paylog.testing.exactly_once.runs import clean_run, run_until_done
from paylog.testing.exactly_once.served_model import DAY, churn, churn_log, credit, credit_log
from paylog.testing.faults.lanes import Lane, backfill_window
from paylog.testing.faults.site import BUCKET, Site
from paylog.testing.faults.strikes import draw
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.TYPE_MISMATCH: 6, Defect.MISSING_RESPONSE: 6, Defect.DUPLICATE: 6}
_OF_HALVES = {Defect.TYPE_MISMATCH: 6, Defect.ROW_COUNT_MISMATCH: 6}
_RECORDS, _OBJECTS = 720, 24
# Of the objects that an engine writes, so many are written a second time, shorter.
_OVERWRITTEN = 0.15
_PAUSE = (0.02, 0.5)


@dataclass
class Round:
    """What one round saw."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    seconds: float = 0.0


class Served:
    """Three models that are being served, and what their engines have yet to write."""

    def __init__(self, name: str, dice: random.Random) -> None:
        def subscription(make: Callable[..., Subscription]) -> Subscription:
            return make(logs={"bucket": BUCKET, "prefix": f"{name}/{make.__name__}/"})

        self.subscriptions = [subscription(make) for make in (credit, churn, collector)]
        shape: dict[str, Any] = {"records": _RECORDS, "objects_count": _OBJECTS}
        shape["seed"] = dice.randrange(10**6)
        day: dict[str, Any] = {"start": DAY.start, "end": DAY.end}
        logs = (
            credit_log(defects=_DEFECTS, **shape),
            churn_log(defects=_DEFECTS, **shape),
            CollectorLog(model=CREDIT_RISK, defects=_OF_HALVES, rows_per_record=2, **shape, **day),
        )
        self.unwritten = [
            (f"{each.logs.prefix}{one.key}", one.data)
            for each, log in zip(self.subscriptions, logs, strict=True)
            for one in log.objects()
        ]
        dice.shuffle(self.unwritten)
        paired = self.subscriptions[2].logs.prefix
        again = [(key, _shorter(data)) for key, data in self.unwritten if not key.startswith(paired)]
        self.unwritten[:0] = dice.sample(again, int(_OVERWRITTEN * len(again)))


def _shorter(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[: 2 * len(lines) // 3])


def play(site: Site, seed: int, faults: int) -> Round:
    """One round, in a database of its own.

    :raises AssertionError: something was lost, doubled or not accounted for.
    :raises StopError: a fault that passes stopped a task for good, or a task hangs.
    """
    began, dice, name = time.monotonic(), random.Random(seed), f"round_{seed}"
    result = Round(seed)
    site.postgres.create_database(name)
    served = Served(name, dice)
    stopping = threading.Event()
    lanes = _lanes(site, name, served, stopping, dice)
    for lane in lanes:
        lane.start()
    try:
        _strike(site, served, dice, faults, result.faults, lanes)
    finally:
        site.heal()
        stopping.set()
        for lane in lanes:
            lane.join()
            result.tally += lane.tally
    _raise_of(lanes)
    use_resolver(site.connections(name, linked=False).__getitem__)
    result.rows = sum(_compare(subscription) for subscription in served.subscriptions)
    assert_nothing_held()
    use_resolver(None)
    site.postgres.drop_database(name)
    result.seconds = time.monotonic() - began
    return result


def _lanes(
    site: Site, name: str, served: Served, stopping: threading.Event, dice: random.Random
) -> list[Lane]:
    """One a subscription that looks at the whole day again and again, and one that backfills any of them."""
    connections = site.connections(name, linked=True)
    own = random.Random(dice.random())
    lanes = [
        Lane(f"ingest-{each.id}", site, connections, lambda each=each: (each, DAY), stopping)  # type: ignore[misc]
        for each in served.subscriptions
    ]
    chosen = lambda: (own.choice(served.subscriptions), backfill_window(own, DAY))  # noqa: E731
    return [*lanes, Lane("backfill", site, connections, chosen, stopping)]


def _strike(
    site: Site, served: Served, dice: random.Random, faults: int, struck: Counter[str], lanes: list[Lane]
) -> None:
    """Write the logs and strike in between, until both are done."""
    share = -(-len(served.unwritten) // faults)
    while struck.total() < faults or served.unwritten:
        for key, data in served.unwritten[-share:]:
            site.write(key, data)
        del served.unwritten[-share:]
        time.sleep(dice.uniform(*_PAUSE))
        strike = draw(dice)
        if struck.total() < faults and strike.strike(site, dice):
            struck[strike.name] += 1
        _raise_of(lanes)


def _raise_of(lanes: list[Lane]) -> None:
    for lane in lanes:
        if lane.error is not None:
            raise lane.error


def _compare(subscription: Subscription) -> int:
    """Load what is left, undisturbed; rows that are there, as one clean run would have put them there."""
    read: Callable[[Subscription], Books | PairedBooks]
    read = paired_books if (subscription.logs.layout or "").startswith("{") else books
    run_until_done(subscription)
    found, expected = read(subscription), read(clean_run(subscription))
    assert found == expected, f"{subscription.id}: the books are not those of a clean run"
    assert found.rows, subscription.id
    return len(found.rows)
