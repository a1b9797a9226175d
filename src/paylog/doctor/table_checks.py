"""A subscription's payload table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paylog.doctor.examination import Answer, Health
from paylog.upkeep import months_ahead

if TYPE_CHECKING:
    from paylog.subscription import Subscription


def drift(subscription: Subscription) -> Answer:
    """The payload table against the model schema."""
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as mart:
        changes = mart.vitals.drift(subscription)
    if not changes:
        return Answer(Health.OK, "fits the model schema")
    if changes[0].startswith("CREATE TABLE"):
        return Answer(Health.OK, "not there yet: the first run, or paylog data-mart setup, makes it")
    remedy = "The next run does that, or paylog data-mart setup."
    return Answer(Health.WARNING, f"differs from the model schema: {'; '.join(changes)}", remedy)


def partitions_ahead(subscription: Subscription) -> Answer:
    """Partitions of this month and the next."""
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as mart:
        found = [p for p in mart.maintenance.partitions(subscription.id) if p.attached]
    if not found:
        return Answer(Health.OK, "no partition yet: loads make what they need")
    wanted = [str(month) for month in months_ahead(datetime.now(UTC))[:2]]
    missing = [month for month in wanted if month not in {f"{p.month:%Y-%m}" for p in found}]
    if not missing:
        return Answer(Health.OK, f"{len(found)} months, the last {found[-1].month:%Y-%m}")
    remedy = "Unpause the DAG paylog_maintenance, or run paylog maintain --apply. Until then loads make them."
    return Answer(Health.WARNING, f"none for {', '.join(missing)}", remedy)
