"""The ids of rows that a load sent lately: a record that the engine logged twice mostly comes again soon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SLOTS = 1 << 17


class RecentIds:
    """A table of 1 MB, which the processor's cache holds. An id may take another's place in it: what it says
    is a suspicion only.

    Rows that it suspects go through staging, where PostgreSQL decides; those that it missed are refused by
    the primary key.
    """

    def __init__(self) -> None:
        self._first: npt.NDArray[np.uint64] | None = None
        self._ids: npt.NDArray[np.uint64] | None = None

    def met(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of these words of record ids were met before; they are remembered from now on."""
        if self._first is None:  # most loads ask only once: a table is not worth its memory yet
            self._first = ids.copy()
            return np.zeros(len(ids), np.bool_)
        if self._ids is None:
            self._ids = np.zeros(SLOTS, np.uint64)
            self._ids[self._slots(self._first)] = self._first
        slots = self._slots(ids)
        known: npt.NDArray[np.bool_] = self._ids[slots] == ids
        self._ids[slots] = ids
        return known

    def _slots(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return ids & np.uint64(SLOTS - 1)
