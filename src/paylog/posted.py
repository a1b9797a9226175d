"""Payload records that are handed over rather than logged: the same rules, table and receipts as a log's.

What is handed over in one call is one capture object, named by its content: handing over the same again
finds it in the ledger and loads nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from paylog.data_mart import DataMart
from paylog.decode import Decoder
from paylog.engines.custom_machine_learning import CustomMachineLearning
from paylog.records import CaptureObject, Receipt
from paylog.subscription import Subscription

RUN_ID = "posted"


def post_name(records: bytes) -> str:
    """Name of what is handed over: its content's, so that handing it over again is known."""
    return sha256(records).hexdigest()[:32]


def post_uri(subscription_id: str, name: str) -> str:
    """Its URI in the ledger."""
    return f"posted://{subscription_id}/{name}"


def store(data_mart: DataMart, subscription: Subscription, records: bytes) -> Receipt:
    """Load payload records in one transaction.

    :param records: NDJSON or a JSON array of OpenScale payload records.
    :raises ErrorBudgetExceeded: too many rejects; nothing was kept.
    """
    digest, now = post_name(records), datetime.now(UTC)
    item = CaptureObject(post_uri(subscription.id, digest), digest, digest, len(records), now)
    decoder = Decoder(subscription, CustomMachineLearning(subscription))
    window = now, now + timedelta(microseconds=1)
    with data_mart.load(subscription, digest, RUN_ID, window) as load:
        with load.object(item) as target:
            if target is not None:
                for block in decoder.blocks(item, iter([records])):
                    target.add(block)
        return load.receipt()
