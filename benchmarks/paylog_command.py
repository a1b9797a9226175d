"""``paylog run`` over one log, as a user types it: its subscription, its connections, its command line.

Usage: ``python -m benchmarks.paylog_command prepare FOLDER`` makes the tables of the subscription in FOLDER;
``… start FOLDER`` does what a load does before its first query, and ends.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paylog.cli.lean import settle, start_lean

if TYPE_CHECKING:
    from paylog.connections import Connection

_MAIN = "from paylog.cli import main; main()"


def argv(folder: Path, workers: int) -> list[str]:
    """The command line that loads the log."""
    from benchmarks.payload_table import END, START, SUBSCRIPTION

    window = ["--from", START.isoformat(), "--to", END.isoformat()]
    chosen = ["--subscriptions", str(folder), "--workers", str(workers), "--json"]
    return [sys.executable, "-c", _MAIN, "run", SUBSCRIPTION, *window, *chosen]


def subscribe(folder: Path, engine: str) -> None:
    """Write the subscription to credit risk as that engine serves it. YAML reads JSON."""
    from benchmarks.payload_table import SUBSCRIPTION

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{SUBSCRIPTION}.yaml"
    file.write_text(json.dumps(subscription_document(engine), indent=2), encoding="utf-8")


def subscription_document(engine: str) -> dict[str, Any]:
    """The subscription to credit risk as that engine serves it, as plain JSON values."""
    from benchmarks.payload_table import ENGINES, MODEL_SCHEMA, SCHEMA, SUBSCRIPTION

    fields = [{"name": f.name, "type": f.type.value, "role": f.role.value} for f in MODEL_SCHEMA.fields]
    schema = {"problem_type": "binary", "class_labels": list(MODEL_SCHEMA.class_labels), "fields": fields}
    positive = MODEL_SCHEMA.class_labels[1]
    response = {"response": {"predicted_label": "prediction", "score": f"P({positive})"}}
    return {
        "id": SUBSCRIPTION,
        "service_provider": ENGINES[engine],
        "deployment": {"id": SUBSCRIPTION},
        "logs": {"connection": "bench_logs", "layout": "%Y/%m/%d/%H/"},
        "model_schema": schema | (response if engine == "sagemaker" else {}),
        "data_mart": {"connection": "bench_data_mart", "schema": SCHEMA},
    }


def environment(dsn: str, logs: Path) -> dict[str, str]:
    """The two connections, as paylog takes them from the environment."""
    return {
        "AIRFLOW_CONN_BENCH_DATA_MART": _data_mart(dsn),
        "AIRFLOW_CONN_BENCH_LOGS": json.dumps({"conn_type": "paylog_folder", "extra": {"path": str(logs)}}),
    }


def bucket_environment(dsn: str, logs: Connection) -> dict[str, str]:
    """The same two under the names of ``paylog.testing.exactly_once``, with the logs in a bucket."""
    from paylog.testing.exactly_once.served_model import DATA_MART, LOGS

    known = {"conn_type": logs.conn_type, "login": logs.login, "password": logs.password, "extra": logs.extra}
    return {
        f"AIRFLOW_CONN_{DATA_MART.upper()}": _data_mart(dsn),
        f"AIRFLOW_CONN_{LOGS.upper()}": json.dumps(known),
    }


def _data_mart(dsn: str) -> str:
    """A connection as JSON."""
    from psycopg.conninfo import conninfo_to_dict

    info: dict[str, Any] = conninfo_to_dict(dsn)
    return json.dumps(
        {"conn_type": "postgres", "login": info["user"], "schema": info["dbname"], "host": info["host"]}
    )


def _prepare(folder: Path) -> None:
    from benchmarks.payload_table import SUBSCRIPTION
    from paylog import pipeline
    from paylog.cli.choice import find_subscription

    pipeline.prepare(find_subscription(folder, SUBSCRIPTION))


def _start(folder: Path) -> None:
    """As ``paylog run`` does until it connects."""
    start_lean()
    for name in ("paylog.cli.app", "paylog.pipeline"):
        import_module(name)
    from paylog.cli.choice import find_subscription
    from paylog.cli.crew import Crew
    from paylog.cli.loader import Work

    (subscription,) = folder.glob("*.yaml")
    with Crew(Work(find_subscription(folder, subscription.stem), "start"), ["0000"], 1):
        settle()


if __name__ == "__main__":
    {"prepare": _prepare, "start": _start}[sys.argv[1]](Path(sys.argv[2]))
