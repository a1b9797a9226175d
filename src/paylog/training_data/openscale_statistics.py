"""The profile in the shape of OpenScale's training statistics JSON.

Shape: ``TrainingStats.get_training_statistics`` of ``ibm-ai-openscale`` 2.2.1. Maps of the explainability
part are keyed by the feature's index as text; numeric features are cut at their quartiles as LIME's
QuartileDiscretizer does, categories are encoded by their place in sorted order. Where IBM's code leaves out
rows with any null, a profile leaves nulls out column by column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from paylog.model_schema import Field, FieldType, Role
from paylog.subscription import Subscription
from paylog.subscription.monitors import Fairness, FairnessAttribute
from paylog.training_data.profile import ColumnProfile, GroupProfile, Profile

_BUCKETS = 45
_NEVER_ZERO = 1e-11
_DEFAULT_THRESHOLD = 80
_QUARTILES = ("0.25", "0.5", "0.75")


def openscale_statistics(profile: Profile, subscription: Subscription) -> dict[str, Any]:
    """See :func:`paylog.training_data.statistics`."""
    document = {
        "common_configuration": _common(profile, subscription),
        "explainability_configuration": _explainability(profile, subscription),
    }
    if subscription.fairness is not None and profile.groups:
        document["fairness_configuration"] = _fairness(profile, subscription, subscription.fairness)
    return document


def _common(profile: Profile, subscription: Subscription) -> dict[str, Any]:
    schema = subscription.model_schema
    features = _features(profile, subscription)
    label = next(iter(schema.of_role(Role.TARGET)), None)
    fields = [*(field for field, _ in features), *([label] if label else [])]
    common = {
        "problem_type": schema.problem_type,
        "label_column": label.name if label else None,
        "input_data_schema": {"type": "struct", "fields": [_struct(field) for field in fields]},
        "feature_fields": [field.name for field, _ in features],
        "categorical_fields": [field.name for field, _ in features if _is_categorical(field)],
        "prediction": schema.prediction.name,
    }
    return common | ({"probability": [schema.probability.name]} if schema.probability else {})


def _struct(field: Field) -> dict[str, Any]:
    metadata = {"modeling_role": field.role.value}
    if _is_categorical(field):
        metadata["measure"] = "discrete"
    return {"name": field.name, "type": field.type.value, "nullable": True, "metadata": metadata}


def _explainability(profile: Profile, subscription: Subscription) -> dict[str, Any]:
    features = _features(profile, subscription)
    parts: dict[str, dict[str, Any]] = {}
    for index, (field, column) in enumerate(features):
        figures = _categorical(field, column) if _is_categorical(field) else _numeric(column)
        for key, value in figures.items():
            parts.setdefault(key, {})[str(index)] = value
    empty: dict[str, dict[str, Any]] = {key: {} for key in _MAPS}
    return {
        "feature_columns": [field.name for field, _ in features],
        "categorical_columns": [field.name for field, _ in features if _is_categorical(field)],
        "class_labels": _class_labels(profile, subscription),
    } | {key: parts.get(key, empty[key]) for key in _MAPS}


_MAPS = (
    "feature_values", "feature_frequencies", "categorical_columns_encoding_mapping", "categorical_counts",
    "d_means", "d_stds", "d_mins", "d_maxs", "d_bins", "base_values", "stds", "mins", "maxs",
)  # fmt: skip


def _categorical(field: Field, column: ColumnProfile) -> dict[str, Any]:
    names = sorted(column.categories)
    if not names:
        return {}
    most = min(names, key=lambda name: (-column.categories[name], name))
    return {
        "feature_values": list(range(len(names))),
        "feature_frequencies": [column.categories[name] for name in names],
        "categorical_columns_encoding_mapping": [_native(field.type, name) for name in names],
        "categorical_counts": {name: column.categories[name] for name in names},
        "base_values": _native(field.type, most),
    }


def _numeric(column: ColumnProfile) -> dict[str, Any]:
    figures = column.numeric
    if figures is None:
        return {}
    cuts = sorted({figures.quantiles[q] for q in _QUARTILES})
    bins = {int(np.searchsorted(cuts, quarter.max)): quarter for quarter in figures.quarters}
    population = math.sqrt((column.count - 1) / column.count)
    every = range(len(cuts) + 1)
    return {
        "feature_values": list(bins),
        "feature_frequencies": [quarter.count for quarter in bins.values()],
        "d_means": [bins[b].mean if b in bins else 0 for b in every],
        "d_stds": [(bins[b].std if b in bins else 0) + _NEVER_ZERO for b in every],
        "d_mins": [figures.min, *cuts],
        "d_maxs": [*cuts, figures.max],
        "d_bins": cuts,
        "base_values": figures.quantiles["0.5"],
        "stds": figures.std * population,
        "mins": figures.min,
        "maxs": figures.max,
    }


def _fairness(profile: Profile, subscription: Subscription, fairness: Fairness) -> dict[str, Any]:
    attributes = {attribute.feature: attribute for attribute in fairness.attributes}
    distributions = [_distribution(group, attributes[group.feature], profile) for group in profile.groups]
    limits = [
        {
            "value": attribute.threshold * 100,
            "applies_to": [{"type": "tag", "key": "feature", "value": attribute.feature}],
        }
        for attribute in fairness.attributes
    ]
    return {
        "parameters": {
            "features": [
                {
                    "feature": attribute.feature,
                    "majority": _listed(attribute.majority),
                    "minority": _listed(attribute.minority),
                    "threshold": attribute.threshold,
                }
                for attribute in fairness.attributes
            ],
            "favourable_class": _listed(fairness.favourable),
            "unfavourable_class": _listed(fairness.unfavourable),
            "min_records": fairness.min_records,
        },
        "distributions": [*distributions, *_label_distribution(profile, subscription, fairness)],
        "thresholds": [
            {
                "metric_id": "fairness_value",
                "type": "lower_limit",
                "value": _DEFAULT_THRESHOLD,
                "specific_values": limits,
            }
        ],
    }


def _distribution(group: GroupProfile, attribute: FairnessAttribute, profile: Profile) -> dict[str, Any]:
    column = profile.column(group.feature)
    figures = column.numeric if column else None
    in_ranges = isinstance(attribute.majority[0], tuple)
    if figures is None or not in_ranges:
        table: Mapping[Any, Mapping[str, int]] = group.values
        extent: dict[str, Any] = {"distinct_values": sorted(group.values)}
    else:
        table = _bucketed(group, attribute) if group.values else _by_group(group, attribute)
        extent = {"min": figures.min, "max": figures.max}
    labels = [
        {"label": label, "counts": [{"class_value": k, "count": n} for k, n in counts.items()]}
        for label, counts in table.items()
    ]
    return {"attribute": group.feature} | extent | {"class_labels": labels}


def _bucketed(group: GroupProfile, attribute: FairnessAttribute) -> dict[Any, dict[str, int]]:
    """By value up to 45 values, else by range; no range reaches over the end of a group."""
    values = {float(text): counts for text, counts in group.values.items()}
    ordered = sorted(values)
    if len(ordered) <= _BUCKETS:
        return {value: dict(values[value]) for value in ordered}
    ranges = [r for r in (*attribute.majority, *attribute.minority) if isinstance(r, tuple)]
    grid = np.linspace(ordered[0], ordered[-1], _BUCKETS + 1)[1:-1]
    ends = {high for _, high in ranges} | {float(np.nextafter(low, -np.inf)) for low, _ in ranges}
    lasts = np.asarray(sorted(ends))
    buckets: dict[tuple[int, int], list[float]] = {}
    for value in ordered:
        place = int(np.searchsorted(grid, value)), int(np.searchsorted(lasts, value))
        buckets.setdefault(place, []).append(value)
    return {str([held[0], held[-1]]): _summed([values[value] for value in held]) for held in buckets.values()}


def _by_group(group: GroupProfile, attribute: FairnessAttribute) -> dict[Any, dict[str, int]]:
    """Too many values to have been counted: by the groups themselves."""
    names = {"majority": attribute.majority, "minority": attribute.minority}
    return {str(_listed(ranges)): dict(group.labels.get(name, {})) for name, ranges in names.items()}


def _summed(tables: list[Mapping[str, int]]) -> dict[str, int]:
    labels = sorted({label for table in tables for label in table})
    return {label: sum(table.get(label, 0) for table in tables) for label in labels}


def _label_distribution(
    profile: Profile, subscription: Subscription, fairness: Fairness
) -> list[dict[str, Any]]:
    label = next(iter(subscription.model_schema.of_role(Role.TARGET)), None)
    if label is None:
        return []
    outcomes = [*_listed(fairness.favourable), *_listed(fairness.unfavourable)]
    is_regression = subscription.model_schema.problem_type == "regression"
    values = outcomes if is_regression else _class_labels(profile, subscription)
    return [{"attribute": label.name, "is_class_label": True, "distinct_values": values}]


def _class_labels(profile: Profile, subscription: Subscription) -> list[str | int]:
    """In the order of the probability vector; empty for a regression."""
    schema = subscription.model_schema
    if schema.problem_type == "regression" or schema.class_labels:
        return list(schema.class_labels)
    label = next((column for column in profile.columns if column.role is Role.TARGET), None)
    return [_native(label.type, name) for name in sorted(label.categories)] if label else []


def _features(profile: Profile, subscription: Subscription) -> list[tuple[Field, ColumnProfile]]:
    """The features that the data has, in declared order."""
    found = ((field, profile.column(field.name)) for field in subscription.model_schema.features)
    return [(field, column) for field, column in found if column is not None and column.count]


def _is_categorical(field: Field) -> bool:
    return field.categorical or field.type in (FieldType.STRING, FieldType.BOOLEAN)


def _native(kind: FieldType, name: str) -> Any:
    if kind is FieldType.BOOLEAN:
        return name == "true"
    if kind is FieldType.INTEGER:
        return int(name)
    return float(name) if kind is FieldType.DOUBLE else name


def _listed(group: tuple[Any, ...]) -> list[Any]:
    return [list(member) if isinstance(member, tuple) else member for member in group]
