"""A StatsD server on loopback (UDP) that keeps every sample, for tests of metrics."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from types import TracebackType
from typing import Self


class StatsdReceiver:
    """Keeps the samples by metric name, as ``value|type``. A context manager."""

    def __init__(self) -> None:
        self.samples: defaultdict[str, list[str]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Senders do not wait: what finds no room is lost.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024**2)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._receive, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def total(self, name: str) -> float:
        """Sum of a counter's samples."""
        return sum(float(sample.split("|")[0]) for sample in self.samples[name])

    def _receive(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65_535)
            except OSError:
                return
            for line in packet.decode().splitlines():
                name, _, sample = line.partition(":")
                self.samples[name].append(sample)
