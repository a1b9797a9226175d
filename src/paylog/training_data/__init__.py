"""Training data: read where it lives (Db2, object storage), profiled and checked.

::

    result = check(subscription, previous)      # reads once; findings and the profile
    result.status, result.findings, result.profile
    statistics(result.profile, subscription)    # OpenScale's training statistics JSON
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from paylog.subscription.training_data import FindingSeverity as Severity
from paylog.training_data.findings import CheckResult, Finding, Status
from paylog.training_data.profile import (
    ColumnProfile,
    DataVersion,
    GroupProfile,
    NumericProfile,
    Profile,
    Quarter,
    SourceColumn,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from paylog.subscription import Subscription

__all__ = [
    "CheckResult",
    "ColumnProfile",
    "DataVersion",
    "Finding",
    "GroupProfile",
    "NumericProfile",
    "Profile",
    "Quarter",
    "Severity",
    "SourceColumn",
    "Status",
    "TrainingData",
    "check",
    "open_source",
    "profile",
    "statistics",
]


class TrainingData(Protocol):
    """Rows of training data, streamed; a context manager is not needed: an iterator closes what it opens."""

    @property
    def columns(self) -> tuple[SourceColumn, ...]:
        """The columns, in the data's order."""
        ...

    @property
    def version(self) -> DataVersion:
        """Which data it is; may be asked before and after reading."""
        ...

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of bounded size, typed as the store has them (CSV: text).

        :param columns: the columns wanted; None: all of them.

        Raises ``RetriableError`` when the connection is lost, ``StopError`` when the data cannot be read.
        """
        ...


def open_source(subscription: Subscription) -> TrainingData:
    """The training data that a subscription names, its columns and version known.

    :raises ConfigurationError: no ``training_data``, or a connection that cannot be used.
    :raises MissingExtra: Db2 without the extra ``paylog[db2]``.
    :raises AccessDenied: wrong password, or no right to read.
    :raises ObjectNotFound: no such table, bucket or object; names near ones.
    :raises RetriableError: the store cannot be reached.
    """
    from paylog.training_data.sources import open_reference

    return open_reference(subscription)


def profile(data: TrainingData, subscription: Subscription) -> Profile:
    """Read the data once, in bounded memory, and say what it is like.

    Raises what ``TrainingData.chunks`` raises, and ``StopError`` over ``training_data.max_rows``.
    """
    from paylog.training_data.profiler import profiled

    return profiled(data, subscription)


def check(subscription: Subscription, previous: Profile | None = None) -> CheckResult:
    """Read, profile and check. What keeps the data from being read is a finding too, not an exception.

    :param previous: the last profile, for the checks on change.
    :raises ConfigurationError: the subscription names no training data.
    """
    from paylog.training_data.checks import checked

    return checked(subscription, previous)


def statistics(profile: Profile, subscription: Subscription) -> dict[str, Any]:
    """The profile in the shape of OpenScale's training statistics JSON (contract section 5.2)."""
    from paylog.training_data.openscale_statistics import openscale_statistics

    return openscale_statistics(profile, subscription)
