"""``paylog run``: plan, load, deliver and reconcile a window, as the DAG does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import (
    DEFAULT_FOLDER,
    Folder,
    From,
    Json,
    SubscriptionId,
    To,
    chosen_window,
    find_subscription,
)
from paylog.cli.deliver import delivered
from paylog.cli.exit_code import ExitCode, UnfinishedRunError, reported
from paylog.cli.plan import BatchSize, default_workers, plan_lines
from paylog.cli.stoppable import stoppable

if TYPE_CHECKING:
    from paylog.cli.progress import RunProgress
    from paylog.cli.reports import Report
    from paylog.plan import Plan
    from paylog.run_receipt import RunReceipt
    from paylog.subscription import Subscription

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=64,
        help="Processes that load batches at the same time.",
        show_default="the subscription's batch.max_parallel, at most one a core",
    ),
]


def run(
    subscription_id: SubscriptionId,
    start: From = None,
    end: To = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Load what is due, exactly once, and print the receipt. It may be stopped and run again at any time."""
    with reported(as_json), stoppable() as go_on:
        from paylog import pipeline

        subscription = find_subscription(folder, subscription_id)
        pipeline.prepare(subscription)
        window, origin = chosen_window(subscription, start, end)
        crew = workers or default_workers(subscription)
        planned = pipeline.plan(subscription, window, batch_bytes=batch_size, workers=crew)
        run_id = f"cli__{datetime.now(UTC).isoformat()}"
        load_planned(subscription, planned, run_id, origin, workers=crew, as_json=as_json, go_on=go_on)


def load_planned(
    subscription: Subscription,
    planned: Plan,
    run_id: str,
    origin: str,
    *,
    workers: int,
    as_json: bool,
    go_on: Callable[[], None],
) -> None:
    """Keep a plan, load its batches, deliver and reconcile; print the receipt.

    :param origin: where the window comes from, in words.
    :param go_on: raises when the command was asked to stop.
    :raises UnfinishedRunError: some batches failed; the receipt of the others was printed.
    """
    from paylog import pipeline

    pipeline.save_plan(subscription, planned, run_id)
    if not as_json:
        _announce(planned, origin)
    progress = _load(subscription, planned, run_id, workers, as_json, go_on)
    _conclude(subscription, planned, run_id, progress, as_json)


def _announce(planned: Plan, origin: str) -> None:
    first, *rest = plan_lines(planned)
    typer.echo(f"{first} ({origin})", err=True)
    for line in rest:
        typer.echo(line, err=True)


def _load(
    subscription: Subscription,
    planned: Plan,
    run_id: str,
    workers: int,
    quiet: bool,
    go_on: Callable[[], None],
) -> RunProgress:
    from paylog.cli.crew import Crew
    from paylog.cli.loader import Work
    from paylog.cli.progress import RunProgress

    sizes = {batch.batch_id: batch.bytes for batch in planned.batches}
    with (
        Crew(Work(subscription, run_id), list(sizes), workers) as crew,
        RunProgress(sizes, quiet) as progress,
    ):

        def listener(report: Report) -> None:
            go_on()
            progress(report)

        crew.load(listener)
    return progress


def _conclude(
    subscription: Subscription, planned: Plan, run_id: str, progress: RunProgress, as_json: bool
) -> None:
    """The receipt; after a failure that of the batches that were committed, and the exit code."""
    from paylog import pipeline

    receipts = [finished.receipt for finished in progress.finished]
    if progress.failed:
        kept = pipeline.RunReceipt.of(subscription.id, run_id, planned.window, receipts)
        _print(kept, progress, as_json)
        not_begun = len(planned.batches) - len(progress.finished) - len(progress.failed)
        skipped = f", {not_begun:,} not begun" if not_begun else ""
        raise UnfinishedRunError(
            f"{len(progress.failed):,} of {len(planned.batches):,} batches failed{skipped}; "
            f"{len(receipts):,} are committed and the watermark stays. A later run takes up the rest.",
            _worst(progress),
        )
    refused = delivered(subscription, run_id) if subscription.deliver else None
    _print(pipeline.reconcile(subscription, run_id, planned.window), progress, as_json)
    if refused is not None:
        raise refused


def _worst(progress: RunProgress) -> ExitCode:
    """The failure that keeps most batches from loading decides."""
    return next((f.code for f in progress.failed if f.fatal), progress.failed[0].code)


def _print(receipt: RunReceipt, progress: RunProgress, as_json: bool) -> None:
    if as_json:
        print_json(receipt.as_dict() | {"failed": [_failure(f) for f in progress.failed]})
        return
    typer.echo(receipt.as_text())
    if receipt.counts.read:
        typer.echo(f"  {progress.rows_a_second:,.0f} records/s", err=True)


def _failure(failed: Any) -> dict[str, Any]:
    return {
        "batch": failed.batch_id,
        "kind": failed.kind,
        "message": failed.message,
        "exit_code": int(failed.code),
    }
