"""``Feature``: an attribute whose groups the fairness monitor compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Feature:
    """A fairness attribute.

    :param majority, minority: categories, or ranges ``[lowest, highest]`` of numbers.
    :param threshold: lowest share of favourable outcomes, minority to majority.
    """

    name: str
    majority: Sequence[Any]
    minority: Sequence[Any]
    threshold: float

    def as_dict(self) -> dict[str, Any]:
        """As the service writes it."""
        return {
            "feature": self.name,
            "majority": list(self.majority),
            "minority": list(self.minority),
            "threshold": self.threshold,
        }
