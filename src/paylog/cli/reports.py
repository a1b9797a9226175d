"""What a crew reports of the batches that it loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paylog.cli.exit_code import ExitCode, describe
from paylog.errors import (
    DecompressionLimitExceeded,
    ErrorBudgetExceeded,
    ObjectNotFound,
    PayloadRefused,
    TruncatedStream,
)

if TYPE_CHECKING:
    from paylog.records import Receipt

# The fault lies in the batch's own objects: the other batches may be fine.
_OF_ONE_BATCH = (
    ErrorBudgetExceeded,
    PayloadRefused,
    DecompressionLimitExceeded,
    ObjectNotFound,
    TruncatedStream,
)


@dataclass(frozen=True, slots=True)
class Advanced:
    """Rows read and stored bytes fetched since the last report; negative when they were rolled back."""

    batch_id: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Retried:
    """A passing fault; the batch was rolled back and starts again."""

    batch_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch is committed."""

    batch_id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Failed:
    """A batch was rolled back for good.

    :param fatal: no other batch will fare better.
    """

    batch_id: str
    kind: str
    message: str
    code: ExitCode
    fatal: bool

    @classmethod
    def by(cls, error: Exception, batch_id: str) -> Failed:
        kind, fatal = type(error).__name__, not isinstance(error, _OF_ONE_BATCH)
        return cls(batch_id, kind, describe(error), ExitCode.of(error), fatal)


Report = Advanced | Retried | Finished | Failed
Listener = Callable[[Report], None]
