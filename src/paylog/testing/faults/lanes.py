"""Lanes of work: ingests of a whole day, and backfills across them, task by task as Airflow runs them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paylog import pipeline
from paylog.connections import Connection
from paylog.errors import StopError
from paylog.layout import Window
from paylog.run_receipt import RunReceipt
from paylog.subscription import Subscription
from paylog.testing.exactly_once.runs import plan
from paylog.testing.exactly_once.worker import Job, Task, Worker
from paylog.testing.faults.site import Site

_BATCH_BYTES = 60_000
_FLUSH_ROWS = 40
_HANGS_AFTER = 120.0
PASSING = ("RetriableError:", "ObjectChanged:")
_SKEWED = "this machine's clock is wrong"
_NO_KEYS_YET = "does not know this access key id"
"""What SeaweedFS says in its first moments, before it has read its identities."""


@dataclass(frozen=True)
class PlanJob:
    """The task ``plan``: gives the batches."""

    subscription: Subscription
    window: Window
    run_id: str
    connections: Mapping[str, Connection]

    def run(self) -> tuple[str, ...]:
        return tuple(plan(self.subscription, self.window, run_id=self.run_id, batch_bytes=_BATCH_BYTES)[1])


@dataclass(frozen=True)
class ReconcileJob:
    """The task ``reconcile``."""

    subscription: Subscription
    window: Window
    run_id: str
    connections: Mapping[str, Connection]

    def run(self) -> RunReceipt:
        return pipeline.reconcile(self.subscription, self.run_id, self.window)


class Lane(threading.Thread):
    """Runs one window after the other; a task that fails is tried again until it does not.

    Told to stop, it leaves its run where it is, after the task in hand.

    :param windows: gives subscription and window of the next run.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        connections: Mapping[str, Connection],
        windows: Callable[[], tuple[Subscription, Window]],
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.tally: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._site, self._connections, self._windows, self._stopping = site, connections, windows, stopping

    def run(self) -> None:
        """The thread's work."""
        try:
            while not self._stopping.is_set():
                self._one_run(*self._windows())
        except BaseException as error:
            self.error = error

    def _one_run(self, subscription: Subscription, window: Window) -> None:
        self.tally["runs"] += 1
        run_id = f"{self.name}-{self.tally['runs']}"
        given = subscription, window, run_id, self._connections
        batches = self._until_done(PlanJob(*given))
        for batch in batches if isinstance(batches, tuple) else ():
            self._until_done(Task(subscription, run_id, batch, self._connections, _FLUSH_ROWS))
        self._until_done(ReconcileJob(*given))

    def _until_done(self, job: Job) -> object:
        while not self._stopping.is_set():
            self.tally["tasks"] += 1
            outcome = self._once(job)
            if outcome is None:
                self.tally["tasks killed"] += 1
            elif isinstance(outcome, str):
                self._judge(outcome)
            else:
                return outcome
            time.sleep(0.02)
        return None

    def _once(self, job: Job) -> object:
        worker = Worker(job)
        self._site.workers.add(worker)
        try:
            if not worker.join(_HANGS_AFTER):
                raise StopError(f"{self.name}: a task hangs")
        finally:
            self._site.workers.discard(worker)
        return worker.outcome()

    def _judge(self, failure: str) -> None:
        """A fault that passes may fail a task in such ways that it is tried again, and in no other."""
        if failure.startswith(PASSING):
            self.tally["tasks failed, to be tried again"] += 1
        elif _SKEWED in failure or _NO_KEYS_YET in failure:
            self.tally["tasks stopped: clock or keys not known to the store"] += 1
        else:
            raise StopError(f"{self.name}: a fault that passes has stopped a task: {failure}")


def backfill_window(dice: random.Random, day: Window) -> Window:
    """Some hours of the day."""
    hour = (day.end - day.start) / 24
    first = dice.randrange(24)
    return Window(day.start + first * hour, day.start + dice.randint(first + 1, 24) * hour)
