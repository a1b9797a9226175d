"""The one error tree. The type says what to do; the message says what, where and how to mend it.

::

    PaylogError
    ├── RetriableError            try again later: network, 5xx, serialization failure
    │   └── ObjectChanged         the capture object changed while it was read: read it again
    ├── RejectedRecord            keep the record in quarantine with its reason and go on
    └── StopError                 fail now, a retry cannot help
        ├── ConfigurationError    a subscription or connection is wrong (every mistake at once)
        ├── AccessDenied          the store or the data mart refused these credentials
        ├── ObjectNotFound        a bucket, folder or object that should exist does not
        ├── TruncatedStream       a compressed object ends too soon or is corrupt
        ├── DecompressionLimitExceeded  an object holds more than its subscription allows
        ├── MissingExtra          an optional dependency is not installed
        ├── SchemaMismatch        the payload table and the model schema disagree
        ├── InvalidInput          what the Python client was given cannot be stored
        ├── DeliveryFailed        the service did not take some records
        ├── ErrorBudgetExceeded   too many rejects: the whole batch was rolled back
        ├── PayloadRefused        a batch is not like the training data, and its gate is shut
        ├── RequirementUnmet      what the subscription requires before loading is not in order
        └── UnbalancedReceipt     rows went missing: a defect in paylog, the batch was rolled back

No message may hold a payload value.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class PaylogError(Exception):
    """Base of every error paylog raises on purpose."""


class RetriableError(PaylogError):
    """A passing fault. Airflow retries the task with backoff; the CLI exits with 75 (EX_TEMPFAIL)."""


class ObjectChanged(RetriableError):
    """The object's version is no longer the one that was listed. It is read again at its new version."""


class StopError(PaylogError):
    """Retrying cannot help: configuration, permissions or schema must be mended first."""


class ConfigurationError(StopError):
    """Everything that is wrong with a configuration, one problem a line.

    :param problems: complete sentences, each with its place and its mend.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class AccessDenied(StopError):
    """The credentials were refused, or lack a right that the message names."""


class ObjectNotFound(StopError):
    """A bucket, folder or object does not exist."""


class TruncatedStream(StopError):
    """A compressed object ends too soon or is corrupt.

    An engine loads what came out before and quarantines the rest; unhandled, the task stops.

    :param decompressed: bytes that came out before the fault.
    """

    def __init__(self, message: str, decompressed: int) -> None:
        super().__init__(message)
        self.decompressed = decompressed


class DecompressionLimitExceeded(StopError):
    """An object holds more bytes, once decompressed, than the subscription allows."""


class MissingExtra(StopError):
    """An optional dependency is not installed; the message holds the pip command."""


class SchemaMismatch(StopError):
    """The payload table in the data mart does not fit the model schema."""


class InvalidInput(StopError):
    """What was handed to the Python client cannot be stored; nothing of the call was kept."""


class DeliveryFailed(StopError):
    """The service did not take some records; the data mart holds them, and what the service said."""


class ErrorBudgetExceeded(StopError):
    """More records were rejected than the subscription allows; nothing of the batch was kept."""


class PayloadRefused(StopError):
    """A batch is not like the training data, and the subscription's gate is shut; nothing of it was kept."""


class RequirementUnmet(StopError):
    """What the subscription requires before it loads anything is not in order."""


class UnbalancedReceipt(StopError):
    """read != loaded + duplicate + rejected + filtered + pending. The transaction was rolled back."""


class Reason(StrEnum):
    """Stable codes of why a record is in quarantine. They are data: never rename one."""

    INVALID_UTF8 = "INVALID_UTF8"
    MALFORMED_JSON = "MALFORMED_JSON"
    MALFORMED_CSV = "MALFORMED_CSV"
    MALFORMED_PARQUET = "MALFORMED_PARQUET"
    MALFORMED_RECORD = "MALFORMED_RECORD"
    LINE_TOO_LONG = "LINE_TOO_LONG"
    TRUNCATED_OBJECT = "TRUNCATED_OBJECT"
    UNSUPPORTED_CONTENT_TYPE = "UNSUPPORTED_CONTENT_TYPE"
    UNSUPPORTED_BODY = "UNSUPPORTED_BODY"
    MISSING_REQUEST = "MISSING_REQUEST"
    MISSING_RESPONSE = "MISSING_RESPONSE"
    BODY_NOT_LOGGED = "BODY_NOT_LOGGED"
    MISSING_PAYLOAD = "MISSING_PAYLOAD"
    FOREIGN_PAYLOAD = "FOREIGN_PAYLOAD"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNPAIRED = "UNPAIRED"
    NO_TIMESTAMP = "NO_TIMESTAMP"
    ROW_COUNT_MISMATCH = "ROW_COUNT_MISMATCH"
    COLUMN_COUNT_MISMATCH = "COLUMN_COUNT_MISMATCH"
    HEADER_ROW = "HEADER_ROW"
    MISSING_FEATURE = "MISSING_FEATURE"
    MISSING_PREDICTION = "MISSING_PREDICTION"
    NULL_VALUE = "NULL_VALUE"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    UNKNOWN_CLASS = "UNKNOWN_CLASS"
    PROBABILITY_MISMATCH = "PROBABILITY_MISMATCH"


class RejectedRecord(PaylogError):
    """One record cannot be loaded. Raised while decoding; always caught and quarantined.

    :param reason: why, a stable code.
    :param column: the field concerned, if one is.
    :param rows: how many scored rows the record stands for.
    """

    def __init__(self, reason: Reason, column: str | None = None, rows: int = 1) -> None:
        super().__init__(reason.value if column is None else f"{reason.value} in column {column!r}")
        self.reason = reason
        self.column = column
        self.rows = rows
