"""``paylog watermark``: through when each subscription is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from paylog.cli.answer import moment, print_json
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import reported

if TYPE_CHECKING:
    from paylog.data_mart import Watermark


def watermark(
    subscription_ids: SubscriptionIds = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Say through when the logs are complete in the data mart, and how many objects came late."""
    with reported(as_json):
        from paylog.pipeline import open_data_mart

        found: dict[str, Watermark | None] = {}
        for subscription in find_subscriptions(folder, subscription_ids):
            with open_data_mart(subscription) as data_mart:
                known = data_mart.watermark(subscription.id) if data_mart.is_set_up() else None
            found[subscription.id] = known
        if as_json:
            print_json([_document(name, known) for name, known in found.items()])
            return
        for name, known in found.items():
            typer.echo(f"{name} {completeness(known)}")


def completeness(known: Watermark | None) -> str:
    """``is complete through 2024-03-04 14:00 UTC, 3 objects late``."""
    if known is None:
        return "has not finished a run yet"
    late = known.late_objects
    came = f", {late:,} object{'s' if late != 1 else ''} late" if late else ""
    return f"is complete through {moment(known.complete_through)} UTC{came}"


def _document(name: str, known: Watermark | None) -> dict[str, Any]:
    through = known.complete_through.isoformat() if known else None
    return {
        "subscription": name,
        "complete_through": through,
        "late_objects": known.late_objects if known else 0,
        "updated_at": known.updated_at.isoformat() if known else None,
    }
