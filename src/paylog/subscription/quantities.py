"""Sizes and durations as people write them: ``64MB``, ``8GiB``, ``24h``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from paylog.subscription.section import problem, shown

_BYTES = {"B": 1}
_BYTES |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)}
_BYTES |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)}
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_DURATION = re.compile(r"(?:\d+[dhms])+")
_SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?)?[Bb]$"
_DURATION_PATTERN = r"^([0-9]+[dhms])+$"


def parse_size(value: object) -> int:
    """Bytes, at least 1. ``MB`` is 1000², ``MiB`` is 1024²; a bare number is bytes."""
    size = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        unit = _BYTES.get(match[2].upper())
        size = None if unit is None else int(float(match[1]) * unit)
    if size is None:
        raise problem(f"{shown(value)} is not a size; write it like 64MB, 8GiB or 500KB")
    if size < 1:
        raise problem("must be at least one byte")
    return size


def parse_duration(value: object) -> timedelta:
    """A duration of days, hours, minutes and seconds, each at most once."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        parts = re.findall(r"(\d+)([dhms])", value)
        units = [unit for _, unit in parts]
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in parts)
        if len(units) == len(set(units)) and seconds <= 3650 * 86_400:
            return timedelta(seconds=seconds)
    raise problem(f"{shown(value)} is not a duration; write it like 90s, 15m, 24h, 7d or 1h30m")


def format_duration(value: timedelta) -> str:
    """The shortest form that ``parse_duration`` reads back, in whole seconds."""
    seconds = int(value.total_seconds())
    unit = next((u for u, length in _SECONDS.items() if seconds and seconds % length == 0), "s")
    return f"{seconds // _SECONDS[unit]}{unit}"


def format_size(count: float) -> str:
    """``1.2 GB``, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _SIZE_PATTERN}, {"type": "integer", "minimum": 1}]}
    ),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN}),
]
