"""Strikes a load at a chosen point of its conversation with PostgreSQL, seen by the TCP proxy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a load is, in the order of its statements."""

    BEGUN = "begun"
    CLAIMED = "objects claimed"
    REJECTS = "copying rejects"
    COPYING = "copying rows"
    STAGING = "copying rows that may be duplicates"
    LEDGER = "ledger entries"
    RECEIPT = "receipt"
    COMMIT_SENT = "COMMIT not passed on"
    COMMITTED = "committed, the answer lost"


_STATEMENTS = {
    b"paylog_object (subscription_id": Stage.CLAIMED,
    b'"paylog_quarantine" (': Stage.REJECTS,
    b'"Payload_': Stage.COPYING,
    b'"paylog_staging" (': Stage.STAGING,
    b"paylog_object SET read": Stage.LEDGER,
    b"paylog_receipt (": Stage.RECEIPT,
}
_COMMIT = b"COMMIT\x00"


@dataclass(frozen=True)
class Point:
    """When to strike: when ``stage`` is reached, or when a client has sent that many bytes."""

    stage: Stage | None = None
    sent: int | None = None


class Wire:
    """Watches the pieces of a ``TcpProxy``, and strikes once.

    :param strike: done in place of passing the piece on.
    """

    def __init__(self, point: Point | None = None, strike: Callable[[], None] = lambda: None) -> None:
        self.stage = Stage.BEGUN
        self.sent = 0
        self.seen: set[Stage] = set()
        self.struck: Stage | None = None
        self._point = point
        self._strike = strike
        self._lock = threading.Lock()
        self._done = threading.Event()

    def __call__(self, piece: bytes, from_client: bool) -> None:
        with self._lock:
            self._follow(piece, from_client)
            if self._point is None or self.struck is not None or not self._reached(self._point):
                return
            self.struck = self.stage
        try:
            self._strike()
        finally:
            self._done.set()
        raise ConnectionResetError

    def wait(self, seconds: float = 60) -> Stage:
        """Until the strike is over: at which stage it was."""
        assert self._done.wait(seconds)
        assert self.struck is not None
        return self.struck

    def _reached(self, point: Point) -> bool:
        return self.stage == point.stage or (point.sent is not None and self.sent >= point.sent)

    def _follow(self, piece: bytes, from_client: bool) -> None:
        if not from_client:
            if self.stage is Stage.COMMIT_SENT:
                self._enter(Stage.COMMITTED)
            return
        self.sent += len(piece)
        if self.stage is Stage.RECEIPT and piece.endswith(_COMMIT):
            self._enter(Stage.COMMIT_SENT)
        found = {piece.rfind(text): stage for text, stage in _STATEMENTS.items()}
        if max(found) >= 0:
            self._enter(found[max(found)])

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self.seen.add(stage)
