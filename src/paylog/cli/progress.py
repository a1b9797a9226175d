"""How far a run is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from paylog.cli.answer import console, megabytes, printable
from paylog.cli.reports import Advanced, Failed, Finished, Report, Retried

if TYPE_CHECKING:
    from rich.progress import Progress

_SECONDS_BETWEEN_LINES = 5.0


class RunProgress:
    """Follows the reports of a run and shows them on stderr.

    :param sizes: stored bytes by batch id.
    """

    def __init__(self, sizes: Mapping[str, int], quiet: bool = False) -> None:
        self.finished: list[Finished] = []
        self.failed: list[Failed] = []
        self._sizes = sizes
        self._fetched = Counter[str]()
        self._rows = 0
        self._quiet = quiet
        self._bar = self._make_bar() if sys.stderr.isatty() and not quiet else None
        self._started = time.monotonic()
        self._due = self._started + _SECONDS_BETWEEN_LINES

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, report: Report) -> None:
        """Take a report of the crew."""
        match report:
            case Advanced():
                self._rows += report.rows
                self._fetched[report.batch_id] += report.bytes
            case Retried():
                self._say(f"batch {report.batch_id} starts again: {report.message}")
            case Failed():
                self.failed.append(report)
                self._say(f"batch {report.batch_id} failed: {report.message}")
            case Finished():
                self.finished.append(report)
                # What the ledger had already was not fetched.
                self._fetched[report.batch_id] = self._sizes[report.batch_id]
        self._show()

    @property
    def rows_a_second(self) -> float:
        return self._rows / max(time.monotonic() - self._started, 1e-3)

    @property
    def _done(self) -> int:
        """Bytes; an object that was read twice counts once."""
        return sum(min(count, self._sizes[batch]) for batch, count in self._fetched.items())

    def _show(self) -> None:
        now = time.monotonic()
        if self._bar:
            rate = f"{self._rows:,} records · {self.rows_a_second:,.0f}/s"
            self._bar.update(self._bar.task_ids[0], completed=self._done, rate=rate)
        elif now >= self._due and not self._quiet:
            self._due = now + _SECONDS_BETWEEN_LINES
            self._say(self._line(now - self._started))

    def _line(self, elapsed: float) -> str:
        total, done = sum(self._sizes.values()), self._done
        left = f", {elapsed * (total - done) / done:,.0f} s left" if done else ""
        share = f"{done / total if total else 1:.0%}: {megabytes(done)} of {megabytes(total)}"
        return f"{share}, {self._rows:,} records, {self.rows_a_second:,.0f} records/s{left}"

    def _say(self, text: str) -> None:
        if not self._quiet:
            if self._bar:
                self._bar.console.print(printable(text), markup=False, soft_wrap=True)
            else:
                typer.echo(printable(text), err=True)

    def _make_bar(self) -> Progress:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            BarColumn(bar_width=30),
            DownloadColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console(stderr=True),
            transient=True,
        )
        bar.add_task("load", total=sum(self._sizes.values()), rate="")
        return bar
