"""What a subscription wants monitored: the monitors, and the groups that fairness compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from paylog.subscription.names import Text
from paylog.subscription.section import Problem, Section, did_you_mean, problem


class Monitor(StrEnum):
    """OpenScale's monitors."""

    FAIRNESS = "fairness"
    QUALITY = "quality"
    EXPLAINABILITY = "explainability"
    DRIFT = "drift"


class Requirement(StrEnum):
    """What must be in order before payload records are loaded."""

    TRAINING_DATA = "training_data"


Range = tuple[float, float]


def _value(value: object) -> object:
    if isinstance(value, bool):
        raise problem("YAML reads an unquoted yes, no, true or false as a boolean: quote the value")
    if not isinstance(value, list | tuple):
        return value
    low, high = value if len(value) == 2 else (None, None)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high))
    if not numbers or float(low) > float(high):  # type: ignore[arg-type]
        raise problem("a range is [lowest, highest], both included, like [18, 25]")
    return (float(low), float(high))  # type: ignore[arg-type]


def _one_kind(values: tuple[Range | str | int, ...]) -> tuple[Range | str | int, ...]:
    if len({isinstance(value, tuple) for value in values}) > 1:
        raise problem("a group is made of categories or of ranges, not of both")
    return values


Group = Annotated[
    tuple[Annotated[Range | str | int, BeforeValidator(_value)], ...],
    Field(min_length=1),
    AfterValidator(_one_kind),
]
"""Categories, or ranges ``[lowest, highest]`` of numbers, both included."""


class FairnessAttribute(Section):
    """A feature whose groups must be treated alike."""

    feature: Text = Field(description="Name of the feature, like Sex or Age.")
    majority: Group = Field(description="Categories or ranges of the majority: [male] or [[26, 75]].")
    minority: Group = Field(description="Categories or ranges of the minority: [female] or [[18, 25]].")
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Lowest share of favourable outcomes, minority to majority, above 0 to 1."
    )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        yield from _apart(data, "majority", "minority")


class Fairness(Section):
    """What the fairness monitor compares (``openscale-contract`` section 5.3)."""

    favourable: Group = Field(description="Class labels that are good for the person; regression: ranges.")
    unfavourable: Group = Field(description="Class labels that are not; regression: ranges.")
    attributes: Annotated[tuple[FairnessAttribute, ...], Field(min_length=1)] = Field(
        description="Features with their majority and minority."
    )
    min_records: Annotated[StrictInt, Field(ge=1)] = Field(
        default=100, description="Fewest rows that a group needs to be judged."
    )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        yield from _apart(data, "favourable", "unfavourable")


def holds(group: Iterable[Range | str | int], value: Range | str | int) -> bool:
    """Whether a group has this category, or a range that overlaps this one."""
    if isinstance(value, tuple):
        return any(isinstance(x, tuple) and x[0] <= value[1] and value[0] <= x[1] for x in group)
    return str(value) in (str(x) for x in group if not isinstance(x, tuple))


def _apart(data: Mapping[Any, Any], one: str, other: str) -> Iterator[Problem]:
    groups: list[list[Any]] = []
    for key in (one, other):
        values = data.get(key)
        if not isinstance(values, list | tuple) or not values:
            return
        groups.append([tuple(v) if isinstance(v, list) else v for v in values])
    if any(isinstance(v, tuple) and len(v) != 2 for group in groups for v in group):
        return
    first, second = groups
    if isinstance(first[0], tuple) != isinstance(second[0], tuple):
        yield Problem((other,), f"{one} and {other} must be of one kind: categories or ranges")
    elif any(holds(first, value) for value in second):
        yield Problem((other,), f"{one} and {other} overlap; a value belongs to one of them at most")


def unknown_in_fairness(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """Attributes that are no feature, and outcomes that are no class label, of a subscription as written."""
    fairness, schema = (_as_written(data.get(key)) for key in ("fairness", "model_schema"))
    fields = [_as_written(field) for field in _listed(schema.get("fields"))]
    features = [f.get("name") for f in fields if f.get("role", "feature") == "feature"]
    for index, attribute in enumerate(map(_as_written, _listed(fairness.get("attributes")))):
        name = attribute.get("feature")
        if features and isinstance(name, str) and name not in features:
            guess = did_you_mean(name, features) or "; declare it in model_schema.fields"
            yield Problem(("fairness", "attributes", index, "feature"), f"{name!r} is no feature{guess}")
    labels = [str(label) for label in _listed(schema.get("class_labels"))]
    for key in ("favourable", "unfavourable"):
        for index, value in enumerate(_listed(fairness.get(key))):
            if labels and not isinstance(value, list | tuple) and str(value) not in labels:
                guess = did_you_mean(str(value), labels) or f"; they are {', '.join(labels)}"
                yield Problem(("fairness", key, index), f"{str(value)!r} is no class label{guess}")


def _as_written(section: object) -> Mapping[Any, Any]:
    if isinstance(section, Section):
        return section.model_dump(by_alias=True)
    return section if isinstance(section, Mapping) else {}


def _listed(values: object) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else ()
