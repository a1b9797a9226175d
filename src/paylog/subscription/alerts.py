"""The ``alerts`` section: whom to tell what, and when silence is worth an alert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from paylog.subscription.names import Text
from paylog.subscription.quantities import Duration
from paylog.subscription.section import Problem, Section, looks_secret, problem, shown

LOG_NOTIFIER = "paylog.airflow.notifier.LogNotifier"

_CLASS = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
# https://user:password@host, and the addresses that webhooks of chat services are.
_ADDRESS = re.compile(r"://[^/\s]*:[^/\s]*@|hooks?\.|/webhook", re.IGNORECASE)


class Cause(StrEnum):
    """Why somebody is told. They are data: never rename one."""

    NO_DATA = "no_data"
    SCHEMA_MISMATCH = "schema_mismatch"
    STORE_REFUSED = "store_refused"
    LATE = "late"
    OVERDUE = "overdue"
    FAILED = "failed"


def _class_path(value: str) -> str:
    if not re.fullmatch(_CLASS, value):
        raise problem(
            f"{shown(value)} is not the import path of a notifier, like "
            "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
        )
    return value


def _owner(value: str) -> str:
    if "," in value or not value.isprintable():
        raise problem("one owner an entry: an address, or the name of a team")
    return value


class Route(Section):
    """One way to tell somebody."""

    owners: tuple[Annotated[Text, AfterValidator(_owner)], ...] = Field(
        default=(), description="Who is told: addresses, or names of teams."
    )
    causes: tuple[Cause, ...] = Field(
        default=tuple(Cause),
        description="What they are told of: no_data, schema_mismatch, store_refused, late, overdue, "
        "failed. Left out: all.",
    )
    notifier: Annotated[
        str, AfterValidator(_class_path), WithJsonSchema({"type": "string", "pattern": f"^{_CLASS}$"})
    ] = Field(default=LOG_NOTIFIER, description="Import path of an Airflow notifier. Left out: the task log.")
    arguments: dict[Text, Any] = Field(
        default_factory=dict,
        description="The notifier's arguments, naming connections. Text is a template: {{ alert.subject }}, "
        "{{ alert.text }}, {{ alert.html }}, {{ alert.owners }}, {{ alert.link }}, … Left out: to, subject, "
        "text, html_content and message are filled in where the notifier knows them.",
    )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        arguments = data.get("arguments")
        for name, value in arguments.items() if isinstance(arguments, Mapping) else ():
            if looks_secret(name) or (isinstance(value, str) and _ADDRESS.search(value)):
                message = "looks like a secret: put it in an Airflow connection and name that here"
                yield Problem(("arguments", str(name)), message)


class Alerts(Section):
    """Whom to tell when something is wrong; without this section nobody is."""

    routes: tuple[Route, ...] = Field(
        default=(Route(),), description="Who is told what, and how. Left out: the task log."
    )
    no_data: Duration | None = Field(
        default=timedelta(hours=1),
        description="How long after a window of the schedule the engine's first object of it may come, "
        "like 1h. null: silence of the engine is normal.",
    )
    late: Duration | None = Field(
        default=timedelta(hours=2),
        description="How long after a window of the schedule the data mart may be incomplete, like 2h. "
        "null: never told.",
    )
    deadline: Duration | None = Field(
        default=None,
        description="How long a DAG run may take from being queued, like 90m (Airflow's deadline alert). "
        "Left out: as long as it wants.",
    )
    remind: Duration = Field(
        default=timedelta(hours=24), description="When to tell once more what is not resolved yet, like 24h."
    )
