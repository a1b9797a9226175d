"""Checks of what the fairness monitor needs: attributes, groups and outcomes."""

from __future__ import annotations

from collections.abc import Iterator

from paylog.model_schema import FieldType
from paylog.subscription.check_codes import CheckCode
from paylog.subscription.monitors import Fairness
from paylog.subscription.training_data import CosReference
from paylog.training_data.check_registry import Evidence, Fault, error, warning
from paylog.training_data.profile import GroupProfile

_NUMBERS = (FieldType.INTEGER, FieldType.DOUBLE)
_GROUPS = ("majority", "minority")


@error(CheckCode.FAIRNESS_TYPE, of_rows=False)
def _fairness_type(evidence: Evidence) -> Iterator[Fault]:
    """Booleans are taken from Db2 only (IBM's documentation of fairness attributes)."""
    fairness = evidence.subscription.fairness
    types = {field.name: field.type for field in evidence.schema.features}
    for attribute in fairness.attributes if fairness else ():
        kind = types.get(attribute.feature)
        in_ranges = isinstance(attribute.majority[0], tuple)
        if kind is FieldType.BOOLEAN and isinstance(evidence.subscription.training_data, CosReference):
            remedy = "OpenScale takes boolean fairness attributes from Db2 only: give it as text or number"
            yield Fault(attribute.feature, "text or numbers", "booleans in object storage", remedy)
        elif kind in (FieldType.TIMESTAMP, FieldType.ARRAY):
            remedy = "choose a feature of categories or numbers"
            yield Fault(attribute.feature, "categories or numbers", kind, remedy)
        elif in_ranges and kind not in (*_NUMBERS, None):
            remedy = "write majority and minority as categories: [male], not [[0, 1]]"
            yield Fault(attribute.feature, f"categories, it is of type {kind}", "ranges", remedy)
        elif not in_ranges and kind is FieldType.DOUBLE:
            remedy = "write majority and minority as ranges: [[26, 75]]"
            yield Fault(attribute.feature, "ranges, it is of type double", "single values", remedy)


@error(CheckCode.FAIRNESS_GROUP_EMPTY)
def _group_empty(evidence: Evidence) -> Iterator[Fault]:
    for _, profile in _groups(evidence):
        for name in _GROUPS:
            if not profile.rows(name):
                remedy = f"mend fairness.attributes: are the values of the {name} those of the data?"
                yield Fault(profile.feature, f"rows of the {name}", "none", remedy)


@warning(CheckCode.FAIRNESS_GROUP_SMALL)
def _group_small(evidence: Evidence) -> Iterator[Fault]:
    for fairness, profile in _groups(evidence):
        for name in _GROUPS:
            if 0 < (rows := profile.rows(name)) < fairness.min_records:
                expected = f"{fairness.min_records:,} rows of the {name} or more (fairness.min_records)"
                remedy = "a share of so few rows says little: widen the group, or take more data"
                yield Fault(profile.feature, expected, f"{rows:,}", remedy)


@error(CheckCode.FAIRNESS_OUTCOME_MISSING)
def _outcome_missing(evidence: Evidence) -> Iterator[Fault]:
    """Fairness is the minority's share of favourable outcomes over the majority's, which must not be 0."""
    for fairness, profile in _groups(evidence):
        outcomes = {"favourable", *map(str, fairness.favourable)}
        rows = profile.labels.get("majority", {})
        if rows and not any(count for label, count in rows.items() if label in outcomes):
            remedy = "mend fairness.favourable: are they labels of the data?"
            yield Fault(profile.feature, "favourable outcomes in the majority", "none", remedy)


def _groups(evidence: Evidence) -> Iterator[tuple[Fairness, GroupProfile]]:
    fairness = evidence.subscription.fairness
    if fairness is not None:
        yield from ((fairness, profile) for profile in evidence.profile.groups)
