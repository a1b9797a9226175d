"""The layout of capture objects by time: which folders a window covers, which time a key stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

# The first prefixes tried are the finest; a long window lists whole days, months or years at once.
MOST_PREFIXES = 40
_DIGITS = {"Y": r"\d{4}", "m": r"\d{2}", "d": r"\d{2}", "H": r"\d{2}", "M": r"\d{2}"}
_ORDER = "YmdHM"
_CHOICE = re.compile(r"\{([^{}%]+)\}/")


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open time range [start, end), UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Layout:
    """A strftime pattern of folders, like ``%Y/%m/%d/%H/``; empty: all objects in one folder.

    Its first folders may be a choice, ``{inputs,outputs}/%Y/``; what is in no folder of that kind is no log.
    """

    pattern: str

    def prefixes(self, window: Window) -> Iterator[str]:
        """Folders that together hold every object of the window (and maybe more)."""
        pattern, unit = self._listing(window)
        time = _floor(window.start.astimezone(UTC), unit)
        while unit and time < window.end:
            yield from (time.strftime(one) for one in _choices(pattern))
            time = _next(time, unit)
        if not unit:
            yield ""

    def _listing(self, window: Window) -> tuple[str, str]:
        """The finest whole-folder pattern that needs no more than MOST_PREFIXES listings."""
        folders = self.pattern.split("/")[:-1]
        for depth in range(len(folders), 0, -1):
            pattern = "/".join(folders[:depth]) + "/"
            unit = _finest(pattern)
            most = MOST_PREFIXES / len(_choices(pattern))
            if unit and (window.end - window.start) / _length(unit) <= most:
                return pattern, unit
        return "", ""

    def time_of(self, key: str) -> datetime | None:
        """Start of the folder period that a key or URI stands in; None without one."""
        found = self._regex.search(key) if self.pattern else None
        if found is None:
            return None
        parts = {unit: int(found.group(unit)) for unit in found.re.groupindex}
        try:
            year, month, day = parts["Y"], parts.get("m", 1), parts.get("d", 1)
            return datetime(year, month, day, parts.get("H", 0), parts.get("M", 0), tzinfo=UTC)
        except ValueError:
            return None

    def period_of(self, key: str) -> Window | None:
        """The folder period that a key or URI stands in; None without one."""
        time = self.time_of(key)
        return None if time is None else Window(time, _next(time, _finest(self.pattern)))

    def start_of(self, time: datetime) -> datetime:
        """Start of the folder period that a time lies in."""
        return _floor(time.astimezone(UTC), _finest(self.pattern))

    def covers(self, key: str, window: Window) -> bool:
        """Whether the folder period of a key touches the window. A key without a time always counts."""
        time = self.time_of(key)
        if time is None:
            return not self.pattern.startswith("{")
        return time < window.end and _next(time, _finest(self.pattern)) > window.start

    def misses(self, key: str, window: Window) -> bool:
        """Whether a key stands in a folder period outside the window. One without a time stands in none."""
        return self.time_of(key) is not None and not self.covers(key, window)

    def pairs(self, key: str, other: str) -> bool:
        """Whether two keys are of one period and, maybe, of two folders of a choice."""
        return self.pattern.startswith("{") and self.time_of(key) == self.time_of(other) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        escaped = re.escape(self.pattern)
        for unit, digits in _DIGITS.items():
            escaped = escaped.replace(f"%{unit}", f"(?P<{unit}>{digits})")
        if found := _CHOICE.match(self.pattern):
            names = "|".join(map(re.escape, found[1].split(",")))
            escaped = escaped.replace(re.escape(found[0]), f"(?:{names})/", 1)
        return re.compile(f"(?:^|/){escaped}")


def _choices(pattern: str) -> list[str]:
    """The patterns that a choice stands for."""
    found = _CHOICE.match(pattern)
    if found is None:
        return [pattern]
    return [f"{name}/{pattern[found.end() :]}" for name in found[1].split(",")]


def _finest(pattern: str) -> str:
    return next((unit for unit in reversed(_ORDER) if f"%{unit}" in pattern), "")


def _length(unit: str) -> timedelta:
    return {
        "Y": timedelta(days=365),
        "m": timedelta(days=28),
        "d": timedelta(days=1),
        "H": timedelta(hours=1),
        "M": timedelta(minutes=1),
    }[unit]


def _floor(time: datetime, unit: str) -> datetime:
    kept = _ORDER[: _ORDER.index(unit) + 1] if unit else _ORDER
    return datetime(
        time.year,
        time.month if "m" in kept else 1,
        time.day if "d" in kept else 1,
        time.hour if "H" in kept else 0,
        time.minute if "M" in kept else 0,
        tzinfo=UTC,
    )


def _next(time: datetime, unit: str) -> datetime:
    if unit == "Y":
        return time.replace(year=time.year + 1)
    if unit == "m":
        return (time + timedelta(days=32)).replace(day=1)
    return time + _length(unit)
