"""``paylog replay``: quarantined records once more, after what was wrong is mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import (
    DEFAULT_FOLDER,
    Folder,
    Json,
    OfReason,
    SubscriptionId,
    To,
    asked_window,
    find_subscription,
)
from paylog.cli.deliver import delivered
from paylog.cli.exit_code import reported


def replay(
    subscription_id: SubscriptionId,
    reason: OfReason = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only records of objects from this time on."),
    ] = None,
    end: To = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Load quarantined records again, and print what became of them. Twice is as good as once."""
    with reported(as_json):
        from paylog import pipeline
        from paylog.replay import Selection
        from paylog.replay import replay as replay_records

        subscription = find_subscription(folder, subscription_id)
        window = asked_window(subscription, start, end)
        pipeline.prepare(subscription)
        run_id = f"replay__{datetime.now(UTC).isoformat()}"
        receipt = replay_records(subscription, run_id, Selection(reason, window))
        wanted = subscription.deliver is not None and receipt.receipt.counts.loaded
        refused = delivered(subscription, run_id) if wanted else None
        if as_json:
            print_json(receipt.as_dict())
        else:
            typer.echo(receipt.as_text())
        if refused is not None:
            raise refused
