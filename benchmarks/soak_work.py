"""What a soak keeps running: engines that write small objects, and loaders that run every minute.

Usage: ``python -m benchmarks.soak_work write|load FOLDER NUMBERS…`` with the numbers of the subscriptions;
connections come from the environment. It runs until it is terminated, or its standard input ends.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paylog import pipeline
from paylog.connections import resolve
from paylog.errors import RetriableError
from paylog.layout import Window
from paylog.pipeline import Workbench
from paylog.storage.cos_client import cos_client
from paylog.subscription import Subscription
from paylog.testing.exactly_once.served_model import LOGS, churn, credit
from paylog.testing.scored_model import CHURN, CREDIT_RISK
from paylog.testing.scoring_logs import CaptureLog, PayloadLog, ScoringLog

BUCKET = "scoring-logs"
RECORDS = 20
"""In each object, one row each."""
EVERY = 60.0
OBJECTS_A_MINUTE = 50
"""Of each subscription."""


def subscription(number: int) -> Subscription:
    """One of the models: even numbers are served by an engine of one's own, odd ones by SageMaker."""
    make = churn if number % 2 else credit
    name = f"model-{number:02d}"
    logs = {"bucket": BUCKET, "prefix": f"{name}/", "settle": "0s", "lookback": "10m"}
    return make(name, logs=logs)


def log(number: int, nth: int, end: datetime) -> ScoringLog:
    """One object, scored in the minute before ``end``."""
    kind, model = (CaptureLog, CHURN) if number % 2 else (PayloadLog, CREDIT_RISK)
    return kind(
        model=model, records=RECORDS, start=end - timedelta(minutes=1), end=end, seed=number * 1_000_000 + nth
    )


def write(folder: Path, numbers: Sequence[int], stop: threading.Event) -> None:
    """Every subscription's objects, evenly; how many were written stands in the file ``written-<first>``."""
    client = cos_client(resolve(LOGS))
    began, interval, count = time.monotonic(), 60.0 / OBJECTS_A_MINUTE / len(numbers), 0
    while not stop.wait(max(0.0, began + count * interval - time.monotonic())):
        number = numbers[count % len(numbers)]
        (one,) = log(number, count, datetime.now(UTC)).objects()
        key = subscription(number).logs.prefix + one.key
        client.put_object(Bucket=BUCKET, Key=key, Body=one.data)
        count += 1
        unfinished = folder / f"new-{numbers[0]}"
        unfinished.write_text(str(count))
        unfinished.replace(folder / f"written-{numbers[0]}")


def load(numbers: Sequence[int], stop: threading.Event) -> None:
    """Run every subscription every minute, as a worker process that never ends."""
    with ExitStack() as benches:
        work = [(each, benches.enter_context(Workbench(each))) for each in map(subscription, numbers)]
        for each, _ in work:
            pipeline.prepare(each)
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + EVERY, time.monotonic())
            for each, bench in work:
                run(each, bench)


def run(owner: Subscription, bench: Workbench) -> None:
    """One run over this hour and what is late of the last one."""
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    window = Window(hour, hour + timedelta(hours=1))
    planned, run_id = pipeline.plan(owner, window), f"soak-{now.isoformat()}"
    for batch in pipeline.save_plan(owner, planned, run_id):
        pipeline.ingest_planned(owner, run_id, batch["batch"], workbench=bench)
    try:
        pipeline.reconcile(owner, run_id, window)
    except RetriableError as error:
        print(error, flush=True)


def main() -> None:
    task, folder, numbers = sys.argv[1], Path(sys.argv[2]), [int(n) for n in sys.argv[3:]]
    stop = threading.Event()

    def watch() -> None:
        """When the soak is gone its end of the pipe is closed."""
        sys.stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    if task == "write":
        write(folder, numbers, stop)
    else:
        load(numbers, stop)


if __name__ == "__main__":
    main()
