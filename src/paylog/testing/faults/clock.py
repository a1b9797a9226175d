"""A clock that jumps, for the processes that are started under it: Debian's ``libfaketime``."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from paylog.errors import StopError

_PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_LIBRARY = "faketime/libfaketimeMT.so.1"


class Clock:
    """Sets the time of day of other processes, at any moment. Their monotonic clocks go on as they do when
    an administrator, or NTP, sets a machine's clock.

    :param file: says how far the clock is off; every reading of the clock reads it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Be ``seconds`` ahead of the true time (behind it, if negative); 0 is right again."""
        self.offset = seconds
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(f"{seconds:+d}\n")
        unfinished.replace(self._file)

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """Processes that start meanwhile, and their children, live by this clock.

        :raises StopError: libfaketime is not installed.
        """
        before = dict(os.environ)
        os.environ |= {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def sleep(seconds: SupportsFloat | SupportsIndex) -> None:
    """``time.sleep`` of such processes: libfaketime 0.9.10 answers EINVAL to the call that Python's makes."""
    select.select((), (), (), float(seconds))


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = sleep


def _library() -> Path:
    for place in _PLACES:
        for found in (Path(place) / _LIBRARY, *Path(place).glob(f"*/{_LIBRARY}")):
            if found.exists():
                return found
    raise StopError("Clock jumps need libfaketime, which is not installed: apt-get install faketime")
