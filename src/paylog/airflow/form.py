"""The trigger form of a subscription's DAG: what it asks, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from paylog.reprocess import Order, Reprocess

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_MODES = {
    Reprocess.NEW: "new: what is not loaded yet",
    Reprocess.REJECTED: "rejected: new, and again objects with records in quarantine",
    Reprocess.EVERYTHING: "everything: all objects of the window again, in place of what they loaded",
}
_ORDERS = {Order.OLDEST: "oldest first", Order.NEWEST: "newest first"}


@dataclass(frozen=True, slots=True)
class Form:
    """The answers, window aside.

    :param plan_only: stop before anything is changed.
    """

    batch_bytes: int
    reprocess: Reprocess
    order: Order
    plan_only: bool

    @classmethod
    def of(cls, params: Mapping[str, Any], subscription: Subscription) -> Form:
        """What a run was started with; a scheduled run has the defaults."""
        megabytes = int(params["batch_mb"])
        # The form shows whole megabytes of what the subscription says to the byte.
        unchanged = megabytes == _megabytes(subscription)
        return cls(
            subscription.batch.bytes if unchanged else megabytes * 1_000_000,
            Reprocess(params["reprocess"]),
            Order(params["order"]),
            bool(params["plan_only"]),
        )


def form_params(subscription: Subscription) -> dict[str, Param]:
    """The trigger form: window, mode, order, batch size; all optional."""
    moment: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "window_start": Param(
            None,
            title="Window start",
            description="Load what the engine wrote from here on. Empty: the period the run stands for.",
            **moment,
        ),
        "window_end": Param(
            None,
            title="Window end",
            description="Exclusive. Empty with a start: up to the last closed period.",
            **moment,
        ),
        "plan_only": Param(
            False,
            title="Plan only",
            description="Say what would be loaded, about how long it takes and which records of a sample "
            "would be rejected. Changes nothing.",
            type="boolean",
        ),
        "reprocess": _choice(
            _MODES,
            title="Reprocess",
            description="What of the window is loaded. Each takes in the ones before.",
        ),
        "order": _choice(_ORDERS, title="Order", description="Which end of the window is loaded first."),
        "batch_mb": Param(
            _megabytes(subscription),
            title="Batch size (MB)",
            description="Stored bytes that one ingest task loads in one transaction.",
            type="integer",
            minimum=1,
            maximum=100_000,
        ),
    }


def _megabytes(subscription: Subscription) -> int:
    return max(1, subscription.batch.bytes // 1_000_000)


def _choice(values: Mapping[Any, str], **shown: Any) -> Param:
    """A drop-down list; the first value is the default."""
    names = [str(value) for value in values]
    said = {str(value): text for value, text in values.items()}
    return Param(names[0], type="string", enum=names, values_display=said, **shown)
