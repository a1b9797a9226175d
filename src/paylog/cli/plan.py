"""``paylog plan``: what a run would load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from paylog.plan import Plan

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


def plan(
    subscription_id: SubscriptionId,
    start: From = None,
    end: To = None,
    batch_size: BatchSize = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show what a run would load: batches, objects, bytes. Reads no data and changes nothing."""
    with reported(as_json):
        from paylog import pipeline

        subscription = find_subscription(folder, subscription_id)
        window, _ = chosen_window(subscription, start, end)
        planned = pipeline.plan(subscription, window, batch_bytes=batch_size)
        if as_json:
            print_json(plan_document(planned))
        else:
            _print(planned)


def plan_document(planned: Plan) -> dict[str, Any]:
    """The plan as plain JSON values."""
    return {
        "subscription": planned.subscription_id,
        "window": [planned.window.start.isoformat(), planned.window.end.isoformat()],
        "objects": planned.objects,
        "bytes": planned.bytes,
        "already_loaded": planned.already_loaded,
        "changed": planned.changed,
        "too_young": planned.too_young,
        "late": planned.late,
        "forgotten": planned.forgotten,
        "batches": [
            {"batch": b.batch_id, "label": b.label, "objects": len(b.objects), "bytes": b.bytes}
            for b in planned.batches
        ],
    }


def plan_lines(planned: Plan) -> list[str]:
    """What there is to do, in words."""
    work = f"{_counted(planned.objects, 'object')} in {_counted(len(planned.batches), 'batch', 'es')}"
    notes = {
        "already loaded": planned.already_loaded,
        "changed since they were loaded": planned.changed,
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


def _print(planned: Plan) -> None:
    for line in plan_lines(planned):
        typer.echo(line)
    if planned.batches:
        typer.echo()
        print_table(("batch", "what"), ((b.batch_id, b.label) for b in planned.batches))
