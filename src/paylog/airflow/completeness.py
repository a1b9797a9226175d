"""The asset ``paylog/<subscription id>/complete``: an event each time that the watermark moves on.

Drift and fairness jobs that need whole hours or days are scheduled on it, not on the payload asset, which has
an event for every run. A task that names an asset has an event whenever it succeeds: so this one has a task
of its own, which is skipped when the watermark stays. (An asset alias would need none, but the first events
of two runs at once both create it, and Airflow fails the task of the later one.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

from paylog.airflow.links import task

if TYPE_CHECKING:
    from paylog.run_receipt import RunReceipt
    from paylog.subscription import Subscription

_MOVE = "watermark"


def completeness_asset(subscription: Subscription) -> Asset:
    """Its events carry ``complete_through``, ``previous`` (ISO 8601) and ``late_objects`` in ``extra``."""
    mart = subscription.data_mart
    uri = f"paylog://{mart.connection}/{mart.schema_name}/{subscription.id}/complete"
    return Asset(name=f"paylog/{subscription.id}/complete", uri=uri)


def keep_move(context: Any, receipt: RunReceipt) -> None:
    """For ``complete_task``: how far this run moved the watermark, if it did. A retry of it says the same."""
    if receipt.complete_through is None or receipt.moved_from is None:
        return
    move = {
        "complete_through": receipt.complete_through.isoformat(),
        "previous": receipt.moved_from.isoformat(),
        "late_objects": receipt.late_objects,
    }
    context["ti"].xcom_push(_MOVE, move)


def complete_task(subscription: Subscription) -> Any:
    """The task behind ``reconcile`` that announces the move."""
    asset = completeness_asset(subscription)

    @task(
        outlets=[asset],
        multiple_outputs=False,
        doc_md="Announces how far the logs are complete; skipped when the watermark did not move.",
    )
    def complete() -> dict[str, Any]:
        from airflow.sdk.exceptions import AirflowSkipException

        context = get_current_context()
        move: dict[str, Any] | None = context["ti"].xcom_pull(task_ids="reconcile", key=_MOVE)
        if move is None:
            raise AirflowSkipException("The watermark did not move.")
        context["outlet_events"][asset].extra = move
        return move

    return complete()
