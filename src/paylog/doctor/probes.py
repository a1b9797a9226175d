"""Whether what a subscription names answers, in words: for ``paylog check`` and ``paylog doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paylog.errors import RetriableError

if TYPE_CHECKING:
    from paylog.subscription import Subscription


def list_one(subscription: Subscription) -> str:
    """List the first scoring log."""
    from paylog.pipeline import open_storage

    first = next(iter(open_storage(subscription).list("")), None)
    return f"there is {first.uri}" if first else "it can be listed, and holds no objects yet"


def sign_in(subscription: Subscription) -> str:
    """Sign in to the data mart."""
    from paylog.pipeline import open_data_mart

    schema_name = subscription.data_mart.schema_name
    with open_data_mart(subscription) as data_mart:
        if data_mart.is_set_up():
            return f"schema {schema_name!r} is set up"
    return f"schema {schema_name!r} has no control tables yet; the first run makes them"


def open_training(subscription: Subscription) -> str:
    """Open the training data."""
    from paylog.training_data import open_source

    data = open_source(subscription)
    return f"there is {data.version.location}, of {len(data.columns)} columns"


def ask_service(subscription: Subscription) -> str:
    """Ask the OpenScale service for its count."""
    from paylog.openscale.service import Busy
    from paylog.pipeline import open_service

    with open_service(subscription) as service:
        try:
            return f"it has {service.count():,} payload records"
        except Busy as busy:
            raise RetriableError(f"the service does not answer: {busy}") from None
