"""Deliveries to ``paylog serve`` beside IBM's v2 SDK: the same records, the same server, one run.

Needs the environment that ``tests/acceptance/test_openscale_sdks.py`` makes for the SDK.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.inputs import Input, named
from paylog.cli.lean import settle
from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.openscale.delivery import Deliverer
from paylog.openscale.service import Service
from paylog.posted import store
from paylog.serve.data_sets import data_set_id
from paylog.subscription import Subscription, load_subscriptions
from paylog.testing.postgres import EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[1]
KEY = "an-api-key-of-the-benchmark"
INSTANCE = "11111111-2222-3333-4444-555555555555"
SDK = REPOSITORY / ".build" / "ibm_sdks" / "v2" / "bin" / "python"
LEAST = 5.0
PAYLOG = "paylog, every row confirmed"
SIZES = (1_000, 10_000)
"""Records a request; IBM's service takes about a thousand, ``paylog serve`` what fits in 64 MiB."""
_BYTES_A_RECORD = 900
_FILES_A_BATCH = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """Records a second of one contestant, who posted ``records`` in requests of ``size``."""

    who: str
    size: int
    records: int
    rate: float


def subscription(name: str, schema: str, size: int = SIZES[0]) -> Subscription:
    """The shipped one of a custom engine, under another id; ``size`` records a request, eight at once."""
    (shipped,) = load_subscriptions(REPOSITORY / "subscriptions" / "credit_risk.yaml")
    document = shipped.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for section in ("training_data", "judgement", "fairness", "monitors"):
        document.pop(section, None)
    target = {"connection": "data_mart", "schema": schema}
    deliver = {
        "data_set": data_set_id(name, "payload_logging"),
        "rows": size,
        "bytes": size * _BYTES_A_RECORD,
        "max_parallel": 8,
    }
    return Subscription.model_validate({**document, "id": name, "data_mart": target, "deliver": deliver})


def load(mart: DataMart, loaded: Subscription, log: Input) -> list[int]:
    """The log's records as loaded batches; their receipts."""
    mart.setup()
    mart.ensure(loaded)
    files = sorted(log.logs.rglob("*.jsonl"))
    parts = [files[i : i + _FILES_A_BATCH] for i in range(0, len(files), _FILES_A_BATCH)]
    return [store(mart, loaded, b"".join(f.read_bytes() for f in part)).receipt_id for part in parts]


def deliver(mart: DataMart, loaded: Subscription, receipts: list[int], address: str) -> float:
    """Seconds until every row is confirmed."""
    assert loaded.deliver is not None
    extra = {"auth": "preauth", "instance_id": INSTANCE}
    connection = Connection("service", "paylog_openscale", address, password=KEY, extra=extra)
    settle()  # as every command of paylog does
    began = time.perf_counter()
    with Service(connection, loaded.deliver) as service:
        deliverer = Deliverer(mart, loaded, service)
        for receipt in receipts:
            assert deliverer.deliver(receipt, lambda *_: None).failed == 0
    return time.perf_counter() - began


def sdk(address: str, name: str, log: Input, records: int, size: int, mode: str) -> float:
    """Records a second that IBM's v2 SDK posted. ``mode``: wait until they are stored, or go on."""
    data_set = data_set_id(name, "payload_logging")
    arguments = [address, INSTANCE, KEY, data_set, str(records), str(size), mode, str(log.logs)]
    script = REPOSITORY / "tests" / "acceptance" / "ibm_sdks" / "post_v2.py"
    done = subprocess.run([str(SDK), str(script), *arguments], capture_output=True, text=True, check=True)
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said["records"] / said["seconds"]


@contextmanager
def served(uri: str, schema: str) -> Iterator[str]:
    """Address of a ``paylog serve`` process."""
    environment = os.environ | {"AIRFLOW_CONN_DATA_MART": uri, "PAYLOG_SERVE_API_KEY": KEY}
    command = [str(Path(sys.executable).parent / "paylog"), "serve", "--connection", "data_mart"]
    command += ["--schema", schema, "--instance", INSTANCE, "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        try:
            yield _address(Path(log.name), process)
        finally:
            process.terminate()
            process.wait(20)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        words = log.read_text().split()
        if found := [word for word in words if word.startswith("http://127.0.0.1:")]:
            httpx.get(f"{found[0]}/health").raise_for_status()
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(log.read_text())


def race(log: Input) -> tuple[list[Rate], dict[str, int]]:
    """Records a second by contestant, and rows stored by subscription."""
    names = ["waits", "single", *(f"{who}-{size}" for who in ("paylog", "sdk") for size in SIZES)]
    with EmbeddedPostgres(port=0) as postgres:
        for name in ("here", "there"):
            postgres.create_database(name)
        here, there = (postgres.url(name, "postgres") for name in ("here", "there"))
        client = DataMartClient(INSTANCE)
        client.use(parse("data_mart", there), "there")
        client.set_up()
        for name in names:
            client.mart.ensure(subscription(name, "there"))
        with served(there, "there") as address:
            # The slow ones first, so that the server is warm for the others.
            single = sdk(address, "single", log, 500, 1, "go")
            waits = sdk(address, "waits", log, 4 * SIZES[0], SIZES[0], "wait")
            rates = [rate for size in SIZES for rate in _same_requests(log, here, address, size)]
            rates.append(Rate("SDK, which waits until each is confirmed", SIZES[0], 4 * SIZES[0], waits))
            rates.append(Rate("SDK, not confirmed", 1, 500, single))
            stored = {name: client.mart.payload.count(name) for name in names}
        client.mart.close()
    return rates, stored


def _same_requests(log: Input, here: str, address: str, size: int) -> Iterator[Rate]:
    """Both, with as many records a request."""
    loaded = subscription(f"paylog-{size}", "here", size)
    with DataMart(parse("data_mart", here), "here") as mart:
        receipts = load(mart, loaded, log)
        seconds = deliver(mart, loaded, receipts, address)
    yield Rate(PAYLOG, size, log.records, log.records / seconds)
    rate = sdk(address, f"sdk-{size}", log, log.records, size, "go")
    yield Rate("SDK, as it is by default: not confirmed", size, log.records, rate)


def main() -> int:
    """Run and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".build" / "bench")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    rates, stored = race(named(arguments.folder, "custom", arguments.records).written())
    ours = {rate.size: rate.rate for rate in rates if rate.who == PAYLOG}
    print("| who | records a request | posted | records/s | paylog is faster | at least 5 times |")
    print("| :-- | --: | --: | --: | --: | :-- |")
    missed = False
    for one in rates:
        line = f"| {one.who} | {one.size:,} | {one.records:,} | {one.rate:,.0f} |"
        if one.who == PAYLOG:
            print(f"{line} | |")
            continue
        times = ours.get(one.size, ours[SIZES[0]]) / one.rate
        missed |= times < LEAST
        print(f"{line} {times:,.1f} times | {'PASS' if times >= LEAST else 'FAIL'} |")
    print(f"Stored: {stored}; load average {os.getloadavg()[0]:.1f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
