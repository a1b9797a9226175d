"""``python -m benchmarks.soak --minutes 30``: small files for half an hour; fails when anything grows.

20 subscriptions, 1,000 objects a minute in an S3-compatible store, two loader processes that run each of
their subscriptions once a minute and never end. Every ten seconds: memory, descriptors, connections, lag.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from benchmarks import report
from benchmarks.paylog_command import bucket_environment
from benchmarks.server import Server, running
from benchmarks.soak_work import BUCKET, OBJECTS_A_MINUTE, RECORDS
from paylog.testing.exactly_once.served_model import LOGS
from paylog.testing.object_store import ObjectStore

SUBSCRIPTIONS, LOADERS, WRITERS = 20, 2, 4
RESULTS = Path(__file__).parent / "SOAK.md"
_EVERY = 10.0
_MB = 2**20
# A quantity may be so much more at the end than at the beginning: a share of it, and an amount.
_MAY_GROW = {
    "loaders_mb": (0.05, 8.0),
    "postgres_mb": (0.10, 20.0),
    "descriptors": (0.0, 2.0),
    "connections": (0.0, 2.0),
    "lag_objects": (0.25, OBJECTS_A_MINUTE * SUBSCRIPTIONS / 4),
}


@dataclass(frozen=True)
class Sample:
    """The state at one moment.

    :param loaders_mb: memory of the loaders that is theirs alone.
    :param postgres_mb: memory of PostgreSQL's processes without the shared buffers, which fill.
    :param lag_objects: written and not loaded.
    :param cpu: seconds that the loaders have spent so far.
    """

    seconds: float
    written: int
    loaded: int
    loaders_mb: float
    postgres_mb: float
    descriptors: int
    connections: int
    lag_objects: int
    cpu: float


def sample(server: Server, folder: Path, loaders: Sequence[psutil.Process], began: float) -> Sample:
    """Look at everything once."""
    written = sum(int(file.read_text()) for file in folder.glob("written-*"))
    loaded = int(str(server.value("SELECT count(*) FROM paylog.paylog_object WHERE state = 'loaded'")))
    backends = psutil.Process(server.postmaster).children(recursive=True)
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'paylog'"
    return Sample(
        time.monotonic() - began,
        written,
        loaded,
        sum(each.memory_full_info().uss for each in loaders) / _MB,
        sum(_own_memory(each) for each in backends) / _MB,
        sum(each.num_fds() for each in loaders),
        int(str(server.value(count))),
        written - loaded,
        sum(sum(each.cpu_times()[:2]) for each in loaders),
    )


def _own_memory(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(memory.rss - memory.shared)


def grown(samples: Sequence[Sample]) -> list[str]:
    """What is more in the last sixth than in the second one (the first is for warming up)."""
    sixth = len(samples) // 6
    found = []
    for name, (share, amount) in _MAY_GROW.items():
        first, last = (
            median(getattr(each, name) for each in part)
            for part in (samples[sixth : 2 * sixth], samples[-sixth:])
        )
        if last > first * (1 + share) + amount:
            found.append(f"{name} grew from {first:,.1f} to {last:,.1f}")
    return found


def wrong(server: Server) -> list[str]:
    """Receipts that do not balance, and rows that are missing or too many."""
    found = []
    unbalanced = "read <> loaded + duplicate + rejected + filtered + pending"
    if server.value(f"SELECT count(*) FROM paylog.paylog_receipt WHERE {unbalanced}"):
        found.append("receipts do not balance")
    objects = int(str(server.value("SELECT count(*) FROM paylog.paylog_object WHERE state = 'loaded'")))
    tables = (
        f'SELECT count(*) AS n FROM paylog."Payload_model-{number:02d}"' for number in range(SUBSCRIPTIONS)
    )
    rows = int(str(server.value(f"SELECT sum(n)::bigint FROM ({' UNION ALL '.join(tables)})")))
    if rows != objects * RECORDS:
        found.append(f"{rows:,} rows of {objects:,} objects")
    return found


def soak(folder: Path, minutes: float, server: Server, store: ObjectStore) -> list[Sample]:
    """Run it; one sample every ten seconds."""
    store.create_bucket(BUCKET)
    environment = os.environ | bucket_environment(server.dsn, store.connection(LOGS))
    numbers = [str(n) for n in range(SUBSCRIPTIONS)]
    samples: list[Sample] = []
    with ExitStack() as ending:

        def start(task: str, numbers: Sequence[str]) -> psutil.Process:
            argv = [sys.executable, "-m", "benchmarks.soak_work", task, str(folder), *numbers]
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment)
            ending.callback(process.wait)
            ending.callback(process.communicate)
            return psutil.Process(process.pid)

        loaders = [start("load", numbers[n::LOADERS]) for n in range(LOADERS)]
        _wait_for_tables(server)
        for n in range(WRITERS):
            start("write", numbers[n::WRITERS])
        began = time.monotonic()
        while (now := time.monotonic() - began) < 60 * minutes:
            time.sleep(_EVERY - now % _EVERY)
            samples.append(sample(server, folder, loaders, began))
            print(json.dumps(asdict(samples[-1])), flush=True)
    return samples


def _wait_for_tables(server: Server) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'paylog' AND tablename ~ '^Payload_model-..$'"
    while server.value(tables) != SUBSCRIPTIONS:
        time.sleep(0.5)


def document(samples: Sequence[Sample], facts: Sequence[str], problems: Sequence[str]) -> str:
    """The results in Markdown: medians of each tenth of the time."""
    names = [each.name for each in fields(Sample)][1:]
    lines = [f"| minutes | {' | '.join(names)} |", f"| --: |{' --: |' * len(names)}"]
    tenth = max(1, len(samples) // 10)
    for start in range(0, len(samples) - tenth + 1, tenth):
        part = samples[start : start + tenth]
        cells = [f"{median(getattr(each, name) for each in part):,.0f}" for name in names]
        lines.append(f"| {part[0].seconds / 60:.0f} to {part[-1].seconds / 60:.0f} | {' | '.join(cells)} |")
    verdict = "; ".join(problems) or "Nothing grew; every receipt balances; every row is there once."
    head = f"# Soak: {samples[-1].seconds / 60:.0f} minutes of small files"
    return "\n\n".join([head, __doc__ or "", "\n".join(lines), f"**{verdict}**", "\n".join(facts)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    with TemporaryDirectory(prefix="paylog-soak-") as name, ExitStack() as servers:
        folder = Path(name)
        folder.chmod(0o711)
        server = servers.enter_context(running(folder / "postgres", autovacuum=True))
        store = servers.enter_context(ObjectStore(folder / "objects"))
        samples = soak(folder, minutes, server, store)
        problems = grown(samples) + wrong(server)
        facts = [f"- {fact}" for fact in report.machine(server)]
    text = document(samples, facts, problems)
    print(text)
    if minutes >= 30:
        RESULTS.write_text(text)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
