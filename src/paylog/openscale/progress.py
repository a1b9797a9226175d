"""How far a delivery is, every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 10.0


class DeliveryProgress:
    """To be called with the rows that were confirmed and that failed since the last call.

    :param say: takes a line like ``5,943 delivered: 5,940 confirmed, 3 failed``.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._due = time.monotonic() + _SECONDS
        self._confirmed = self._failed = 0

    def __call__(self, confirmed: int, failed: int) -> None:
        self._confirmed += confirmed
        self._failed += failed
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _SECONDS
            delivered = self._confirmed + self._failed
            self._say(f"{delivered:,} delivered: {self._confirmed:,} confirmed, {self._failed:,} failed")
