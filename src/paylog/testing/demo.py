"""``make demo``: from nothing to balanced payload records in PostgreSQL, with Airflow to look at."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from paylog.errors import PaylogError, StopError
from paylog.records import Counts
from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.db2 import Db2Server
from paylog.testing.demo_logs import DAYS, demo_logs, write_demo_logs
from paylog.testing.demo_training import (
    DB2_CONNECTION,
    DB2_TABLE,
    PLANTED,
    demo_db2,
    subscriptions_with_db2,
    write_training_data,
)
from paylog.testing.stack import Stack

PORT = 8080
_FREE_BYTES = 1_000_000_000
_COUNTED = ("read", "loaded", "duplicate", "rejected", "pending")
_WINDOW = {
    "window_start": DAYS[0].isoformat(),
    "window_end": (DAYS[-1] + (DAYS[1] - DAYS[0])).isoformat(),
    "batch_mb": 1,
}

out = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 when the data mart holds exactly what was planted."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _demo(options)
    except KeyboardInterrupt:
        return 0
    except PaylogError as error:
        out.print(f"[red]The demo stopped.[/red] {error}", soft_wrap=True)
        return 1


def _demo(options: argparse.Namespace) -> int:
    state = _state_folder(Path.cwd())
    started = time.monotonic()
    here = Path.cwd()
    out.print(f"paylog demo. Everything it keeps is in {state.relative_to(here)}/, its logs too.")
    with demo_db2(state) as db2:
        stack = _stack(state, here, options.port, db2)
        return _run(stack, options, started)


def _stack(state: Path, here: Path, port: int, db2: Db2Server | None) -> Stack:
    subscriptions, more = here / "subscriptions", {}
    if db2 is not None:
        out.print(f"The churn model's training data is in Db2, table {DB2_TABLE}.")
        subscriptions = subscriptions_with_db2(subscriptions, state)
        more = {DB2_CONNECTION: {"conn_type": "ibm_db2", "extra": db2.connection.extra}}
    return Stack(state, dags=here / "dags", subscriptions=subscriptions, port=port, more_connections=more)


def _run(stack: Stack, options: argparse.Namespace, started: float) -> int:
    try:
        with _step("Start PostgreSQL, the object store and Airflow"):
            stack.start()
        with _step("Write scoring logs of two models on four engines, and training data") as said:
            said.append("{} objects, {} of them new".format(*write_demo_logs(stack.object_store.client)))
            write_training_data(stack.object_store.client)
        with _step("Wait for Airflow"):
            api = stack.wait_ready()
        with _step("Check the training data"):
            checks = _check_training_data(stack, api)
        with _step("Run the DAGs: plan, ingest, reconcile"):
            wanted = {f"paylog__{day.subscription_id}": day.subscription_id for day in demo_logs()}
            runs = _run_dags(stack, api, wanted, _WINDOW)
        right = _show_training_data(checks) & _show(stack, api, runs)
        out.print(f"\n{time.monotonic() - started:.0f} s from start to receipts.")
        if not options.once:
            _stay(stack)
    finally:
        out.print("Stopping everything that was started ...")
        stack.stop()
    return 0 if right else 1


def _check_training_data(stack: Stack, api: AirflowApi) -> dict[str, dict[str, Any]]:
    """Subscription id → the check that its training data's DAG made."""
    wanted = {f"paylog_training_data__{name}": name for name in PLANTED if name in _with_training_data(stack)}
    runs = _run_dags(stack, api, wanted, {})
    return {
        name: api.xcom(f"paylog_training_data__{name}", ids[0], "check", "check")
        for name, ids in runs.items()
    }


def _with_training_data(stack: Stack) -> set[str]:
    from paylog.subscription import load_subscriptions

    return {s.id for s in load_subscriptions(stack.subscriptions) if s.training_data is not None}


def _run_dags(
    stack: Stack, api: AirflowApi, wanted: dict[str, str], conf: dict[str, Any]
) -> dict[str, list[str]]:
    """Subscription id → ids of the finished runs of its DAG: the one asked for, and that of the schedule.

    :param wanted: DAG id → subscription id.
    """
    stack.wait(lambda: set(wanted) <= api.dags(), what="the DAGs to be parsed")
    began = datetime.now(UTC)
    for dag_id in wanted:
        api.trigger(dag_id, conf=conf)
    for dag_id in wanted:
        api.unpause(dag_id)
    runs: dict[str, list[str]] = {}
    for dag_id, name in wanted.items():
        while left := set(api.runs(dag_id, began)) - set(runs.setdefault(name, [])):
            for run_id in sorted(left):
                _wait_for_run(stack, api, dag_id, run_id)
                runs[name].append(run_id)
    return runs


def _wait_for_run(stack: Stack, api: AirflowApi, dag_id: str, run_id: str) -> None:
    def finished() -> bool:
        return api.run(dag_id, run_id)["state"] in FINISHED

    stack.wait(finished, seconds=240, what=f"run {run_id} of {dag_id}")
    if api.run(dag_id, run_id)["state"] != "success":
        failed = [t["task_id"] for t in api.tasks(dag_id, run_id) if t["state"] == "failed"]
        raise StopError(
            f"{dag_id} failed in {', '.join(failed)}: see the task's log in {stack.airflow.logs / 'tasks'}"
        )


def _show_training_data(checks: dict[str, dict[str, Any]]) -> bool:
    """Print what was found in the training data; whether that is what was planted."""
    table = _table("Training data", ["subscription"])
    for name in ("rows", "status", "found", "planted"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    right = True
    for name, check in checks.items():
        found = [finding["code"] for finding in check["findings"]]
        right = right and found == PLANTED[name]
        cells = [", ".join(codes) or "nothing" for codes in (found, PLANTED[name])]
        table.add_row(name, f"{check['rows'] or 0:,}", check["status"], *cells)
    out.print(table)
    return right


def _show(stack: Stack, api: AirflowApi, runs: dict[str, list[str]]) -> bool:
    """Print receipts and the data mart's own counts; whether both are what was planted."""
    receipts = {
        name: _sum([api.xcom(f"paylog__{name}", run, "reconcile") for run in ids])
        for name, ids in runs.items()
    }
    out.print(_receipt_table(receipts))
    planted = _planted()
    kept = {name: _kept(stack, name) for name in runs}
    out.print(_mart_table(planted, kept))
    # Runs that find everything loaded read nothing.
    right = all(
        receipts[name]["balanced"]
        and (_is_planted(receipts[name], counts) or receipts[name]["read"] == 0)
        and kept[name] == (counts.loaded, reasons)
        for name, (counts, reasons) in planted.items()
    )
    if not right:
        out.print("[red]The data mart does not hold what was planted: this is a defect in paylog.[/red]")
    return right


def _sum(receipts: list[dict[str, Any]]) -> dict[str, Any]:
    total = {name: sum(receipt[name] for receipt in receipts) for name in ("objects", *_COUNTED)}
    return total | {"balanced": all(receipt["balanced"] for receipt in receipts)}


def _is_planted(receipt: dict[str, Any], counts: Counts) -> bool:
    """Halves that waited for their other half, in another batch, were read on top of the rows."""
    read = receipt["read"] - receipt["pending"]
    return read == counts.read and all(
        receipt[name] == getattr(counts, name) for name in ("loaded", "duplicate", "rejected")
    )


def _planted() -> dict[str, tuple[Counts, Counter[str]]]:
    """What the logs of each subscription must count, and its rejects by reason."""
    found: dict[str, tuple[Counts, Counter[str]]] = {}
    for day in demo_logs():
        counts, reasons = found.setdefault(day.subscription_id, (Counts(), Counter()))
        counts += day.expected.counts
        reasons.update({str(reason): rows for reason, rows in day.expected.reasons.items()})
    return found


def _kept(stack: Stack, subscription_id: str) -> tuple[int, Counter[str]]:
    """Rows in the payload table and rows in quarantine by reason, as PostgreSQL counts them."""
    from paylog.connections import Connection
    from paylog.data_mart import DataMart
    from paylog.subscription import load_subscriptions

    subscription = next(s for s in load_subscriptions(stack.subscriptions) if s.id == subscription_id)
    connection = Connection(subscription.data_mart.connection, **stack.connections()["paylog_data_mart"])
    with DataMart(connection, subscription.data_mart.schema_name) as data_mart:
        rows = len(data_mart.payload.frame(subscription_id, columns=["scoring_id"]))
        reasons = data_mart.quarantine_counts(subscription_id)
    return rows, Counter({str(reason): count for reason, count in reasons.items()})


def _receipt_table(receipts: dict[str, dict[str, Any]]) -> Table:
    table = _table("Receipts: read = loaded + duplicate + rejected + pending", ["subscription"])
    for name in ("objects", *_COUNTED, "balanced"):
        table.add_column(name, justify="right")
    for name, receipt in receipts.items():
        cells = [f"{receipt[key]:,}" for key in ("objects", *_COUNTED)]
        table.add_row(name, *cells, "yes" if receipt["balanced"] else "[red]NO[/red]")
    return table


def _mart_table(
    planted: dict[str, tuple[Counts, Counter[str]]], kept: dict[str, tuple[int, Counter[str]]]
) -> Table:
    table = _table("In the data mart", ["subscription", "rows"])
    for name in ("planted", "found"):
        table.add_column(name, justify="right")
    for name, (counts, reasons) in planted.items():
        rows, rejects = kept[name]
        table.add_row(name, "payload records", f"{counts.loaded:,}", f"{rows:,}")
        for reason in sorted(reasons | rejects):
            table.add_row("", f"rejected: {reason}", f"{reasons[reason]:,}", f"{rejects[reason]:,}")
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in columns:
        table.add_column(name)
    return table


def _stay(stack: Stack) -> None:
    """Until Ctrl-C, or until a component of Airflow ends."""
    out.print(f"\nAirflow:  [bold]{stack.airflow.url}[/bold]")
    for user, password in stack.airflow.users.items():
        out.print(f"          user {user}, password {password}")
    env = (stack.state / "env").relative_to(Path.cwd())
    out.print(f"paylog:   . {env} && .venv/bin/paylog status")
    out.print("Ctrl-C stops everything; a later make demo goes on from here.")
    while True:
        stack.airflow.check()
        time.sleep(1)


@contextmanager
def _step(what: str) -> Iterator[list[str]]:
    """Say what is being done, then how long it took and what came of it."""
    said: list[str] = []
    started = time.monotonic()
    out.print(f"{what} ...", end=" ")
    try:
        yield said
    except BaseException:
        out.print()
        raise
    out.print(", ".join([f"{time.monotonic() - started:.1f} s", *said]))


def _state_folder(repository: Path) -> Path:
    if not (repository / "dags").is_dir() or not (repository / "subscriptions").is_dir():
        raise StopError("Run it in a clone of the repository, with: make demo")
    state = repository / ".paylog"
    state.mkdir(exist_ok=True)
    free = shutil.disk_usage(state).free
    if free < _FREE_BYTES:
        raise StopError(f"The demo needs 1 GB of free disk in {state}, and there are {free // 1_000_000} MB.")
    return state


def _interrupt(number: int, frame: object) -> None:
    # A second Ctrl-C must not break off the stopping.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    port = int(os.environ.get("PAYLOG_PORT", PORT))
    parser.add_argument("--port", type=int, default=port, help="of the Airflow UI")
    parser.add_argument("--once", action="store_true", help="stop after the receipts")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
