"""``python -m benchmarks.pending_halves``: what a million waiting halves cost, through the whole pipeline.

Calls collected by Azure Machine Learning: first the requests, which all wait, then the responses, which
pair with them out of the data mart; beside them, the same calls paired within their batches.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.engine_rates import RESULTS, put_in
from benchmarks.server import running
from paylog import pipeline
from paylog.connections import Connection, parse, use_resolver
from paylog.layout import Window
from paylog.run_receipt import RunReceipt
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS, collected

TITLE = "## A million halves that wait"
HALVES, OBJECTS, FEW = 1_000_000, 20, 1_000
START = datetime(2024, 1, 19, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
SIDES = {INPUTS: {"age": 41, "income": 1234.5, "job": "clerk"}, OUTPUTS: {"prediction": "Risk"}}


@dataclass(frozen=True)
class Step:
    """One run: what it did, and its seconds (wall, CPU of paylog, CPU of PostgreSQL)."""

    name: str
    receipt: RunReceipt
    wall: float
    paylog: float
    postgres: float


def subscription(name: str) -> Subscription:
    fields = [
        {"name": "age", "type": "integer"},
        {"name": "income", "type": "double"},
        {"name": "job", "type": "string"},
        {"name": "prediction", "type": "string", "role": "prediction"},
    ]
    return Subscription.model_validate(
        {
            "id": name,
            "service_provider": "azure_machine_learning_service",
            "deployment": {"id": "endpoint"},
            "logs": {"connection": "logs", "lookback": "0h"},
            "model_schema": {"fields": fields, "class_labels": ["No Risk", "Risk"]},
            "data_mart": {"connection": "mart", "schema": "pending"},
        }
    )


def write(root: Path, side: str, first: int, count: int, objects: int = OBJECTS) -> None:
    """Calls ``first`` … of one side, in objects of one hour each."""
    share = count // objects
    line = json.dumps(collected(side, [SIDES[side]], "@id", "@time".ljust(19)))
    line = line.replace("@time".ljust(19), "@time")
    for number in range(objects):
        path = root / side / f"2024/01/19/{number:02d}/calls-{first}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        hour = START + timedelta(hours=number)
        with path.open("w") as file:
            for n in range(first + number * share, first + (number + 1) * share):
                key = f"{n * 2654435761 % 2**32:08x}-{n:012d}"
                moment = f"{hour + timedelta(seconds=n % 3600):%Y-%m-%dT%H:%M:%S}"
                file.write(f"{line.replace('@id', key).replace('@time', moment)}\n")


def run(name: str, owner: Subscription, postgres: Callable[[], float]) -> Step:
    """One run, measured."""
    process = psutil.Process()
    pipeline.prepare(owner)
    before, began = postgres(), time.perf_counter()
    cpu = sum(process.cpu_times()[:2])
    planned = pipeline.plan(owner, DAY)
    run_id = name.replace(" ", "-").replace(",", "")
    for batch in pipeline.save_plan(owner, planned, run_id):
        pipeline.ingest_planned(owner, run_id, batch["batch"])
    receipt = pipeline.reconcile(owner, run_id, DAY)
    wall = time.perf_counter() - began
    return Step(name, receipt, wall, sum(process.cpu_times()[:2]) - cpu, postgres() - before)


def steps(root: Path, halves: int, postgres: Callable[[], float]) -> Iterator[Step]:
    """The runs, each checked."""
    late = subscription("late")
    write(root, INPUTS, 0, halves)
    yield (stored := run("store the requests", late, postgres))
    assert stored.receipt.waiting == halves
    for side in (INPUTS, OUTPUTS):
        write(root, side, halves, FEW, 1)
    yield (few := run(f"{FEW:,} calls while they wait", late, postgres))
    assert (few.receipt.counts.loaded, few.receipt.waiting) == (FEW, halves)
    write(root, OUTPUTS, 0, halves)
    yield (paired := run("pair them with their responses", late, postgres))
    assert (paired.receipt.counts.loaded, paired.receipt.waiting) == (halves, 0)
    yield (together := run("the same calls, both sides at once", subscription("together"), postgres))
    assert (together.receipt.counts.loaded, together.receipt.waiting) == (halves + FEW, 0)


def section(found: list[Step], halves: int) -> str:
    """The results in Markdown."""
    lines = [
        "| run | rows loaded | halves settled | waiting after | wall s | paylog CPU s | PostgreSQL CPU s |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for step in found:
        counts = f"{step.receipt.counts.loaded:,} | {step.receipt.settled:,} | {step.receipt.waiting:,}"
        lines.append(
            f"| {step.name} | {counts} | {step.wall:.1f} | {step.paylog:.1f} | {step.postgres:.1f} |"
        )
    head = (
        f"{halves:,} calls of one row, requests and responses collected apart by Azure Machine Learning, "
        f"from files to the payload table, one worker, whose memory peaked at {_peak_megabytes():.0f} "
        "MB. `python -m benchmarks.pending_halves`"
    )
    return "\n\n".join([TITLE, head, "\n".join(lines)]) + "\n"


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pending_halves", description=__doc__)
    parser.add_argument("--halves", type=int, default=HALVES)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, running(Path(folder) / "postgres") as server:
        root = Path(folder) / "logs"
        root.mkdir()
        connections = {
            "logs": Connection("logs", "paylog_folder", extra={"path": str(root)}),
            "mart": parse("mart", server.dsn.replace("postgresql://", "postgres://", 1)),
        }
        use_resolver(connections.__getitem__)
        found = []
        for step in steps(root, arguments.halves, server.cpu_seconds):
            found.append(step)
            print(f"{step.name:42} {step.wall:7.1f} s", flush=True)
    if arguments.halves == HALVES:
        put_in(RESULTS, section(found, arguments.halves))
    else:
        print(section(found, arguments.halves))
    return 0


if __name__ == "__main__":
    sys.exit(main())
