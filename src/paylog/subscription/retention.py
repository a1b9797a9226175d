"""The ``retention`` section: how long the data mart keeps what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from paylog.subscription.quantities import Duration, format_duration, parse_duration
from paylog.subscription.section import Problem, Section

_DAY = timedelta(days=1)
# A month is dropped when all of it is older than ``payload``: its first rows are 31 days older still.
_MONTH = timedelta(days=31)
_LOOKBACK = timedelta(hours=24)


class OldPartitions(StrEnum):
    """What becomes of a month of payload records that is too old."""

    DROP = "drop"
    DETACH = "detach"


class Retention(Section):
    """What ``paylog maintain`` and the DAG ``paylog_maintenance`` remove."""

    payload: Duration | None = Field(
        default=None,
        description="Age by scoring time at which a month of payload records goes, like 400d, once all of it "
        "is older. Left out: payload records stay.",
    )
    action: OldPartitions = Field(
        default=OldPartitions.DROP,
        description="drop deletes the month's partition; detach leaves it in the schema, a table by itself.",
    )
    quarantine: Duration | None = Field(
        default=None, description="Age at which rejected records go, like 90d. Left out: they stay."
    )
    ledger: Duration | None = Field(
        default=None,
        description="Age at which what is known of an object goes, with its receipts and deliveries, once "
        "its payload records are gone: at least payload + 31d + logs.lookback. Left out: the ledger stays.",
    )


def too_short(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """Ages at which something would go that is still needed to load nothing twice."""
    policy = data.get("retention")
    payload, ledger = _age(policy, "payload"), _age(policy, "ledger")
    if payload is not None and payload < _DAY:
        yield Problem(("retention", "payload"), "at least 1d")
    if ledger is None:
        return
    if payload is None:
        yield Problem(("retention", "ledger"), "the ledger can only go after the payload: set payload too")
        return
    lookback = _age(data.get("logs"), "lookback") or _LOOKBACK
    if ledger < payload + _MONTH + lookback:
        least = format_duration(payload + _MONTH + lookback)
        yield Problem(
            ("retention", "ledger"), f"at least payload + 31d + logs.lookback ({least}), or rows come back"
        )


def _age(section: Any, name: str) -> timedelta | None:
    """A duration of a section as written or as read; None where it is left out or wrong."""
    value = section.get(name) if isinstance(section, Mapping) else getattr(section, name, None)
    try:
        return None if value is None else parse_duration(value)
    except PydanticCustomError:  # wrong, and reported as such
        return None
