"""Memory that is used again: the first touch of a fresh page costs more than filling it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch:
    """An array that grows as it is asked to. What it held before is overwritten."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._array: np.ndarray[Any, Any] = np.empty(0, kind)

    def of(self, size: int) -> npt.NDArray[Any]:
        """The first ``size`` elements, not initialised."""
        if len(self._array) < size:
            self._array = np.empty(size + size // 4, self._array.dtype)
        return self._array[:size]
