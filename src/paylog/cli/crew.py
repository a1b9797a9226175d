"""The crew that loads a run's batches: this process, or several that report to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from paylog.cli.lean import settle
from paylog.cli.loader import Loader, Work, import_what_a_load_needs
from paylog.cli.reports import Failed, Finished, Listener
from paylog.cli.worker import Worker


class Crew:
    """Loads the batches of a run; a context manager, at whose end every process of it is gone.

    The processes are forked, so that two cost one start: enter it before any thread is started.

    :param batch_ids: in the order in which they are begun.
    :param workers: most processes; with one, this process does the work itself.
    """

    def __init__(self, work: Work, batch_ids: Sequence[str], workers: int) -> None:
        self._work = work
        self._waiting = deque(batch_ids)
        self._count = min(workers, len(batch_ids))
        self._workers: list[Worker] = []
        self._loader = Loader(work)

    def __enter__(self) -> Self:
        if self._waiting:
            import_what_a_load_needs()
            settle()
        try:
            while self._count > 1 and len(self._workers) < self._count:
                self._workers.append(Worker(self._work, [w.connection for w in self._workers]))
        except BaseException:
            self._dismiss()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dismiss()

    def load(self, listener: Listener) -> None:
        """Tells ``listener`` what happens. After a fatal failure no new batch is begun."""
        if self._workers:
            self._load_in_processes(listener)
            return
        while self._waiting:
            last = self._loader.load(self._waiting.popleft(), listener)
            if isinstance(last, Failed) and last.fatal:
                return

    def _load_in_processes(self, listener: Listener) -> None:
        for worker in self._workers:
            worker.give(self._waiting.popleft())
        while busy := {w.connection: w for w in self._workers if w.batch_id is not None}:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                self._listen(busy[connection], listener)

    def _listen(self, worker: Worker, listener: Listener) -> None:
        report = worker.report()
        listener(report)
        if isinstance(report, Failed) and report.fatal:
            self._waiting.clear()
        if isinstance(report, Finished | Failed):
            worker.batch_id = None
            if self._waiting:
                worker.give(self._waiting.popleft())

    def _dismiss(self) -> None:
        self._loader.close()
        for worker in self._workers:
            worker.end()
