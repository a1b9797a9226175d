"""Codecs: request and response bodies → rows of tokens, by column.

A *token* is a cell before its cast: the text of a string, the literal of a number as the engine
wrote it, ``true`` / ``false``, or null. A codec decodes many bodies of one media type at once and
says which of them it could not (*irregular*); ``codecs.body`` decodes any single body, slowly.
Both give the same tokens for the same body: a property test holds them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.field import FieldType

Bodies = Sequence[bytes]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MediaType:
    """What a body is. ``checked``: its JSON is known to be well-formed, as part of its record was."""

    name: str
    checked: bool = False


CSV = MediaType("text/csv")
JSON = MediaType("application/json")
CHECKED_JSON = MediaType("application/json", checked=True)
JSON_LINES = MediaType("application/jsonlines")
UNKNOWN = MediaType("")
NESTING = (
    *("values", "dataframe_split", "dataframe_records", "instances", "predictions", "input_data"),
    *("inputs", "outputs", "data", "features"),
)
"""Members of a JSON body that hold its rows if they are lists, in the order in which they are tried."""


@dataclass(slots=True)
class Rows:
    """Rows of consecutive bodies.

    :param columns: by column name; all of one length, strings (tokens), typed, or list<double>.
    :param counts: rows of each body (int64); None when every body has exactly one row.
    :param bodies: how many bodies the rows come from.
    """

    columns: dict[str, pa.Array]
    bodies: int
    counts: npt.NDArray[np.int64] | None = None

    def row_counts(self) -> npt.NDArray[np.int64]:
        return np.ones(self.bodies, np.int64) if self.counts is None else self.counts

    def of_bodies(self, keep: Mask) -> Rows:
        """Only the rows of the bodies that ``keep`` (one flag a body) marks."""
        if keep.all():
            return self
        counts = self.row_counts()
        rows = pa.array(np.repeat(keep, counts))
        columns = {name: column.filter(rows) for name, column in self.columns.items()}
        return Rows(columns, int(keep.sum()), None if self.counts is None else counts[keep])


@dataclass(frozen=True, slots=True)
class Side:
    """What one side of a record is expected to hold.

    :param positional: column names of a body without names, in order.
    :param wanted: the columns that are of use; others are passed over.
    :param required: those without which a body with names is refused.
    :param arrays: those whose cells are lists of numbers.
    :param types: what the cells of a column are to become, for decoders that are strict from the start.
    """

    positional: tuple[str, ...]
    wanted: tuple[str, ...]
    required: tuple[str, ...] = ()
    arrays: frozenset[str] = field(default_factory=frozenset)
    types: tuple[tuple[str, FieldType], ...] = ()
