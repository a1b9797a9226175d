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
import json, resource, sys
from paylog.subscription import Subscription
from paylog.training_data import open_source, profile
one = Subscription.model_validate(json.loads(sys.argv[1]))
found = profile(open_source(one), one)
print(found.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


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
    """``small.parquet`` and ``large.parquet``, eight times as long, with a double that never repeats."""
    folder, rng = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    for name, chunks in (("small", 1), ("large", 8)):
        writer = None
        for _ in range(chunks):
            columns, weight = CREDIT_RISK.score(rng, ROWS)
            table = pa.table({**columns, "weight": weight})
            writer = writer or pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    return folder


def test_eight_times_the_rows_take_no_more_than_the_samples_bound(folder: Path) -> None:
    small = peak(folder, "small.parquet", ROWS)
    large = peak(folder, "large.parquet", 8 * ROWS)
    assert large < 450_000_000
    # The sample of row hashes grows to its million and no further: 16 MB, and twice that while merging.
    assert large - small < 120_000_000
