"""The registry of the checks: what each looks at, and how much it weighs as paylog ships it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from paylog.model_schema import Field, ModelSchema, Role
from paylog.subscription import Subscription
from paylog.subscription.check_codes import CheckCode
from paylog.subscription.training_data import FindingSeverity, Thresholds
from paylog.training_data.findings import Finding
from paylog.training_data.profile import ColumnProfile, Profile, has_names

_SHOWN = 5
_LONGEST = 40


class Fault(NamedTuple):
    """What a check found; ``column`` is None when it concerns the whole data."""

    column: str | None
    expected: str
    found: str
    remedy: str


@dataclass(frozen=True)
class Evidence:
    """What a check looks at."""

    subscription: Subscription
    profile: Profile
    previous: Profile | None = None

    @property
    def schema(self) -> ModelSchema:
        return self.subscription.model_schema

    @property
    def thresholds(self) -> Thresholds:
        reference = self.subscription.training_data
        return reference.thresholds if reference else Thresholds()

    @cached_property
    def label(self) -> Field | None:
        """The declared label: the field with the role ``target``."""
        return next(iter(self.schema.of_role(Role.TARGET)), None)

    @property
    def has_names(self) -> bool:
        """Whether the columns have the names of the model schema, in whatever spelling."""
        return has_names(self.profile.found, self.schema)

    @property
    def is_regression(self) -> bool:
        return self.schema.problem_type == "regression"

    @property
    def features(self) -> Iterator[tuple[Field, ColumnProfile]]:
        """The features that the data has, with a value at least."""
        for field in self.schema.features:
            column = self.profile.column(field.name)
            if column is not None and column.count:
                yield field, column

    def names(self, column: str, categories: Iterable[str]) -> str:
        """Category names for a message, or only their number where a value must not be shown."""
        listed = sorted(categories)
        field = next(f for f in self.schema.fields if f.name == column)
        fairness = self.subscription.fairness
        grouped = fairness is not None and column in [a.feature for a in fairness.attributes]
        if field.sensitive or not (field.categorical or grouped or field.role is Role.TARGET):
            return f"{len(listed)} categories (not shown)"
        cut = [f"{name[:_LONGEST]}…" if len(name) > _LONGEST else name for name in listed[:_SHOWN]]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(map(repr, cut)) + more


Check = Callable[[Evidence], Iterator[Fault]]


class Registered(NamedTuple):
    """A check. ``of_rows``: it means nothing of no rows."""

    code: CheckCode
    severity: FindingSeverity
    look: Check
    of_rows: bool


CHECKS: list[Registered] = []


def error(code: CheckCode, of_rows: bool = True) -> Callable[[Check], Check]:
    """Register a check whose findings make the figures of a monitor wrong."""
    return _registering(code, FindingSeverity.ERROR, of_rows)


def warning(code: CheckCode, of_rows: bool = True) -> Callable[[Check], Check]:
    """Register a check whose findings somebody should look at."""
    return _registering(code, FindingSeverity.WARNING, of_rows)


def findings(evidence: Evidence) -> list[Finding]:
    """What all checks find, errors first, in the order of the registry."""
    reference = evidence.subscription.training_data
    chosen = reference.severity if reference else {}
    found = [
        Finding(check.code, chosen.get(check.code, check.severity), *fault)
        for check in CHECKS
        if evidence.profile.rows or not check.of_rows
        for fault in check.look(evidence)
    ]
    heard = [finding for finding in found if finding.severity is not FindingSeverity.IGNORE]
    return sorted(heard, key=lambda finding: finding.severity is not FindingSeverity.ERROR)


def share(part: int, whole: int) -> str:
    """``12 of 5,000 (0.24 %)``"""
    return f"{part:,} of {whole:,} ({100 * part / whole:.3g} %)" if whole else f"{part:,} of 0"


def _registering(code: CheckCode, severity: FindingSeverity, of_rows: bool) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS.append(Registered(code, severity, check, of_rows))
        return check

    return register
