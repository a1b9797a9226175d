"""A run's deliveries held against the service's own count."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from paylog.connections import resolve
from paylog.data_mart import DataMart
from paylog.data_mart.deliveries import DeliveryCounts
from paylog.errors import AccessDenied, ConfigurationError, RetriableError, UnbalancedReceipt
from paylog.openscale.service import Busy, Service
from paylog.subscription import Subscription
from paylog.subscription.delivery import ServiceApi

log = logging.getLogger(__name__)

_LAST = timedelta(seconds=1)  # the service may keep fewer digits of a second


def audited(data_mart: DataMart, subscription: Subscription, run_id: str) -> DeliveryCounts:
    """What became of a run's rows; ``service``: what the service counts, None where it did not say.

    v2 is asked for the records between the run's first and last scoring time, v1 for all records. The
    service may have more than were confirmed, of other runs and writers, never fewer.

    :raises UnbalancedReceipt: more was delivered than loaded, or the service has fewer than it confirmed.
    """
    counts = data_mart.delivery.counts(subscription.id, run_id)
    if not counts.balanced:
        raise UnbalancedReceipt(
            f"{subscription.id}: run {run_id} delivered {counts.confirmed + counts.failed:,} rows, but "
            f"loaded {counts.loaded:,}. Deliveries were changed by hand, or paylog has a defect."
        )
    found = _counted_there(data_mart, subscription, run_id) if counts.confirmed else None
    confirmed = counts.confirmed
    if subscription.deliver is not None and subscription.deliver.api is ServiceApi.V1:
        confirmed = data_mart.delivery.counts(subscription.id).confirmed
    if found is not None and found < confirmed:
        raise UnbalancedReceipt(
            f"{subscription.id}: the service confirmed {confirmed:,} rows, but counts {found:,} in the same "
            f"time (run {run_id}). Records were deleted there, or deliver names another data set."
        )
    return replace(counts, service=found)


def _counted_there(data_mart: DataMart, subscription: Subscription, run_id: str) -> int | None:
    settings, span = subscription.deliver, data_mart.delivery.scoring_span(subscription.id, run_id)
    if settings is None or span is None:
        return None
    try:
        with Service(resolve(settings.connection), settings) as service:
            return service.count((span[0], span[1] + _LAST))
    except (Busy, AccessDenied, ConfigurationError, RetriableError) as error:
        log.warning("the service does not say how many records it has: %s", error)
        return None
