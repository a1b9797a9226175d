"""The store of the scoring logs: reading, TLS, clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from paylog.doctor.examination import Answer, Health
from paylog.errors import RetriableError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

# Signatures are refused at 15 minutes; logs.settle compares with the store's times.
TOLERATED, MOST = timedelta(seconds=30), timedelta(minutes=10)


def read_one(subscription: Subscription) -> str:
    """Read the beginning of the first object."""
    from paylog.pipeline import open_storage

    storage = open_storage(subscription)
    first = next(iter(storage.list("")), None)
    if first is None:
        return "no object to read yet"
    with storage.open(first) as chunks:
        size = len(next(iter(chunks), b""))
    return f"{size:,} bytes of {first.uri}"


def encrypted(subscription: Subscription) -> Answer:
    """Whether the way to the store is under TLS."""
    from paylog.connections import resolve
    from paylog.storage.address import address

    where = address(resolve(subscription.logs.connection))
    if where is None:
        return Answer(Health.OK, "a folder: nothing travels")
    if where.startswith("https://"):
        return Answer(Health.OK, "https, verified")
    remedy = "Use https:// unless the store is on this machine or in a private network."
    return Answer(Health.WARNING, f"no TLS: {where}", remedy)


def clock(subscription: Subscription) -> Answer:
    """How far the store's clock is from this machine's."""
    from paylog.connections import resolve
    from paylog.storage.address import address, clock_ahead

    where = address(resolve(subscription.logs.connection))
    if where is None:
        return Answer(Health.OK, "a folder: the clock is this machine's, or the file server's")
    try:
        ahead = clock_ahead(where)
    except RetriableError as error:
        return Answer(Health.UNKNOWN, str(error))
    if ahead is None:
        return Answer(Health.UNKNOWN, "the store's answers hold no date")
    return of_clock(ahead, "the store")


def of_clock(ahead: timedelta, whose: str) -> Answer:
    """The judgement of a clock."""
    seconds = ahead.total_seconds()
    found = f"{whose}'s clock is {abs(seconds):.1f} s {'ahead of' if seconds >= 0 else 'behind'} this one"
    if abs(ahead) <= TOLERATED:
        return Answer(Health.OK, found)
    health = Health.WARNING if abs(ahead) <= MOST else Health.FAILED
    return Answer(health, found, "Synchronize both clocks (NTP).")
