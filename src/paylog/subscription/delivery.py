"""The ``deliver`` section: the OpenScale service that a subscription's payload is posted to as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictInt

from paylog.subscription.names import ConnectionId, Text
from paylog.subscription.quantities import Duration, Size
from paylog.subscription.section import Problem, Section


class ServiceApi(StrEnum):
    """Which of OpenScale's REST APIs: v2 ``data_sets``, or v1 ``scoring_payloads`` of old instances."""

    V2 = "v2"
    V1 = "v1"


class Delivery(Section):
    """Where, and how fast, payload records are posted after they were loaded."""

    connection: ConnectionId = Field(
        default="paylog_openscale_default", description="Id of the connection (type paylog_openscale)."
    )
    api: ServiceApi = Field(default=ServiceApi.V2, description="v2, or v1 for old instances.")
    data_set: Text | None = Field(default=None, description="v2: id of the payload logging data set.")
    subscription: Text | None = Field(default=None, description="v1: the service's id of the subscription.")
    binding: Text | None = Field(default=None, description="v1: the service's id of the binding.")
    rows: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Most scored rows in one request."
    )
    bytes: Size = Field(default=900_000, description="Most bytes in one request, before compression.")
    max_parallel: Annotated[StrictInt, Field(ge=1, le=32)] = Field(
        default=4, description="Requests at the same time. v1: always one, since only counts confirm."
    )
    rows_per_second: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="Most rows a second. Left out: as fast as the service takes them."
    )
    patience: Duration = Field(
        default=timedelta(minutes=5),
        description="How long a request may stay unconfirmed before it is reported as failed, like 5m.",
    )
    settle: Duration = Field(
        default=timedelta(seconds=10),
        description="How long what the service may have taken can stay invisible there, before it is posted "
        "again, like 10s; at most half of patience.",
    )
    historical: StrictBool | None = Field(
        default=None,
        description="Mark the records as historical data (v2). Left out: those of backfills, and of batches "
        "that were more than a day old when they were loaded.",
    )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        api = data.get("api", ServiceApi.V2)
        if api == ServiceApi.V2 and not data.get("data_set"):
            yield Problem(("data_set",), "v2 needs the id of the service's payload logging data set")
        missing = [name for name in ("subscription", "binding") if not data.get(name)]
        if api == ServiceApi.V1 and missing:
            yield Problem((missing[0],), f"v1 needs the service's ids: {', '.join(missing)} missing")
