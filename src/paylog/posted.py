"""Payload records that are handed over rather than logged: the same rules, table and receipts as a log's.

What is handed over in one call is one capture object, named by its content: handing over the same again
finds it in the ledger and loads nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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


class Decoders:
    """Decoders by subscription, kept from post to post with the shapes that they learned.

    Threads may share it: each decoder is lent to one at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, tuple[Subscription, list[Decoder]]] = {}

    @contextmanager
    def lent(self, subscription: Subscription) -> Iterator[Decoder]:
        """A decoder of posts; it is not kept when what was done with it failed."""
        with self._lock:
            known, idle = self._idle.get(subscription.id, (None, []))
            if known is not subscription:
                idle = []
                self._idle[subscription.id] = subscription, idle
            kept = idle.pop() if idle else None
        decoder = kept or Decoder(subscription, CustomMachineLearning(subscription))
        yield decoder
        idle.append(decoder)


def store(
    data_mart: DataMart, subscription: Subscription, records: bytes, decoders: Decoders | None = None
) -> Receipt:
    """Load payload records in one transaction.

    :param records: NDJSON or a JSON array of OpenScale payload records.
    :param decoders: kept from the post before.
    :raises ErrorBudgetExceeded: too many rejects; nothing was kept.
    """
    digest, now = post_name(records), datetime.now(UTC)
    item = CaptureObject(post_uri(subscription.id, digest), digest, digest, len(records), now)
    window = now, now + timedelta(microseconds=1)
    with data_mart.load(subscription, digest, RUN_ID, window) as load:
        with load.object(item) as target, (decoders or Decoders()).lent(subscription) as decoder:
            if target is not None:
                for block in decoder.blocks(item, iter([records])):
                    target.add(block)
        return load.receipt()
