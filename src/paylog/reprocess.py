"""What of a window a run loads, and in which order."""

from __future__ import annotations

from enum import StrEnum


class Reprocess(StrEnum):
    """What of a window a run loads: each takes in the ones before it."""

    NEW = "new"
    """Objects, and versions of them, that are not loaded."""
    REJECTED = "rejected"
    """Objects of which records are in quarantine, again."""
    EVERYTHING = "everything"
    """Every object of the window, again."""


class Order(StrEnum):
    """Which end of a window is loaded first."""

    OLDEST = "oldest"
    NEWEST = "newest"
