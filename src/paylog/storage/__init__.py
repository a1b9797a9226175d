"""Storage: list and stream the capture objects that an engine drops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from paylog.records import CaptureObject


class Storage(Protocol):
    """A place that holds capture objects.

    Every method raises ``RetriableError`` after its own retries are used up, ``AccessDenied`` or
    ``ObjectNotFound`` at once.
    """

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        """Objects whose key starts with ``prefix`` (below the storage's own root), in key order."""
        ...

    def stat(self, key: str) -> CaptureObject:
        """The object as it is now."""
        ...

    def open(self, item: CaptureObject) -> AbstractContextManager[Iterator[bytes]]:
        """The stored bytes of exactly ``item.version`` in chunks of bounded size.

        Raises ``ObjectChanged`` (also half-way through) when the version is no longer that one.
        """
        ...
