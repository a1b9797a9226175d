"""``python -m paylog.testing.faults.deployment``: backfills on Celery workers while all is killed in turn.

The processes of docker-compose.yml (:mod:`paylog.testing.celery_stack`), a range of days of three
subscriptions, a worker killed every few seconds, in between Redis, both PostgreSQL servers and the scheduler.
At the end every run must have succeeded, and the books must be those of one clean run.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from paylog.connections import use_resolver
from paylog.errors import RetriableError, StopError
from paylog.layout import Window
from paylog.subscription import Subscription, load_subscriptions
from paylog.testing.celery_stack import CeleryStack
from paylog.testing.collector_logs import CollectorLog
from paylog.testing.demo_logs import BUCKET
from paylog.testing.exactly_once.books import books
from paylog.testing.exactly_once.collector import paired_books
from paylog.testing.exactly_once.runs import clean_run
from paylog.testing.exactly_once.served_model import DATA_MART
from paylog.testing.scored_model import CHURN, CREDIT_RISK
from paylog.testing.scoring_logs import CaptureLog, Defect, PayloadLog

FIRST = datetime(2024, 3, 4, tzinfo=UTC)
_DAY = timedelta(days=1)
_DEFECTS = {Defect.TYPE_MISMATCH: 3}
_OBJECTS = 24
_OTHERS = ("redis", "data-mart", "scheduler", "airflow-db")
_PAUSE = (2.0, 5.0)
_PATIENCE = 600.0


@dataclass(frozen=True)
class Served:
    """One subscription of the repository, its logs of a day and how its books are read."""

    name: str
    log: Callable[..., Any]
    books: Callable[[Subscription], Any]


SERVED = (
    Served("credit-risk", lambda **shape: PayloadLog(model=CREDIT_RISK, **shape), books),
    Served("churn", lambda **shape: CaptureLog(model=CHURN, **shape), books),
    Served("credit-risk-azure", lambda **shape: CollectorLog(model=CREDIT_RISK, **shape), paired_books),
)


class Backfill:
    """A range of days of every subscription, backfilled by one deployment.

    :param records: in the logs of each day and subscription.
    """

    def __init__(self, stack: CeleryStack, days: int, records: int) -> None:
        self.stack, self.days, self.records = stack, days, records
        self.subscriptions = {each.id: each for each in load_subscriptions(stack.subscriptions)}

    def start(self) -> None:
        """Write the logs, wait for Airflow, and ask it for a run of every day."""
        self._write_logs()
        self.api = self.stack.wait_ready()
        wanted = {f"paylog__{served.name}" for served in SERVED}
        self.stack.wait(lambda: wanted <= self.api.dags(), what="the DAGs to be parsed")
        for dag_id in wanted:
            self.api.unpause(dag_id)
            body = {
                "dag_id": dag_id,
                "from_date": FIRST.isoformat(),
                "to_date": (FIRST + (self.days - 1) * _DAY).isoformat(),
                "max_active_runs": 4,
                "reprocess_behavior": "none",
                "run_backwards": False,
                "dag_run_conf": {"batch_mb": 1},
            }
            self.api.post("/backfills", body)

    def done(self) -> bool:
        """Whether every run has succeeded; False while the API server cannot say.

        :raises StopError: a run has failed.
        """
        try:
            states = Counter(run["state"] for _, run in self._runs())
        except (StopError, RetriableError):
            return False
        if states["failed"]:
            raise StopError(f"{states['failed']} runs have failed: {'; '.join(self._unfinished())}")
        return states["success"] == self.days * len(SERVED)

    def trouble(self, seconds: float, dice: random.Random) -> Counter[str]:
        """Kill a worker every few seconds, then one other service, until the time or the work is over."""
        struck: Counter[str] = Counter()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.done():
            for what in (dice.choice(self.stack.workers), _OTHERS[struck.total() // 2 % len(_OTHERS)]):
                time.sleep(dice.uniform(*_PAUSE))
                self.stack.check()
                self._strike(what)
                struck[what] += 1
        return struck

    def finish(self, seconds: float) -> None:
        """Wait until every run has succeeded. Raises ``StopError`` naming the tasks when it takes longer."""
        try:
            self.stack.wait(self.done, what="every run to succeed", seconds=seconds)
        except StopError as error:
            raise StopError(f"{error} {'; '.join(self._unfinished())}") from None

    def compare(self) -> int:
        """Hold the books against those of one clean run: how many rows both have."""
        example = self.subscriptions[SERVED[0].name]
        mart = self.stack.data_mart_connection(DATA_MART)
        logs = self.stack.object_store.connection(example.logs.connection)
        target = example.data_mart
        roles = (DATA_MART, target.connection, target.owner_connection or DATA_MART)
        known = {**dict.fromkeys(roles, mart), example.logs.connection: logs}
        use_resolver(known.__getitem__)
        try:
            return sum(self._compared(served) for served in SERVED)
        finally:
            use_resolver(None)

    def _compared(self, served: Served) -> int:
        subscription = self.subscriptions[served.name]
        window = Window(FIRST, FIRST + self.days * _DAY)
        found, expected = served.books(subscription), served.books(clean_run(subscription, window))
        assert found == expected, f"{served.name}: the books are not those of a clean run"
        return len(found.rows)

    def _write_logs(self) -> None:
        self.stack.object_store.create_bucket(BUCKET)
        for day in range(self.days):
            start = FIRST + day * _DAY
            shape = {"start": start, "end": start + _DAY, "objects_count": _OBJECTS, "records": self.records}
            for number, served in enumerate(SERVED):
                prefix = self.subscriptions[served.name].logs.prefix
                for item in served.log(seed=100 * day + number, defects=_DEFECTS, **shape).objects():
                    self.stack.object_store.put(BUCKET, prefix + item.key, item.data)

    def _strike(self, what: str) -> None:
        """Take one service away with ``kill -9``, and bring it back a second later."""
        servers = {"data-mart": self.stack.data_mart, "airflow-db": self.stack.airflow_db}
        if what in servers:
            servers[what].restart("immediate")
            return
        self.stack.kill(what)
        time.sleep(1.0)
        self.stack.start(what)

    def _runs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for served in SERVED:
            dag_id = f"paylog__{served.name}"
            found = self.api.get(f"/dags/{dag_id}/dagRuns", run_type="backfill", limit=100)
            yield from ((dag_id, run) for run in found["dag_runs"])

    def _unfinished(self) -> Iterator[str]:
        """Tasks that did not succeed, with their states and tries."""
        for dag_id, run in self._runs():
            for task in self.api.tasks(dag_id, run["dag_run_id"]) if run["state"] != "success" else ():
                if task["state"] not in ("success", None):
                    which = f"{dag_id} {run['logical_date']:.10} {task['task_id']}[{task['map_index']}]"
                    yield f"{which} is {task['state']}, try {task['try_number']}"


def play(backfill: Backfill, seconds: float, dice: random.Random) -> tuple[Counter[str], int]:
    """Backfill under fire: what was struck how often, and the rows that are as in a clean run.

    :param seconds: after which nothing is struck any more.
    """
    backfill.start()
    struck = backfill.trouble(seconds, dice)
    backfill.finish(_PATIENCE)
    return struck, backfill.compare()


def main() -> int:
    """From nothing to the comparison, with the compose file's own settings."""
    parser = argparse.ArgumentParser(prog="python -m paylog.testing.faults.deployment", description=__doc__)
    parser.add_argument("--days", type=int, default=10, help="to backfill (default 10)")
    parser.add_argument("--records", type=int, default=600, help="a day and subscription (default 600)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults at most (default 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options, began = parser.parse_args(), time.monotonic()
    print(f"seed {options.seed}", flush=True)
    repository = Path.cwd()
    with TemporaryDirectory(prefix="paylog-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        subscriptions = repository / "subscriptions"
        with CeleryStack(Path(folder), repository=repository, subscriptions=subscriptions) as stack:
            backfill = Backfill(stack, options.days, options.records)
            struck, rows = play(backfill, 60 * options.minutes, random.Random(options.seed))
    print(f"{rows:,} rows as in a clean run, after {time.monotonic() - began:.0f} s and these kills:")
    print("\n".join(f"{count:5} {what}" for what, count in sorted(struck.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
