"""A run of a subscription's DAG, started and followed over Airflow's REST API."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from paylog.airflow.rest import FINISHED, AirflowRest
from paylog.cli.answer import print_json, printable
from paylog.connections import resolve
from paylog.errors import StopError
from paylog.forecast import duration

if TYPE_CHECKING:
    from paylog.layout import Window
    from paylog.reprocess import Order, Reprocess
    from paylog.subscription import Subscription

_SECONDS_BETWEEN_LOOKS = 2.0
_MEGABYTE = 1_000_000
_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class AirflowRun:
    """One run, to be followed until it has finished."""

    def __init__(self, airflow: AirflowRest, dag_id: str, run_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._run_id = run_id
        self._started = time.monotonic()
        self._said = ""
        self._done, self._left = 0, ""

    @classmethod
    def start(
        cls,
        subscription: Subscription,
        connection: str,
        window: Window,
        reprocess: Reprocess,
        order: Order,
        batch_size: int | None,
    ) -> AirflowRun:
        """Trigger the subscription's DAG for a window, as its form does."""
        conf: dict[str, Any] = {
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "reprocess": reprocess.value,
            "order": order.value,
        }
        if batch_size:
            conf["batch_mb"] = max(1, batch_size // _MEGABYTE)
        airflow, dag_id = AirflowRest.of(resolve(connection)), f"paylog__{subscription.id}"
        if airflow.get(f"/dags/{dag_id}")["is_paused"]:
            raise StopError(f"DAG {dag_id} is paused in Airflow ({airflow.url}): unpause it first.")
        return cls(airflow, dag_id, airflow.trigger(dag_id, conf=conf))

    def follow(self, as_json: bool) -> None:
        """Say how far it is until it has finished, then print its receipt.

        :raises StopError: it failed; what was loaded stays, and a later run takes up the rest.
        """
        run = f"{self._airflow.url}/dags/{self._dag_id}/runs/{self._run_id}"
        self._say(f"Airflow runs it: {run}")
        with closing(self._airflow):
            state = self._awaited()
            if state == "failed":
                tasks = self._airflow.tasks(self._dag_id, self._run_id)
                raise StopError(f"{run} failed. {_failures(tasks)}")
            self._print_receipt(as_json)

    def _awaited(self) -> str:
        """The state that it ends in."""
        try:
            while (state := self._airflow.run(self._dag_id, self._run_id)["state"]) not in FINISHED:
                self._say(self._progress(self._airflow.tasks(self._dag_id, self._run_id)))
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            self._say("Airflow goes on with it; it can be stopped there.")
            raise
        return str(state)

    def _print_receipt(self, as_json: bool) -> None:
        if as_json:
            print_json(self._airflow.xcom(self._dag_id, self._run_id, "reconcile"))
        else:
            text = self._airflow.xcom(self._dag_id, self._run_id, "reconcile", "receipt")
            typer.echo(printable(str(text).replace(" · ", "\n  ")))

    def _progress(self, tasks: Sequence[dict[str, Any]]) -> str:
        """``12 of 40 batches, 3 min left``."""
        loads = [task for task in tasks if task["task_id"] == "ingest" and task["map_index"] >= 0]
        if not loads:
            return "planning"
        done = sum(task["state"] in _ENDED for task in loads)
        # Only then: between two batches the estimate would grow, line by line.
        if done != self._done:
            seconds = (time.monotonic() - self._started) * (len(loads) - done) / max(done, 1)
            self._done, self._left = done, f", {duration(seconds)} left" if 0 < done < len(loads) else ""
        states = Counter(task["state"] or "waiting" for task in loads if task["state"] not in _ENDED)
        now = f" ({', '.join(f'{count} {state}' for state, count in states.items())})" if states else ""
        return f"{done:,} of {len(loads):,} batches{self._left}{now}"

    def _say(self, text: str) -> None:
        if text != self._said:
            typer.echo(printable(text), err=True)
        self._said = text


def _failures(tasks: Sequence[dict[str, Any]]) -> str:
    failed = [task for task in tasks if task["state"] == "failed"]
    names = [str(task.get("rendered_map_index") or task["task_id"]) for task in failed[:3]]
    more = f" and {len(failed) - 3:,} more" if len(failed) > 3 else ""
    return f"Failed tasks: {'; '.join(names)}{more}. What was loaded stays."
