"""Objects that an engine appends lines to: read from where the last read stopped, to the last line end."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec

from paylog.errors import ObjectChanged
from paylog.records import Extent

# What is read again of the part before: if it is the same, the object was only appended to.
KNOWN_BYTES = 4096


class ObjectRewritten(ObjectChanged):
    """The object is not the one that was read before with something appended."""


class CompressedObject(ObjectRewritten):
    """Nothing is appended to what is compressed, whatever the object is called: it is read as a whole."""


class GrowingObject:
    """The stored bytes of an object from ``start`` on, without a last line that is still being written.

    :param after: what was read of it before.
    :param complete: nothing will be appended any more: the last line is read as it is.
    :param max_record_bytes: a longer line is passed on in pieces.
    """

    def __init__(self, after: Extent | None, complete: bool, max_record_bytes: int) -> None:
        self.after = after or Extent(0, 0, b"")
        self.start = max(0, self.after.end_byte - KNOWN_BYTES)
        self._complete = complete
        self._max_record_bytes = max_record_bytes
        self._position = self.after.end_position
        self._size = self.after.end_byte
        self._tail = b""
        self._unread = False

    @property
    def extent(self) -> Extent:
        """How far the object was read, once ``read`` is used up."""
        return Extent(self._size, self._position, sha256(self._tail).digest(), self._unread)

    def read(self, chunks: Iterator[bytes]) -> tuple[int, Iterator[bytes]]:
        """The position of the first record that was appended, and what was appended, in pieces.

        :param chunks: stored bytes from ``start`` on.
        :raises ObjectRewritten: what was read before has changed.
        """
        held = self._recognized(chunks)
        if self._tail and not self._tail.endswith(b"\n"):
            held = self._without_line_end(held, chunks)
        return self._position, self._lines(held, chunks)

    def _lines(self, held: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            cut = chunk.rfind(b"\n") + 1
            if not cut and len(held) + len(chunk) <= self._max_record_bytes:
                held += chunk
                continue
            whole = held + (chunk[:cut] or chunk)
            held = chunk[cut:] if cut else b""
            yield self._passed(whole)
        if cut := held.rfind(b"\n") + 1:
            yield self._passed(held[:cut])
        if last := held[cut:]:
            if self._complete or _is_whole(last):
                yield self._passed(last)
                self._position += 1
            else:
                self._unread = True

    def _recognized(self, chunks: Iterator[bytes]) -> bytes:
        """Check the known bytes at the head; returns what came behind them."""
        known = self.after.end_byte - self.start
        head = b""
        while len(head) < known and (chunk := next(chunks, b"")):
            head += chunk
        self._tail = head[:known]
        if known and sha256(self._tail).digest() != self.after.digest:
            raise ObjectRewritten("The object was rewritten, not appended to: it is read again as a whole.")
        return head[known:]

    def _without_line_end(self, held: bytes, chunks: Iterator[bytes]) -> bytes:
        """The line end of the last record, which was read before it was written."""
        while len(held) < 2 and (chunk := next(chunks, b"")):
            held += chunk
        for end in (b"\r\n", b"\n"):
            if held.startswith(end):
                self._remember(end)
                return held.removeprefix(end)
        self._position -= 1
        return held

    def _passed(self, data: bytes) -> bytes:
        self._position += data.count(b"\n")
        self._remember(data)
        return data

    def _remember(self, data: bytes) -> None:
        self._size += len(data)
        self._tail = (self._tail + data[-KNOWN_BYTES:])[-KNOWN_BYTES:]


def _is_whole(line: bytes) -> bool:
    """Whether a line without its end is whole: no beginning of a JSON object is JSON by itself."""
    try:
        return line.lstrip()[:1] == b"{" and msgspec.json.decode(line) is not None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
