"""The ``logs`` section: where an engine drops its scoring logs, and how they are filed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from paylog.subscription.names import BucketName, ConnectionId, Text
from paylog.subscription.quantities import Duration, Size
from paylog.subscription.schedule import TimeZone
from paylog.subscription.section import Section, problem

_LAYOUT_FIELDS = ["%Y", "%m", "%d", "%H", "%M"]


class TimestampSource(StrEnum):
    """Where a scoring timestamp comes from."""

    RECORD = "record"
    LAST_MODIFIED = "last_modified"


def _folder(value: str) -> str:
    """``a/b`` and ``a/b/`` both become ``a/b/``."""
    if value.startswith("/") or "\\" in value or "//" in value or ".." in value.split("/"):
        raise problem("a prefix is relative, with single '/' and without '..': credit-risk/logs/")
    return value if not value or value.endswith("/") else f"{value}/"


def _layout(value: str) -> str:
    used = re.findall(r"%.?", value)
    if unknown := sorted(set(used) - set(_LAYOUT_FIELDS)):
        raise problem(f"{', '.join(unknown)} is not known in a layout; use {', '.join(_LAYOUT_FIELDS)}")
    if used != _LAYOUT_FIELDS[: len(used)]:
        raise problem("a layout goes from the year down without a gap: %Y, %m, %d, %H, %M, each once")
    if "{" in value or "}" in value:
        value, choice = re.sub(r"^\{[^{}%]+\}/", "", value), value
        if "{" in value or "}" in value:
            raise problem("a choice is the first folder of a layout: {inputs,outputs}/%Y/%m/%d/")
        return _layout(value) and choice
    if value and (not used or value.startswith("/") or not value.endswith("/") or ".." in value):
        raise problem("a layout is relative, ends with '/' and holds a time: %Y/%m/%d/%H/ or dt=%Y-%m-%d/")
    return value


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class Logs(Section):
    """Where the engine drops its scoring logs, and how they are laid out."""

    connection: ConnectionId = Field(
        default="",
        description="Id of the connection to the store. Left out: ibm_cos_default with a bucket, "
        "paylog_folder_default without.",
        json_schema_extra=_without_default,
    )
    bucket: BucketName | None = Field(
        default=None, description="Bucket of an object store; on Azure the container."
    )
    prefix: Annotated[str, AfterValidator(_folder)] = Field(
        default="",
        description="Folder of the logs: key prefix in the bucket, or path below the connection's folder.",
    )
    layout: Annotated[str, AfterValidator(_layout)] | None = Field(
        default=None,
        description="How objects are filed by time (UTC) below the prefix: %Y/%m/%d/%H/ or dt=%Y-%m-%d/. "
        "Empty: all in one folder. Left out: the engine's own layout.",
    )
    timestamp: TimestampSource = Field(
        default=TimestampSource.RECORD,
        description="Where the scoring timestamp comes from: the record, or the object's last modification "
        "(its rows are marked as approximate).",
    )
    timezone: TimeZone | None = Field(
        default=None, description="IANA zone of timestamps without one. Left out: such records are rejected."
    )
    variant: Text | None = Field(
        default=None, description="SageMaker only: load this production variant and filter the others out."
    )
    columns: tuple[Text, ...] = Field(
        default=(),
        description="Columns of CSV files without a header, in order. Left out: the model schema's fields.",
    )
    lookback: Duration = Field(
        default=timedelta(hours=24),
        description="How far back a run lists again to find late objects, like 24h.",
    )
    settle: Duration = Field(
        default=timedelta(0), description="Objects younger than this wait for the next run, like 90s."
    )
    pending: Duration = Field(
        default=timedelta(hours=48),
        description="How long half of a request/response pair waits for the other half before it is a "
        "reject (UNPAIRED), like 48h.",
    )
    max_object_bytes: Size = Field(
        default=8 * 1024**3, description="Largest object, decompressed, like 8GiB."
    )
    max_record_bytes: Size = Field(default=16 * 1024**2, description="Largest single record, like 16MiB.")

    @model_validator(mode="before")
    @classmethod
    def _default_connection(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "connection" not in data:
            name = "ibm_cos_default" if data.get("bucket") else "paylog_folder_default"
            return {**data, "connection": name}
        return data
