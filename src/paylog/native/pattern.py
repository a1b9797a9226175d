"""The pattern of a record: which values are wanted, and what else must be just so.

A tree that ``scan.c`` walks along with each record. It is learned from one example record by an
engine; records that differ from it in anything but their values are irregular.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Kind(IntEnum):
    """What stands at a place of the record; numbers as in ``scan.c``."""

    OBJECT = 0
    SINGLE = 1
    CELLS = 2
    CSV_TEXT = 3
    JSON_TEXT = 4
    EXACT = 5
    ABSENT = 6
    VALUE = 7


class Accepts(IntFlag):
    """Which scalars a wanted value may be; numbers as in ``scan.c``."""

    TEXT = 1
    NUMBER = 2
    LITERAL = 4
    NONE = 8
    ANY = 15


@dataclass(frozen=True, slots=True)
class Node:
    """One place of a record.

    :param key: of an object's member.
    :param slot: name of a wanted value.
    :param text: of ``EXACT``: the bytes that must stand here.
    """

    kind: Kind
    children: tuple[Node, ...] = ()
    key: str = ""
    slot: str | None = None
    accepts: Accepts = Accepts.ANY
    required: bool = True
    text: bytes = b""

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A record's tree, and what its slots mean to normalize.

    The slots of the envelope are ``event_id``, ``timestamp``, ``transaction_id``, ``response_time``
    and ``revision``, as far as the engine has them.

    :param requests: request column → its slots (several for a vector of numbers).
    :param responses: likewise.
    :param request_csv: the request is CSV, which may hold a header.
    :param row_ids: the event id names a single row.
    """

    root: Node
    requests: Mapping[str, tuple[str, ...]]
    responses: Mapping[str, tuple[str, ...]]
    request_csv: bool = False
    row_ids: bool = False


MAX_MEMBERS = 64


def record(members: Sequence[Node], key: str = "", *, required: bool = True) -> Node:
    """An object; other members than these are passed over."""
    return Node(Kind.OBJECT, tuple(members), key, required=required)


def wanted(slot: str, accepts: Accepts = Accepts.ANY, key: str = "", *, required: bool = True) -> Node:
    """A scalar that is noted under ``slot``."""
    return Node(Kind.VALUE, (), key, slot, accepts, required)


def cells(children: Sequence[Node], key: str = "") -> Node:
    """An array of exactly these elements."""
    return Node(Kind.CELLS, tuple(children), key)


def exactly(text: bytes, key: str) -> Node:
    """A value that has to be these bytes."""
    return Node(Kind.EXACT, (), key, text=text)


def absent(key: str) -> Node:
    """A member that must not be there."""
    return Node(Kind.ABSENT, (), key, required=False)
