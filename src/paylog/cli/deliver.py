"""``paylog deliver``: post what is loaded and not confirmed to the OpenScale service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionId, find_subscription
from paylog.cli.exit_code import ExitCode, UnfinishedRunError, reported
from paylog.errors import PaylogError

if TYPE_CHECKING:
    from paylog.data_mart.deliveries import DeliveryCounts
    from paylog.subscription import Subscription


def deliver(
    subscription_id: SubscriptionId,
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Rows of this run only.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also rows that the service did not take before.")
    ] = False,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Post rows that are loaded, and not confirmed yet, to the subscription's OpenScale service.

    Rows that are confirmed are never posted again, so it may be stopped and run again at any time.
    """
    with reported(as_json):
        counts = post(find_subscription(folder, subscription_id), run_id, retry_failed=retry_failed)
        if as_json:
            print_json({"subscription": subscription_id, "run": run_id, **counts.as_dict()})
        else:
            typer.echo(f"{subscription_id}  delivered: {counts.as_text()}")


def post(subscription: Subscription, run_id: str | None, *, retry_failed: bool = False) -> DeliveryCounts:
    """Deliver, and say every ten seconds on stderr how far it is. Errors as ``pipeline.deliver``'s."""
    from paylog import pipeline
    from paylog.openscale.progress import DeliveryProgress

    progress = DeliveryProgress(lambda line: typer.echo(f"{subscription.id}  {line}", err=True))
    return pipeline.deliver(subscription, run_id, progress, retry_failed=retry_failed)


def delivered(subscription: Subscription, run_id: str) -> UnfinishedRunError | None:
    """Deliver a run. What fails is to be told after the receipt: the rows are loaded all the same."""
    try:
        post(subscription, run_id)
    except PaylogError as error:
        return UnfinishedRunError(str(error), ExitCode.of(error))
    return None
