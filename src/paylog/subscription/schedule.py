"""When a subscription runs: cron, time zone, first window."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, WithJsonSchema, field_validator

from paylog.subscription.section import Section, did_you_mean, problem, shown


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        guess = did_you_mean(value, available_timezones()) or "; write one like Europe/Berlin"
        raise problem(f"{shown(value)} is not an IANA time zone{guess}") from None
    return value


def _cron(value: str) -> str:
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    fields = value.split()
    # croniter also takes seconds, hashed (H) and random (R) fields: none of them gives fixed windows.
    if len(fields) != 5 or any(field[0] in "HhRr" for field in fields):
        raise problem(f"{shown(value)} is not a cron expression of 5 fields, like '0 * * * *'")
    try:
        croniter(" ".join(fields), datetime(2024, 1, 1)).get_next()
    except CroniterBadDateError:
        raise problem(f"{shown(value)} names a date that never comes") from None
    except CroniterBadCronError:
        raise problem(
            f"{shown(value)} is not a cron expression; its fields are minute hour day month weekday"
        ) from None
    return " ".join(fields)


TimeZone = Annotated[str, Field(min_length=1), AfterValidator(_timezone)]
Cron = Annotated[str, AfterValidator(_cron)]


class Schedule(Section):
    """When the subscription's DAG runs; each run covers the window that ends then."""

    cron: Cron = Field(
        default="0 * * * *", description="Cron expression of 5 fields: minute hour day month weekday."
    )
    timezone: TimeZone = Field(default="UTC", description="IANA time zone of the cron expression.")
    start: Annotated[
        datetime | None,
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ] = Field(
        default=None,
        description="First moment to load: 2024-01-31, or 2024-01-31T06:00:00 (in the schedule's time zone).",
    )
    catchup: StrictBool = Field(
        default=False, description="Run every window since the start that has not run, not only the last."
    )

    @field_validator("start", mode="before")
    @classmethod
    def _start(cls, value: object, info: ValidationInfo) -> datetime | None:
        """An aware moment; without a zone of its own it is in the schedule's."""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise problem(f"{shown(value)} is not a date; write it like 2024-01-31") from None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if value is not None and not isinstance(value, datetime):
            raise problem(f"{shown(value)} is not a date; write it like 2024-01-31")
        if value is not None and value.tzinfo is None:
            value = value.replace(tzinfo=ZoneInfo(info.data.get("timezone", "UTC")))
        return value
