"""Pairing hands its memory back: a process that pairs run after run stays as small as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from paylog.connections import Connection
from paylog.testing.collector_logs import INPUTS, CollectorLog
from paylog.testing.exactly_once.served_model import DAY, LogFolder, subscription_of
from paylog.testing.scored_model import CREDIT_RISK

PAIRS, MEGABYTE = 24_000, 1_000_000
PROGRAM = """
from paylog.cli.lean import settle, start_lean
start_lean()
import json, sys
from datetime import datetime
from pathlib import Path
import pyarrow as pa
from paylog import pipeline
from paylog.subscription import Subscription
import paylog.data_mart, paylog.decode
settle()

def status(name):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024

window = pipeline.Window(*map(datetime.fromisoformat, sys.argv[1:3]))
for document in sys.argv[3:]:
    one = Subscription.model_validate(json.loads(document))
    pipeline.prepare(one)
    for batch in pipeline.save_plan(one, pipeline.plan(one, window), "run"):
        pipeline.ingest_planned(one, "run", batch["batch"])
    counts = pipeline.reconcile(one, "run", window).counts
    found = counts.loaded, counts.pending, status("VmRSS"), status("VmHWM"), pa.total_allocated_bytes()
    print(json.dumps(found))
"""


def definition(connection: Connection) -> str:
    given = asdict(connection)
    return json.dumps({name: value for name, value in given.items() if value and name != "conn_id"})


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_pairing_again_and_again_takes_no_more_memory(empty_database: Connection, tmp_path: Path) -> None:
    folder = LogFolder(tmp_path)
    folder.fill(CollectorLog(model=CREDIT_RISK, start=DAY.start, end=DAY.end, records=PAIRS, objects_count=6))
    requests = {"layout": f"{INPUTS}/%Y/%m/%d/%H/"}
    logs = [requests, *({"layout": f"{{{INPUTS},model_outputs}}/%Y/%m/%d/%H/"} for _ in range(4))]
    subscriptions = [
        subscription_of(
            f"run{i}", "azure_machine_learning_service", CREDIT_RISK, "string", {}, {"logs": section}
        )
        for i, section in enumerate(logs)
    ]
    documents = [json.dumps(one.document()) for one in subscriptions]
    environment = os.environ | {
        "AIRFLOW_CONN_SCORING_LOGS": definition(folder.connection),
        "AIRFLOW_CONN_DATA_MART": definition(empty_database),
    }
    command = [sys.executable, "-c", PROGRAM, DAY.start.isoformat(), DAY.end.isoformat(), *documents]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (waiting, *paired) = [json.loads(line) for line in done.stdout.splitlines()]
    assert waiting[:2] == [0, PAIRS]
    assert [found[:2] for found in paired] == [[PAIRS, 0]] * 4
    resident, peaks, arrow = zip(*(found[2:] for found in (waiting, *paired)), strict=True)
    assert max(arrow) < MEGABYTE  # no half is held beyond its batch
    assert resident[4] < 1.1 * resident[2]
    assert peaks[4] < 300 * MEGABYTE
