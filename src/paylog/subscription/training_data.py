"""The ``training_data`` section: where a model's training data lives and how it is read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StrictBool, StrictInt, Tag

from paylog.subscription.check_codes import CheckCode
from paylog.subscription.names import BucketName, ConnectionId, Text
from paylog.subscription.quantities import Size
from paylog.subscription.schedule import Cron
from paylog.subscription.section import Problem, Section, problem


class TrainingDataFormat(StrEnum):
    """What the objects of training data contain."""

    CSV = "csv"
    PARQUET = "parquet"


class FindingSeverity(StrEnum):
    """How much a finding weighs; ``ignore`` drops it."""

    ERROR = "error"
    WARNING = "warning"
    IGNORE = "ignore"


def _key(value: str) -> str:
    if value.startswith("/") or "//" in value or ".." in value.split("/") or "://" in value:
        raise problem("a key is relative to the bucket, without '..': training/german_credit.csv")
    return value


def _encoding(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise problem(f"{value!r} is not an encoding; write utf-8, cp1252, latin-1 or utf-16") from None


def _delimiter(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value in '"\r\n':
        raise problem('a delimiter is one ASCII character, like "," or ";" or "\\t"')
    return value


class Sample(Section):
    """A stated sample: a row is in it or not by its own content, so every source gives the same one."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(description="Share of the distinct rows, 0 to 1.")
    seed: StrictInt = Field(default=0, description="Another seed, another sample.")


class Thresholds(Section):
    """From where on a check speaks up."""

    nulls: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2, description="Share of nulls that a feature may have, 0 to 1."
    )
    duplicates: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="Share of rows that may repeat another row."
    )
    rows_change: Annotated[float, Field(ge=0)] = Field(
        default=0.5, description="Change of the row count since the last profile, 0.5 for half as many more."
    )
    minority_class: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="Smallest share of the rows that a class label may have."
    )
    rows: Annotated[StrictInt, Field(ge=1)] = Field(
        default=100, description="Fewest rows that a profile means anything for."
    )


class _Reference(Section):
    """What every kind of training data reference has."""

    connection: ConnectionId = Field(description="Id of the connection to the store.")
    cron: Cron = Field(default="0 3 * * *", description="When it is checked and profiled again.")
    sample: Sample | None = Field(default=None, description="Profile a sample only. Left out: every row.")
    max_rows: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="Refuse training data of more rows. Left out: no limit."
    )
    thresholds: Thresholds = Field(default_factory=Thresholds, description="From where on checks speak up.")
    severity: dict[CheckCode, FindingSeverity] = Field(
        default_factory=dict, description="Check code → error, warning or ignore, where not as paylog ships."
    )


class Db2Reference(_Reference):
    """A table or view in Db2."""

    type: Literal["db2"] = Field(description="db2: a table or view in Db2.")
    connection: ConnectionId = Field(
        default="ibm_db2_default", description="Id of the connection (type ibm_db2) to the database."
    )
    schema_name: Text | None = Field(
        alias="schema", default=None, description="Schema of the table. Left out: that of the login."
    )
    table: Text = Field(description="Name of the table or view, as the catalog spells it or in lower case.")


class CosReference(_Reference):
    """One object or all objects below a prefix, CSV or Parquet."""

    type: Literal["cos"] = Field(description="cos: objects in Cloud Object Storage (or a folder).")
    connection: ConnectionId = Field(
        default="ibm_cos_default", description="Id of the connection (type ibm_cos) to the store."
    )
    bucket: BucketName | None = Field(default=None, description="Bucket, for object stores (COS, S3).")
    object: Annotated[Text, AfterValidator(_key)] | None = Field(
        default=None, description="Key of one object. Give either this or prefix."
    )
    prefix: Annotated[Text, AfterValidator(_key)] | None = Field(
        default=None, description="Key prefix of the parts, like training/german_credit/."
    )
    format: TrainingDataFormat | None = Field(
        default=None, description="csv or parquet. Left out: by the ending of the names."
    )
    header: StrictBool = Field(default=True, description="CSV: the first line of each object has the names.")
    columns: tuple[Text, ...] = Field(
        default=(),
        description="CSV without a header: the names in order. Left out: the features, then the label.",
    )
    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(
        default=",", description="CSV: what separates the cells."
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        default="utf-8", description="CSV: the encoding of the text; a byte order mark is skipped."
    )
    max_bytes: Size = Field(
        default=64 * 1024**3, description="Most decompressed bytes of all objects together, like 64GiB."
    )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        given = [key for key in ("object", "prefix") if data.get(key)]
        if len(given) != 1:
            yield Problem(tuple(given[:1]), "name one object or the prefix of the parts: object or prefix")
        if data.get("columns") and data.get("header", True) is not False:
            yield Problem(("columns",), "the header names the columns; say header: false if there is none")


def _kind(data: Any) -> str:
    kind = data.get("type") if isinstance(data, Mapping) else getattr(data, "type", None)
    return f"[{kind}]"


TrainingDataReference = Annotated[
    Annotated[Db2Reference, Tag("[db2]")] | Annotated[CosReference, Tag("[cos]")],
    Discriminator(
        _kind,
        custom_error_type="paylog",
        custom_error_message="training data is of type db2 or cos: write type: db2 or type: cos",
    ),
]
"""Where training data lives. The tags never show in a message: ``section.problems_of`` drops ``[…]``."""
