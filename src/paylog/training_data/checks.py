"""All checks of training data, from reaching it to the groups of a fairness attribute."""

from __future__ import annotations

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    MissingExtra,
    ObjectNotFound,
    PaylogError,
    RetriableError,
)
from paylog.subscription import Subscription
from paylog.subscription.check_codes import CheckCode
from paylog.subscription.training_data import FindingSeverity
from paylog.training_data import (
    column_checks,
    fairness_checks,
    label_checks,
    table_checks,
)
from paylog.training_data.check_registry import CHECKS, Evidence, findings
from paylog.training_data.findings import CheckResult, Finding
from paylog.training_data.profile import Profile
from paylog.training_data.profiler import profiled
from paylog.training_data.sources import open_reference

MODULES = (table_checks, column_checks, label_checks, fairness_checks)
"""Importing them fills the registry, in this order."""

_TROUBLE: tuple[tuple[type[PaylogError], CheckCode, str, str], ...] = (
    (RetriableError, CheckCode.UNREACHABLE, "training data that can be reached", "check it again later"),
    (AccessDenied, CheckCode.ACCESS_DENIED, "the right to read it", "give the connection's user that right"),
    (ObjectNotFound, CheckCode.NOT_FOUND, "a table or object of that name", "mend the training_data section"),
    (PaylogError, CheckCode.NOT_READABLE, "data that can be read", "mend the data or how it is declared"),
)


def checked(subscription: Subscription, previous: Profile | None) -> CheckResult:
    """See :func:`paylog.training_data.check`."""
    try:
        profile = profiled(open_reference(subscription), subscription)
    except (ConfigurationError, MissingExtra):
        raise
    except PaylogError as fault:
        return CheckResult((_trouble(fault),), None, isinstance(fault, RetriableError))
    return CheckResult(tuple(findings(Evidence(subscription, profile, previous))), profile)


def shipped_severities() -> dict[CheckCode, FindingSeverity]:
    """Each check and how much it weighs unless ``training_data.severity`` says otherwise."""
    sources = {code: FindingSeverity.ERROR for _, code, _, _ in _TROUBLE}
    return sources | {check.code: check.severity for check in CHECKS}


def _trouble(fault: PaylogError) -> Finding:
    """What kept the data from being read. It is an error whatever the subscription says."""
    code, expected, remedy = next(entry[1:] for entry in _TROUBLE if isinstance(fault, entry[0]))
    return Finding(code, FindingSeverity.ERROR, None, expected, str(fault), remedy)
