"""``paylog backfill``: a whole range as one run, here or in Airflow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionId, chosen_window, find_subscription
from paylog.cli.exit_code import reported
from paylog.cli.plan import BatchSize, Mode, default_workers
from paylog.cli.run import Workers, load_planned
from paylog.cli.stoppable import stoppable
from paylog.reprocess import Order, Reprocess

if TYPE_CHECKING:
    from paylog.layout import Window
    from paylog.subscription import Subscription


def backfill(
    subscription_id: SubscriptionId,
    start: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Start of the range: 2024-03-04 or 2024-03-04T05:00Z."),
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the range, exclusive.")],
    reprocess: Mode = Reprocess.NEW,
    order: Annotated[
        Order, typer.Option("--order", help="Which end of the range is loaded first.")
    ] = Order.OLDEST,
    workers: Workers = None,
    batch_size: BatchSize = None,
    airflow: Annotated[
        str | None,
        typer.Option(
            "--airflow",
            metavar="CONNECTION",
            help="Let Airflow load it, and follow the run: id of the connection (http) to its API server.",
        ),
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Load a range of any length as one run, beside whatever else runs, and print the receipt.

    Stopped with Ctrl-C, or by anything worse, the same command goes on where it was.
    """
    with reported(as_json), stoppable() as go_on:
        subscription = find_subscription(folder, subscription_id)
        window, _ = chosen_window(subscription, start, end)
        if airflow:
            from paylog.cli.airflow_run import AirflowRun

            AirflowRun.start(subscription, airflow, window, reprocess, order, batch_size).follow(as_json)
            return
        crew = workers or default_workers(subscription)
        _load(subscription, window, reprocess, order, crew, batch_size, as_json, go_on)


def _load(
    subscription: Subscription,
    window: Window,
    reprocess: Reprocess,
    order: Order,
    workers: int,
    batch_size: int | None,
    as_json: bool,
    go_on: Callable[[], None],
) -> None:
    from paylog import pipeline

    pipeline.prepare(subscription)
    run_id, origin = _run_id(subscription, window, reprocess)
    planned = pipeline.plan(
        subscription,
        window,
        batch_bytes=batch_size,
        workers=workers,
        reprocess=reprocess,
        order=order,
        run_id=run_id,
    )
    load_planned(subscription, planned, run_id, origin, workers=workers, as_json=as_json, go_on=go_on)


def _run_id(subscription: Subscription, window: Window, reprocess: Reprocess) -> tuple[str, str]:
    """That of the same backfill which was stopped, else a new one; and which of them it is, in words.

    What is new the ledger knows; what was loaded again already, only the run that did it.
    """
    from paylog.pipeline import open_data_mart

    prefix = f"backfill__{reprocess}__"
    if reprocess is not Reprocess.NEW:
        with open_data_mart(subscription) as data_mart:
            span, version = (window.start, window.end), subscription.model_schema.version
            stopped = data_mart.backfills.resumable(subscription.id, prefix, span, version)
        if stopped:
            return stopped, "going on where it was stopped"
    return f"{prefix}{datetime.now(UTC).isoformat()}", f"backfill, {reprocess}"
