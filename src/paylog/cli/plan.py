"""``paylog plan``: what a run would load."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import megabytes, print_json, print_table
from paylog.cli.choice import (
    DEFAULT_FOLDER,
    Folder,
    From,
    Json,
    SubscriptionId,
    To,
    chosen_window,
    find_subscription,
    parse_bytes,
)
from paylog.cli.exit_code import reported
from paylog.reprocess import Reprocess

if TYPE_CHECKING:
    from paylog.plan import Plan
    from paylog.preview import Preview
    from paylog.subscription import Subscription

BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="SIZE",
        parser=parse_bytes,
        help="Stored bytes of one batch, like 64MB.",
        show_default="the subscription's batch.bytes",
    ),
]
Mode = Annotated[
    Reprocess,
    typer.Option(
        "--reprocess",
        help="What to load: new objects; also those with records in quarantine, again; or everything, again.",
    ),
]


def plan(
    subscription_id: SubscriptionId,
    start: From = None,
    end: To = None,
    batch_size: BatchSize = None,
    reprocess: Mode = Reprocess.NEW,
    sample: Annotated[
        bool, typer.Option("--sample", help="Look into a few objects too: which records would be rejected?")
    ] = False,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show what a run would load: objects, bytes, and about how many records and minutes. Changes nothing."""
    with reported(as_json):
        from paylog import pipeline
        from paylog.preview import preview
        from paylog.sampling import SAMPLED_OBJECTS

        subscription = find_subscription(folder, subscription_id)
        window, _ = chosen_window(subscription, start, end)
        crew = default_workers(subscription)
        planned = pipeline.plan(
            subscription, window, batch_bytes=batch_size, workers=crew, reprocess=reprocess
        )
        seen = preview(subscription, planned, crew, SAMPLED_OBJECTS if sample else 0)
        if as_json:
            print_json(seen.as_dict())
        else:
            _print(seen)


def default_workers(subscription: Subscription) -> int:
    """Processes that load where nobody says how many."""
    return min(subscription.batch.max_parallel, os.cpu_count() or 1)


def plan_lines(planned: Plan) -> list[str]:
    """What there is to do, in words."""
    work = f"{_counted(planned.objects, 'object')} in {_counted(len(planned.batches), 'batch', 'es')}"
    notes = {
        "already loaded": planned.already_loaded,
        "new": planned.new if planned.new < planned.objects else 0,
        "changed since they were loaded": planned.changed,
        "growing, read on from where they ended": planned.growing,
        "read again": planned.again,
        "late": planned.late,
        "too young, left for the next run": planned.too_young,
        "too old, behind the subscription's retention": planned.forgotten,
    }
    said = [f"{count:,} {what}" for what, count in notes.items() if count]
    return [
        f"{planned.subscription_id}  {planned.window} UTC",
        f"  to load: {work}, {megabytes(planned.bytes)}",
        *(f"  {s}" for s in said),
    ]


def _counted(number: int, what: str, plural: str = "s") -> str:
    return f"{number:,} {what}{plural if number != 1 else ''}"


def _print(seen: Preview) -> None:
    planned = seen.plan
    for line in plan_lines(planned):
        typer.echo(line)
    if not planned.batches:
        return
    typer.echo(f"  {seen.estimate()} ({seen.forecast.basis})")
    for line in seen.verdict():
        typer.echo(f"  {line}")
    typer.echo()
    print_table(("batch", "what"), ((b.batch_id, b.label) for b in planned.batches))
