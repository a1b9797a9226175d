"""How far a task and its run are, in the task's log and label."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from paylog.errors import PaylogError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 10.0
_MANY_BATCHES = 10


def run_progress(subscription: Subscription, context: Any) -> str:
    """How far the run is: in its log, and to be added to the label where there are many batches.

    Never raises: the batch is loaded, come what may.
    """
    from paylog.pipeline import open_data_mart

    try:
        with open_data_mart(subscription) as data_mart:
            state = data_mart.backfills.state(subscription.id, context["run_id"])
    except PaylogError as error:
        log.warning("how far the run is cannot be said: %s", error)
        return ""
    if state is None or state.batches == 1:
        return ""
    log.info("%s", state.as_text())
    return f" · {state.as_text()}" if state.batches >= _MANY_BATCHES else ""


def logged_progress() -> Callable[[int, int], None]:
    """Says how far a long batch is, every ten seconds."""
    started = due = time.monotonic()
    total = 0

    def progress(rows: int, stored_bytes: int) -> None:
        nonlocal due, total
        total += rows
        now = time.monotonic()
        if now >= due + _PROGRESS_SECONDS:
            due = now
            log.info("%d rows read so far, %.0f a second", total, total / (now - started))

    return progress
