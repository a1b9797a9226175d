"""What it costs to hold payload records against the training data.

Usage: ``python -m benchmarks.judgement [--records N] [--repeat N]``. The judgement's own CPU seconds are
taken within a load (thread time), for two loads differ by more than it costs. The same load without it is
shown beside. Every load is a process of its own; both kinds take turns. Printed are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.inputs import named
from benchmarks.measure import Measure, measure, medians, python
from benchmarks.payload_table import END, SCHEMA, START
from benchmarks.paylog_load import environment, subscription
from benchmarks.server import Server, running
from paylog import pipeline
from paylog.cli.lean import with_pandas
from paylog.subscription import Subscription
from paylog.testing.demo_training import training_table
from paylog.testing.scored_model import CREDIT_RISK
from paylog.training_data.judgement import PayloadJudge

REPOSITORY = Path(__file__).resolve().parents[1]
LIMIT = 0.10
PLAIN, JUDGED = "not judged", "judged"


def judged_subscription() -> Subscription:
    """The benchmark's subscription, with training data in the folder of connection ``bench_training``."""
    document = subscription("custom").document()
    label = {"name": "Risk", "type": "string", "role": "target"}
    document["model_schema"]["fields"].append(label)
    reference = {"type": "cos", "connection": "bench_training", "object": "training.csv"}
    return Subscription.model_validate(document | {"training_data": reference})


def _prepare(subscriber: Subscription) -> None:
    with_pandas()
    pipeline.prepare(subscriber)
    if subscriber.training_data is not None:
        pipeline.check_training_data(subscriber)


def _load(subscriber: Subscription) -> int:
    """A whole run by one process: rows loaded."""
    window, run_id = pipeline.Window(START, END), f"bench-{time.time_ns()}"
    planned = pipeline.plan(subscriber, window)
    loaded = sum(pipeline.ingest(subscriber, b, run_id, window).counts.loaded for b in planned.batches)
    receipt = pipeline.reconcile(subscriber, run_id, window)
    judged = subscriber.training_data is not None
    if judged and (receipt.training_data is None or receipt.training_data.state != "passed"):
        raise SystemExit("the payload was not judged")
    return loaded


class _Spent:
    """Adds up the thread's CPU seconds inside some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: type, *names: str) -> None:
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.thread_time() - began

        return timed


def _child(task: str, kind: str, dsn: str, logs: str, training: str) -> None:
    os.environ.update(environment(dsn, logs))
    connection = {"conn_type": "paylog_folder", "extra": {"path": training}}
    os.environ["AIRFLOW_CONN_BENCH_TRAINING"] = json.dumps(connection)
    subscriber = judged_subscription() if kind == JUDGED else subscription("custom")
    if task == "prepare":
        _prepare(subscriber)
        return
    judging = _Spent()
    judging.watch(PayloadJudge, "__init__", "add", "keep", "findings")
    began, spent = time.perf_counter(), time.process_time()
    loaded = _load(subscriber)
    work = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
    print(json.dumps({"loaded": loaded, "judgement": judging.seconds, **work}))


def _measured(server: Server, folder: Path, records: int, kind: str) -> Measure:
    source = named(folder, "custom", records).written()
    training = folder / "training"
    training.mkdir(exist_ok=True)
    (training / "training.csv").write_bytes(training_table(CREDIT_RISK, "Risk").as_csv())
    server.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE')
    arguments = (kind, server.dsn, source.logs, training)
    measure(server, python("benchmarks.judgement", "prepare", *arguments), 1)
    return measure(server, python("benchmarks.judgement", "load", *arguments), records)


def main() -> int:
    """Measure and print; 1 when the judgement costs more than a tenth of the load."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judgement", description=__doc__)
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".build" / "bench")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    options.folder.mkdir(parents=True, exist_ok=True)
    measures: dict[str, list[Measure]] = {PLAIN: [], JUDGED: []}
    with running(options.folder / "postgres") as server:
        for _ in range(options.repeat):
            for kind, done in measures.items():
                done.append(_measured(server, options.folder, options.records, kind))
    results = {kind: medians(done) for kind, done in measures.items()}
    for kind, each in results.items():
        work = each.said["cpu"] / each.rows * 1e6
        print(
            f"{kind}: {each.cpu_per_million:.2f} CPU s/M, {work:.2f} of them the client's work; "
            f"{each.said['seconds']:.2f} s, peak {each.peak_rss / 1e6:.0f} MB"
        )
    judged = results[JUDGED]
    own, load = judged.said["judgement"], judged.said["cpu"] + judged.server_cpu - judged.said["judgement"]
    print(
        f"the judgement: {own / judged.rows * 1e6:.2f} CPU s/M, {own / load:.1%} of the load's CPU and "
        f"{own / (judged.said['seconds'] - own):.1%} of its time (limit {LIMIT:.0%})"
    )
    return int(own / load > LIMIT)


if __name__ == "__main__":
    if sys.argv[1:2] in (["prepare"], ["load"]):
        _child(*sys.argv[1:])
        sys.exit()
    sys.exit(main())
