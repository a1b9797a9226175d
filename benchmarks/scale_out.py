"""``python -m benchmarks.scale_out``: one subscription with 1, 2 and 4 workers, 25 ms from its object store.

Many small objects in an S3-compatible store behind a proxy that holds each request for 25 ms, loaded with
``paylog run --workers N`` into an empty data mart. What counts is how much of the waiting two workers share.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.measure import Measure, measure
from benchmarks.paylog_command import bucket_environment
from benchmarks.server import Server, running
from paylog.testing.exactly_once.served_model import LOGS, credit
from paylog.testing.object_store import ObjectStore
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import PayloadLog

RESULTS = Path(__file__).parent / "SCALE_OUT.md"
LATENCY = 0.025
BUCKET = "scoring-logs"
WORKERS = (1, 2, 4)
TARGET = 1.8
_START = datetime(2024, 3, 4, tzinfo=UTC)
_DAY = timedelta(days=1)
_MAIN = "from paylog.cli import main; main()"
_PROXY = """
import sys
from paylog.testing.tcp_proxy import TcpProxy
with TcpProxy(("127.0.0.1", int(sys.argv[1])), latency=float(sys.argv[2])) as proxy:
    print(proxy.port, flush=True)
    sys.stdin.read()
"""


@contextmanager
def distant(store: ObjectStore, latency: float) -> Iterator[str]:
    """The store's endpoint behind a proxy in a process of its own."""
    argv = [sys.executable, "-c", _PROXY, str(store.port), str(latency)]
    with Popen(argv, stdin=PIPE, stdout=PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
        proxy.communicate()


def argv(folder: Path, workers: int, batch_bytes: int) -> list[str]:
    """``paylog run`` over the day."""
    window = ["--from", _START.isoformat(), "--to", (_START + _DAY).isoformat()]
    chosen = ["--subscriptions", str(folder), "--batch-size", str(batch_bytes), "--workers", str(workers)]
    return [sys.executable, "-c", _MAIN, "run", "credit", *window, *chosen, "--json"]


def rounds(
    server: Server, folder: Path, variables: dict[str, str], size: int, rows: int, repeat: int
) -> dict[int, Measure]:
    """The fastest of some loads with each number of workers: other work on the machine only ever delays."""
    found: dict[int, list[Measure]] = {workers: [] for workers in WORKERS}
    for _ in range(repeat):
        for workers in WORKERS:
            server.execute("DROP SCHEMA IF EXISTS paylog CASCADE")
            # Eight batches for each of four workers.
            load = measure(server, argv(folder, workers, size // 32), rows, variables)
            assert server.value('SELECT count(*) FROM paylog."Payload_credit"') == rows
            found[workers].append(load)
            print(f"{workers} workers: {load.rate:,.0f} records/s in {load.wall:.1f} s", flush=True)
    return {workers: min(loads, key=lambda load: load.wall) for workers, loads in found.items()}


def document(found: dict[int, Measure], objects: int, facts: Sequence[str]) -> str:
    """The results in Markdown."""
    lines = [
        "| workers | records/s | objects/s | times one | wall s | CPU s/M | paylog CPU | PostgreSQL CPU |",
        "| --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for workers, load in found.items():
        gain = found[1].wall / load.wall
        lines.append(
            f"| {workers} | {load.rate:,.0f} | {objects / load.wall:,.0f} | {gain:.2f} | {load.wall:.1f} | "
            f"{load.cpu_per_million:.0f} | {load.client_cpu:.1f} | {load.server_cpu:.1f} |"
        )
    gain = found[1].wall / found[2].wall
    judged = "met" if gain >= TARGET else "missed"
    verdict = f"From one worker to two: {gain:.2f} times (target {TARGET}: {judged})."
    return "\n\n".join(["# Scale-out", __doc__ or "", "\n".join(lines), verdict, "\n".join(facts)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_out", description=__doc__)
    parser.add_argument("--objects", type=int, default=3_600)
    parser.add_argument("--records", type=int, default=20, help="in each object")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds a request")
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    rows = options.objects * options.records
    log = PayloadLog(
        model=CREDIT_RISK, records=rows, start=_START, end=_START + _DAY, objects_count=options.objects
    )
    with TemporaryDirectory(prefix="paylog-scale-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        subscription = credit(logs={"bucket": BUCKET, "prefix": "credit/"})
        (folder / "credit.yaml").write_text(json.dumps(subscription.document()))
        with running(folder / "postgres") as server, ObjectStore(folder / "objects") as store:
            store.create_bucket(BUCKET)
            size = 0
            for one in log.objects():
                store.put(BUCKET, f"credit/{one.key}", one.data)
                size += len(one.data)
            with distant(store, options.latency) as endpoint:
                variables = bucket_environment(server.dsn, store.connection(LOGS, endpoint_url=endpoint))
                found = rounds(server, folder, variables, size, rows, options.repeat)
            facts = [
                f"- {options.objects:,} objects of {size / options.objects / 1000:.0f} kB, "
                f"{options.latency * 1000:.0f} ms a request; the fastest of {options.repeat} loads each",
                "- CPU s/M: CPU seconds for a million records, paylog and PostgreSQL; start included",
                *(f"- {fact}" for fact in report.machine(server)),
            ]
    text = document(found, options.objects, facts)
    print(text)
    RESULTS.write_text(text)
    return int(found[1].wall / found[2].wall < TARGET)


if __name__ == "__main__":
    sys.exit(main())
