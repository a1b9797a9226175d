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
        self._ids = np.zeros(SLOTS, np.uint64)

    def met(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of these words of record ids were met before; they are remembered from now on."""
        slots = ids & np.uint64(len(self._ids) - 1)
        known: npt.NDArray[np.bool_] = self._ids[slots] == ids
        self._ids[slots] = ids
        return known
