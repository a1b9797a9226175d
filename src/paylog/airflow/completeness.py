"""The asset ``paylog/<subscription id>/complete``: an event each time that the watermark moves on.

Drift and fairness jobs that need whole hours or days are scheduled on it, not on the payload asset, which has
an event for every run. An alias carries the event: a task that names an asset itself has one every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from paylog.run_receipt import RunReceipt
    from paylog.subscription import Subscription


def completeness_asset(subscription: Subscription) -> Asset:
    """Its events carry ``complete_through``, ``previous`` (ISO 8601) and ``late_objects`` in ``extra``."""
    mart = subscription.data_mart
    uri = f"paylog://{mart.connection}/{mart.schema_name}/{subscription.id}/complete"
    return Asset(name=f"paylog/{subscription.id}/complete", uri=uri)


def completeness_alias(subscription: Subscription) -> AssetAlias:
    """What a task has to name as its outlet to be able to announce a move."""
    return AssetAlias(name=f"paylog/{subscription.id}/watermark")


def announce(subscription: Subscription, context: Any, receipt: RunReceipt) -> None:
    """Emit the event, if this run moved the watermark. A retry of the run emits the same."""
    if receipt.complete_through is None or receipt.moved_from is None:
        return
    context["outlet_events"][completeness_alias(subscription)].add(
        completeness_asset(subscription),
        extra={
            "complete_through": receipt.complete_through.isoformat(),
            "previous": receipt.moved_from.isoformat(),
            "late_objects": receipt.late_objects,
        },
    )
