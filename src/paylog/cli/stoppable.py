"""Ctrl-C and SIGTERM as one orderly end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Ctrl-C and SIGTERM stop the run: workers end and what is under way is rolled back.

    A driver that is interrupted may well raise an error of its own instead, and that is no fault to
    retry: the function that is given raises ``KeyboardInterrupt`` once the run was asked to stop.
    """
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        # It tells, with a traceback, of every connection that was interrupted.
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    except Exception:
        check()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
