"""Reading ahead leaves no thread behind, wherever it is interrupted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from paylog.storage.folder import FolderStorage
from paylog.storage.read_ahead import ReadAhead


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.mark.parametrize("interrupted", [1, 2])
def test_an_interrupt_while_a_thread_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    """Ctrl-C may come when the thread runs and its pool does not know of it yet."""
    for name in "abcd":
        (tmp_path / name).write_bytes(b"{}")
    storage, start, starts = FolderStorage(tmp_path), threading.Thread.start, 0

    def start_and_stop(thread: threading.Thread) -> None:
        nonlocal starts
        start(thread)
        starts += 1
        if starts == interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_stop)
    # Kept: the traceback of the interrupt may keep it in a process that ends.
    ahead = ReadAhead(storage, list(storage.list("")))
    with pytest.raises(KeyboardInterrupt), ahead:
        pytest.fail("entered")
    until = time.monotonic() + 10
    while readers() and time.monotonic() < until:
        time.sleep(0.01)
    assert readers() == []
