"""The pattern of a record: which values are wanted, and what else must be just so.

A tree that ``scan.c`` walks along with each record. It is learned from one example record by an
engine; records that differ from it in anything but their values are irregular.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from paylog.field import FieldType


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
    BODY = 8
    BASE64 = 9


class Cell(IntEnum):
    """What a wanted value becomes; numbers as in ``cells.h``.

    ``FIRST_ROW`` is the scoring id of an event's first row, ``ROUNDED`` a number as a whole one.
    """

    TEXT = 0
    INTEGER = 1
    DOUBLE = 2
    BOOLEAN = 3
    TIMESTAMP = 4
    FIRST_ROW = 5
    ROUNDED = 6


CELLS = {
    FieldType.STRING: Cell.TEXT,
    FieldType.INTEGER: Cell.INTEGER,
    FieldType.DOUBLE: Cell.DOUBLE,
    FieldType.BOOLEAN: Cell.BOOLEAN,
    FieldType.TIMESTAMP: Cell.TIMESTAMP,
}
"""What a field's values become."""


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
    :param slot: name of a wanted value, or of the vector that it is the element ``index`` of.
    :param elements: how many elements the vector has; 0: the value stands for itself.
    :param text: of ``EXACT``: the bytes that must stand here.
    """

    kind: Kind
    children: tuple[Node, ...] = ()
    key: str = ""
    slot: str | None = None
    accepts: Accepts = Accepts.ANY
    required: bool = True
    text: bytes = b""
    cell: Cell = Cell.TEXT
    index: int = 0
    elements: int = 0

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A record's tree, and what its slots mean to normalize.

    The slots of the envelope are ``event_id``, ``timestamp``, ``transaction_id``, ``response_time``
    and ``revision``, as far as the engine has them.

    :param requests: request column → its slot.
    :param responses: likewise.
    :param request_csv: the request is CSV, which may hold a header.
    :param row_ids: the event id names a single row.
    :param half: records are this side of an event (``HalfSide``): its body, as bytes, is the slot ``body``.
    :param checked: the scanner has seen that the body is well-formed. Of what is in base64, it has not.
    """

    root: Node
    requests: Mapping[str, str]
    responses: Mapping[str, str]
    request_csv: bool = False
    row_ids: bool = False
    half: str = ""
    checked: bool = True


MAX_MEMBERS = 64


def record(members: Sequence[Node], key: str = "", *, required: bool = True) -> Node:
    """An object; other members than these are passed over."""
    return Node(Kind.OBJECT, tuple(members), key, required=required)


def wanted(
    slot: str,
    accepts: Accepts = Accepts.ANY,
    key: str = "",
    *,
    cell: Cell = Cell.TEXT,
    required: bool = True,
) -> Node:
    """A scalar that goes to the column ``slot``."""
    return Node(Kind.VALUE, (), key, slot, accepts, required, cell=cell)


def vector(slot: str, elements: int, key: str = "") -> Node:
    """An array of so many numbers, which goes to the column ``slot`` of lists."""
    numbers = [
        Node(Kind.VALUE, (), "", slot, Accepts.NUMBER, cell=Cell.DOUBLE, index=i, elements=elements)
        for i in range(elements)
    ]
    return cells(numbers, key)


def cells(children: Sequence[Node], key: str = "") -> Node:
    """An array of exactly these elements."""
    return Node(Kind.CELLS, tuple(children), key)


def body(key: str, *, base64: bool = False) -> Node:
    """An object or array that goes to the slot ``body`` undecoded; a string that holds one in base64."""
    return Node(Kind.BASE64 if base64 else Kind.BODY, (), key, "body")


def exactly(text: bytes, key: str) -> Node:
    """A value that has to be these bytes."""
    return Node(Kind.EXACT, (), key, text=text)


def passed_over(key: str, accepts: Accepts = Accepts.ANY) -> Node:
    """A scalar that is of no use, but known to be there: found faster than a member that is not."""
    return Node(Kind.VALUE, (), key, accepts=accepts, required=False)


def null(key: str) -> Node:
    """A member that is null, or not there."""
    return passed_over(key, Accepts.NONE)


def absent(key: str) -> Node:
    """A member that must not be there."""
    return Node(Kind.ABSENT, (), key, required=False)
