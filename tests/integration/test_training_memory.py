"""A profile's memory does not grow with the training data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.testing.scored_model import CREDIT_RISK

ROWS = 200_000
PROGRAM = """
import json, sys
from pathlib import Path
from paylog.subscription import Subscription
from paylog.training_data import open_source, profile
one = Subscription.model_validate(json.loads(sys.argv[1]))
found = profile(open_source(one), one)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(found.rows, int(status["VmHWM"].split()[0]) * 1024)
"""
"""Not ``ru_maxrss``: that is never less than what the process that started this one had."""


def subscription(file: str) -> str:
    features = [{"name": f.name, "type": f.type.value} for f in CREDIT_RISK.features]
    outputs = [
        {"name": "prediction", "type": "string", "role": "prediction"},
        {"name": "weight", "type": "double", "role": "target"},
    ]
    return json.dumps(
        {
            "id": "big",
            "service_provider": "custom_machine_learning",
            "deployment": {"id": "big"},
            "logs": {},
            "data_mart": {"schema": "mart"},
            "model_schema": {"fields": features + outputs},
            "training_data": {"type": "cos", "connection": "big", "object": file},
        }
    )


def peak(folder: Path, file: str, rows: int) -> int:
    """Bytes, of a process that profiles the file and nothing else."""
    definition = json.dumps({"conn_type": "paylog_folder", "extra": {"path": str(folder)}})
    command = [sys.executable, "-c", PROGRAM, subscription(file)]
    environment = os.environ | {"AIRFLOW_CONN_BIG": definition}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found, peak = map(int, done.stdout.split())
    assert found == rows
    return peak


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``once.parquet``: more rows than the sample of hashes holds; ``twice.parquet``: twice as many."""
    folder, rng = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    for name, chunks in (("once", 6), ("twice", 12)):
        writer = None
        for _ in range(chunks):
            columns, weight = CREDIT_RISK.score(rng, ROWS)
            table = pa.table({**columns, "weight": weight})
            writer = writer or pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_twice_the_rows_take_no_more_memory(folder: Path) -> None:
    once = peak(folder, "once.parquet", 6 * ROWS)
    twice = peak(folder, "twice.parquet", 12 * ROWS)
    assert twice < 450_000_000
    assert twice - once < 80_000_000
