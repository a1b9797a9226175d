"""How rows of a COPY reach the server: each piece as soon as there is room for it."""

from __future__ import annotations

from psycopg.abc import Buffer, PQGen
from psycopg.copy import LibpqWriter
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait


class CopyStream(LibpqWriter):
    """Sends pieces whole, and waits only while the server is behind.

    psycopg's own writer cuts them to 128 KiB and lets a megabyte gather in libpq, which moves all that is
    left of it forward after every partial send.
    """

    def write(self, data: Buffer) -> None:
        """Send a piece. Raises what psycopg raises."""
        link = self.connection.pgconn
        while link.put_copy_data(data) == 0:
            self.connection.wait(_writable())
        if link.flush():
            self.connection.wait(_flushed(link))


def _writable() -> PQGen[None]:
    while not (yield Wait.W):
        continue


def _flushed(link: PGconn) -> PQGen[None]:
    while True:
        yield from _writable()
        if link.flush() == 0:
            return
