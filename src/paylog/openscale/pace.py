"""How long a delivery waits: for the service, and not to send faster than it may."""

from __future__ import annotations

import threading
import time

from paylog.errors import RetriableError

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 15.0


class Patience:
    """Waits longer from time to time, and not for ever."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = _FIRST_WAIT

    def wait(self, why: str, asked: float | None = None, most: float = _LONGEST_WAIT) -> None:
        """:raises RetriableError: patience is at its end."""
        pause = max(min(self._next, most) if asked is None else asked, _FIRST_WAIT)
        if time.monotonic() + pause > self._until:
            raise RetriableError(f"{why}; what is not confirmed will be settled by the next attempt")
        time.sleep(pause)
        self._next = min(2 * self._next, _LONGEST_WAIT)


class Pace:
    """Holds all threads together to so many rows a second."""

    def __init__(self, rows_per_second: int | None) -> None:
        self._rate = rows_per_second
        self._free = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, rows: int) -> None:
        if self._rate is None:
            return
        with self._lock:
            start = max(self._free, time.monotonic())
            self._free = start + rows / self._rate
        time.sleep(max(0.0, start - time.monotonic()))
