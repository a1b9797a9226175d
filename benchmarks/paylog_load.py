"""paylog over one log: plan, then ingest every batch in one or more worker processes, all guarantees on.

Usage: ``python -m benchmarks.paylog_load DSN FOLDER custom|sagemaker WORKERS``; no workers: make the tables
only; ``start`` instead: start only. Prints its counts and the seconds of the work itself, without the
interpreter's start, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from typing import Any

from benchmarks.payload_table import END, ENGINES, MODEL_SCHEMA, SCHEMA, START, SUBSCRIPTION
from paylog import pipeline
from paylog.cli.lean import without_pandas
from paylog.records import Counts, Receipt
from paylog.subscription import Subscription

_WINDOW = pipeline.Window(START, END)
_RESPONSES = {
    "custom": {},
    "sagemaker": {"predicted_label": "prediction", "score": f"P({MODEL_SCHEMA.class_labels[1]})"},
}


def subscription(engine: str) -> Subscription:
    """Credit risk as that engine serves it."""
    fields = [{"name": f.name, "type": f.type.value, "role": f.role.value} for f in MODEL_SCHEMA.fields]
    schema = {"problem_type": "binary", "class_labels": list(MODEL_SCHEMA.class_labels), "fields": fields}
    response = {"response": _RESPONSES[engine]} if _RESPONSES[engine] else {}
    return Subscription.model_validate(
        {
            "id": SUBSCRIPTION,
            "service_provider": ENGINES[engine],
            "deployment": {"id": SUBSCRIPTION},
            "logs": {"connection": "bench_logs", "layout": "%Y/%m/%d/%H/"},
            "model_schema": {**schema, **response},
            "data_mart": {"connection": "bench_data_mart", "schema": SCHEMA},
        }
    )


def environment(dsn: str, folder: str) -> dict[str, str]:
    """The two connections, as paylog takes them from the environment."""
    from psycopg.conninfo import conninfo_to_dict

    info: dict[str, Any] = conninfo_to_dict(dsn)
    mart = {
        "conn_type": "postgres",
        "login": info["user"],
        "schema": info["dbname"],
        "host": info["host"],
    }
    return {
        "AIRFLOW_CONN_BENCH_DATA_MART": json.dumps(mart),
        "AIRFLOW_CONN_BENCH_LOGS": json.dumps({"conn_type": "paylog_folder", "extra": {"path": folder}}),
    }


def _ingest(engine: str, run_id: str, batch: pipeline.Batch) -> Receipt:
    return pipeline.ingest(subscription(engine), batch, run_id, _WINDOW)


def load(engine: str, workers: int) -> Counts:
    """A whole run: everything that is not loaded yet, checked at the end; the sum of the receipts' counts."""
    plan = pipeline.plan(subscription(engine), _WINDOW)
    ingest = partial(_ingest, engine, run_id := f"bench-{time.time_ns()}")
    counts = Counts()
    if workers == 1:
        for batch in plan.batches:
            counts += ingest(batch).counts
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for receipt in pool.map(ingest, plan.batches):
                counts += receipt.counts
    pipeline.reconcile(subscription(engine), run_id, _WINDOW)
    return counts


def _start() -> None:
    """Import what a load imports, and no more."""
    import pyarrow as pa

    for name in ("paylog.decode", "paylog.data_mart"):
        import_module(name)
    pa.array([0])


without_pandas()  # as the command line does, in this process and in its workers
if __name__ == "__main__":
    _dsn, _folder, _engine, _workers = sys.argv[1:]
    os.environ.update(environment(_dsn, _folder))
    if _workers == "0":
        pipeline.prepare(subscription(_engine))
        sys.exit()
    if _workers in ("1", "start"):
        _start()
    if _workers == "start":
        sys.exit()
    _began = time.perf_counter()
    _counts = load(_engine, int(_workers))
    print(json.dumps({**asdict(_counts), "seconds": time.perf_counter() - _began}))
