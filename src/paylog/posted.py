"""Payload records that are handed over rather than logged: the same rules, table and receipts as a log's.

What is handed over in one call is one capture object, named by its content: handing over the same again
finds it in the ledger and loads nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from paylog.data_mart import DataMart
from paylog.decode import Decoder
from paylog.engines.custom_machine_learning import CustomMachineLearning
from paylog.posted_form import fitting
from paylog.records import Block, CaptureObject, Counts, Receipt
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
        self._idle: dict[tuple[str, bool], tuple[Subscription, list[Decoder]]] = {}

    @contextmanager
    def lent(self, subscription: Subscription, records: bytes) -> Iterator[Decoder]:
        """A decoder of posts like these; it is not kept when what was done with it failed."""
        read_as = fitting(subscription, records)
        key = subscription.id, read_as is subscription
        with self._lock:
            known, idle = self._idle.get(key, (None, []))
            if known is not subscription:
                idle = []
                self._idle[key] = subscription, idle
            kept = idle.pop() if idle else None
        decoder = kept or Decoder(read_as, CustomMachineLearning(read_as))
        yield decoder
        idle.append(decoder)


@dataclass(frozen=True, slots=True)
class Post:
    """What is handed over in one call: a capture object, and what was decoded of it."""

    subscription: Subscription
    item: CaptureObject
    blocks: Iterable[Block]


def decoded(subscription: Subscription, records: bytes, decoders: Decoders) -> Post:
    """Payload records that are to be stored, perhaps with others.

    :param records: NDJSON or a JSON array of OpenScale payload records.
    """
    item = _item(subscription, records)
    with decoders.lent(subscription, records) as decoder:
        return Post(subscription, item, list(decoder.blocks(item, iter([records]))))


def store(data_mart: DataMart, subscription: Subscription, records: bytes) -> Receipt:
    """Load payload records in one transaction.

    :param records: NDJSON or a JSON array of OpenScale payload records.
    :raises ErrorBudgetExceeded: too many rejects; nothing was kept.
    """
    item = _item(subscription, records)
    read_as = fitting(subscription, records)
    blocks = Decoder(read_as, CustomMachineLearning(read_as)).blocks(item, iter([records]))
    receipt, _ = store_together(data_mart, [Post(subscription, item, blocks)])
    return receipt


def store_together(data_mart: DataMart, posts: Sequence[Post]) -> tuple[Receipt, list[Counts | None]]:
    """Load posts of one subscription in one transaction.

    :returns: the receipt, and what became of each post; None: it was loaded before.
    :raises ErrorBudgetExceeded: too many rejects; nothing was kept.
    """
    names = [post.item.version for post in posts]
    batch = names[0] if len(names) == 1 else post_name("\n".join(names).encode())
    now = datetime.now(UTC)
    window = now, now + timedelta(microseconds=1)
    counts: dict[str, Counts] = {}
    with data_mart.load(posts[0].subscription, batch, RUN_ID, window) as load:
        for post in sorted(posts, key=lambda post: post.item.uri):  # else two loads may wait for each other
            with load.object(post.item) as target:
                if target is not None:
                    counts[post.item.version] = target.counts
                    for block in post.blocks:
                        target.add(block)
        receipt = load.receipt()
    return receipt, [counts.pop(name, None) for name in names]


def _item(subscription: Subscription, records: bytes) -> CaptureObject:
    digest = post_name(records)
    uri = post_uri(subscription.id, digest)
    return CaptureObject(uri, digest, digest, len(records), datetime.now(UTC))
