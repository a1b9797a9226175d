"""What it costs to profile training data: time and peak memory by format and size.

Usage: ``python -m benchmarks.training_profile [--rows N]``. Each profile is a process of its own and reads
generated data from a folder. Exit code 1: a profile of Parquet took 600 MB or more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from paylog.connections import ENVIRONMENT_PREFIX
from paylog.subscription import Subscription
from paylog.testing.scored_model import CREDIT_RISK

REPOSITORY = Path(__file__).resolve().parents[1]
_FOLDER = REPOSITORY / ".build" / "bench" / "training"
_RESULTS = REPOSITORY / "benchmarks" / "TRAINING_PROFILE.md"
_CONNECTION = "bench_training_profile"
_CHUNK = 500_000
_DOUBLES = 20
LIMIT = 600_000_000


class Case(NamedTuple):
    """One file to profile."""

    name: str
    file: str
    rows: int


class Cost(NamedTuple):
    """Of the whole process. ``peak`` in bytes."""

    wall: float
    cpu: float
    peak: int


def cases(rows: int) -> list[Case]:
    """Credit risk data (7 integers, 13 categories, label) and 20 doubles with a label."""
    return [
        Case("Parquet, a tenth", "credit-tenth.parquet", rows // 10),
        Case("Parquet", "credit.parquet", rows),
        Case("Parquet, 20 doubles", "doubles.parquet", rows),
        Case("CSV, a tenth", "credit-tenth.csv", rows // 10),
    ]


def subscription(file: str) -> Subscription:
    """A subscription whose training data that file is."""
    is_credit = file.startswith("credit")
    features = [{"name": f.name, "type": f.type.value} for f in CREDIT_RISK.features]
    if not is_credit:
        features = [{"name": f"x{n}", "type": "double"} for n in range(_DOUBLES)]
    outputs = [
        {"name": "prediction", "type": "string", "role": "prediction"},
        {"name": "Risk", "type": "string", "role": "target"},
    ]
    return Subscription.model_validate(
        {
            "id": "bench-training",
            "service_provider": "custom_machine_learning",
            "deployment": {"id": "bench"},
            "logs": {},
            "data_mart": {"schema": "bench"},
            "model_schema": {"class_labels": ["No Risk", "Risk"], "fields": features + outputs},
            "training_data": {"type": "cos", "connection": _CONNECTION, "object": file},
        }
    )


def generate(path: Path, rows: int) -> None:
    """Write the file, the same every time."""
    part = path.with_suffix(".part")
    chunks = _credit(rows) if path.name.startswith("credit") else _doubles(rows)
    first = next(chunks)
    is_csv = path.suffix == ".csv"
    with csv.CSVWriter(part, first.schema) if is_csv else pq.ParquetWriter(part, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)
    part.rename(path)


def profile_once(file: str) -> None:
    """What the measured process does; prints the seconds of the profile itself and the peak memory."""
    from paylog.training_data import open_source, profile

    one = subscription(file)
    began = time.perf_counter()
    found = profile(open_source(one), one)
    seconds = time.perf_counter() - began
    # Not ru_maxrss: that is never less than what the process that started this one had.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) * 1024
    print(json.dumps({"rows": found.rows, "seconds": seconds, "peak": peak}))


def measured(case: Case, folder: Path) -> Cost:
    """Profile in a process of its own."""
    definition = {"conn_type": "paylog_folder", "extra": {"path": str(folder)}}
    environment = os.environ | {
        f"{ENVIRONMENT_PREFIX}{_CONNECTION.upper()}": json.dumps(definition),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
    }
    command = [sys.executable, "-m", "benchmarks.training_profile", "--profile", case.file]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or said["rows"] != case.rows:
        raise SystemExit(f"{case.name}: ended with {process.returncode} after {said['rows']:,} rows")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, said["peak"])


def report(costs: dict[Case, Cost]) -> str:
    """The results as Markdown."""
    facts = f"{os.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    lines = [
        "# Profiling training data",
        "",
        f"21 columns; {facts}. The whole process, interpreter start included; read from a folder.",
        "",
        "| data | rows | wall s | CPU s | rows/s | peak MB |",
        "| :-- | --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| {case.name} | {case.rows:,} | {cost.wall:.1f} | {cost.cpu:.1f} | {case.rows / cost.wall:,.0f} "
        f"| {cost.peak / 1e6:.0f} |"
        for case, cost in costs.items()
    ]
    return "\n".join([*lines, "", f"Limit for Parquet: {LIMIT / 1e6:.0f} MB.", ""])


def _credit(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(11)
    labels = np.array(CREDIT_RISK.class_labels, dtype=object)
    for size in _sizes(rows):
        columns, probability = CREDIT_RISK.score(rng, size)
        risk = labels[(rng.random(size) < probability).astype(int)]
        yield pa.table({**columns, "Risk": risk})


def _doubles(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(12)
    labels = np.array(["No Risk", "Risk"], dtype=object)
    for size in _sizes(rows):
        columns = {f"x{n}": rng.normal(n, 10.0 ** (n % 5), size) for n in range(_DOUBLES)}
        yield pa.table({**columns, "Risk": labels[rng.integers(0, 2, size)]})


def _sizes(rows: int) -> Iterator[int]:
    yield from (min(_CHUNK, rows - start) for start in range(0, rows, _CHUNK))


def main() -> int:
    """Generate what is not there, profile, print; with 10 million rows also write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_profile", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="default 10,000,000")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="keeps the inputs")
    parser.add_argument("--profile", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.profile:
        profile_once(arguments.profile)
        return 0
    folder = arguments.folder / str(arguments.rows)
    folder.mkdir(parents=True, exist_ok=True)
    costs: dict[Case, Cost] = {}
    for case in cases(arguments.rows):
        if not (folder / case.file).exists():
            generate(folder / case.file, case.rows)
        costs[case] = measured(case, folder)
    print(report(costs))
    if arguments.rows == parser.get_default("rows"):
        _RESULTS.write_text(report(costs), encoding="utf-8")
    return int(any(cost.peak >= LIMIT for case, cost in costs.items() if case.file.endswith(".parquet")))


if __name__ == "__main__":
    sys.exit(main())
