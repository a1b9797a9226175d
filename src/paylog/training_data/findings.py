"""What a check found, and what all of them together mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from paylog.subscription.training_data import FindingSeverity as Severity
from paylog.training_data.profile import Profile


class Status(StrEnum):
    """The worst of the findings."""

    PASSED = "passed"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with training data. Holds no value but names of categories.

    :param code: stable, like ``COLUMN_MISSING``; a key of ``training_data.severity``.
    :param column: the field concerned, if one is.
    :param expected: what should be, in a few words.
    :param found: what is.
    :param remedy: what to do.
    """

    code: str
    severity: Severity
    column: str | None
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        where = f" {self.column!r}" if self.column else ""
        return f"{self.code}{where}: expected {self.expected}, found {self.found}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """All findings, errors first.

    :param profile: None when the data could not be read.
    :param retriable: it could not be read for a passing fault (network, server): try again later.
    """

    findings: tuple[Finding, ...]
    profile: Profile | None = None
    retriable: bool = False

    @property
    def status(self) -> Status:
        severities = {finding.severity for finding in self.findings}
        if Severity.ERROR in severities:
            return Status.ERROR
        return Status.WARNING if Severity.WARNING in severities else Status.PASSED
