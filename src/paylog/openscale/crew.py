"""Requests of a delivery at the same time; what became of them is noted for several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from paylog.data_mart.deliveries import Settlement
from paylog.data_mart.delivery_log import DeliveryLog

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Called with the rows that were confirmed and that failed since the last call."""
_Running: TypeAlias = set[Future[Settlement]]


@dataclass(slots=True)
class Delivered:
    """Rows of one receipt, in this call."""

    confirmed: int = 0
    failed: int = 0


class Crew:
    """Threads that post, of one delivery.

    :param parallel: how many. As many requests more wait for them; memory holds no more than that.
    """

    def __init__(self, deliveries: DeliveryLog, parallel: int, told: Told) -> None:
        self._deliveries = deliveries
        self._parallel = parallel
        self._most = 2 * parallel if parallel > 1 else 1
        self._told = told
        self.total = Delivered()

    def do(self, settle: Callable[[T], Settlement], requests: Iterable[T]) -> None:
        """Settle all requests. An error of one is raised when those under way are settled and noted."""
        running: _Running = set()
        ended: _Running = set()  # and not noted yet
        with ThreadPoolExecutor(self._parallel, "delivery") as pool:
            try:
                for request in requests:
                    running.add(pool.submit(settle, request))
                    if len(running) < self._most:
                        continue
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    ended |= done
                    if len(ended) >= self._parallel or any(one.exception() for one in done):
                        noted, ended = ended, set()
                        self._note(noted)
                noted, running, ended = wait(running).done | ended, set(), set()
                self._note(noted)
            except BaseException:
                begun = {one for one in running if not one.cancel()}
                self._note({one for one in wait(begun).done | ended if one.exception() is None})
                raise

    def _note(self, done: _Running) -> None:
        """Keep what is known; raises what one of them raised, if any did."""
        settled = [one.result() for one in done if one.exception() is None]
        if settled:
            self._deliveries.settle(*settled)
            confirmed, failed = sum(s.confirmed for s in settled), sum(s.failed for s in settled)
            self.total.confirmed += confirmed
            self.total.failed += failed
            self._told(confirmed, failed)
        for one in done:
            one.result()
