"""Subscriptions: what one declares, read from one YAML file each, and every error in them at once."""

from paylog.subscription.files import (
    SubscriptionFiles,
    json_schema,
    load_subscriptions,
    read_subscriptions,
    write_json_schema,
)
from paylog.subscription.service_provider import ServiceProvider
from paylog.subscription.subscription import ErrorBudget, Subscription

__all__ = [
    "ErrorBudget",
    "ServiceProvider",
    "Subscription",
    "SubscriptionFiles",
    "json_schema",
    "load_subscriptions",
    "read_subscriptions",
    "write_json_schema",
]
