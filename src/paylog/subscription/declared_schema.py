"""The ``model_schema`` section: what a model takes and gives, and what cannot be true about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StrictBool, WithJsonSchema

from paylog.field import RESERVED_NAMES, FieldType, Role
from paylog.field import Field as SchemaField
from paylog.subscription.section import Problem, Section, did_you_mean, problem, shown

if TYPE_CHECKING:
    from paylog.model_schema import ModelSchema

_SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_PROBABILITY_OF = re.compile(r"P\((.*)\)", re.DOTALL)
_PREDICTION_TYPES: dict[str, type] = {"string": str, "integer": int, "double": int}


class ProblemType(StrEnum):
    """What the model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


def _column_name(name: str) -> str:
    if name.strip() != name or not name:
        raise problem("a name must not be empty, nor start or end with a space")
    if '"' in name or any(ord(c) < 32 for c in name):
        raise problem("a name must not hold a double quote or a control character")
    if len(name.encode()) > 63:
        raise problem(f"the name is {len(name.encode())} bytes long; PostgreSQL cuts names at 63")
    if name.startswith("_"):
        raise problem("names that start with '_' are paylog's own; choose another")
    if name in RESERVED_NAMES or name in _SYSTEM_COLUMNS:
        raise problem(f"{name!r} is a column that every payload table has already; choose another")
    return name


def _class_label(value: object) -> str | int:
    if isinstance(value, bool):
        raise problem("YAML reads an unquoted yes, no, on, off, true or false as a boolean: quote the label")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str | int):
        raise problem("a class label is text or a whole number")
    return value


ColumnName = Annotated[str, AfterValidator(_column_name)]
ClassLabel = Annotated[
    str | int, BeforeValidator(_class_label), WithJsonSchema({"type": ["string", "integer"]})
]


class DeclaredField(Section):
    """One field of the model schema."""

    name: ColumnName = Field(
        description="Name of the field and of its column in the payload table; case matters."
    )
    type: FieldType = Field(description="Type of the values. 'array' is for the probability vector only.")
    role: Role = Field(
        default=Role.FEATURE, description="Modeling role: exactly one prediction, at most one probability."
    )
    required: StrictBool = Field(
        default=False,
        description="Reject a record in which this field is null. The prediction always is required.",
    )
    categorical: StrictBool = Field(default=False, description="The values are categories, not quantities.")
    categories: tuple[ClassLabel, ...] = Field(
        default=(), description="The categories that the model knows, as it receives them. Left out: any."
    )
    sensitive: StrictBool = Field(
        default=False, description="Show no value of it, not even the name of a category, in findings."
    )

    def build(self) -> SchemaField:
        """The field that the rest of paylog works with."""
        categories = tuple(map(str, self.categories))
        categorical = self.categorical or bool(categories)
        return SchemaField(
            self.name, self.type, self.role, self.required, categorical, categories, self.sensitive
        )


class DeclaredSchema(Section):
    """Fields with type and modeling role, and how the response names them."""

    fields: Annotated[tuple[DeclaredField, ...], Field(min_length=1)] = Field(
        description="The fields; the order of the features is that of positional (CSV) requests."
    )
    class_labels: tuple[ClassLabel, ...] = Field(
        default=(),
        description="Class labels as the prediction writes them, in the order of the probability vector.",
    )
    problem_type: ProblemType = Field(
        default=ProblemType.BINARY, description="What the model predicts: binary, multiclass or regression."
    )
    response: dict[str, str] = Field(
        default_factory=dict,
        description="Response column → 'prediction', 'probability', 'P(<class label>)', a field's name, or "
        "'ignore'. Its order is that of positional (CSV) responses. Left out: the response names the fields.",
    )

    def build(self) -> ModelSchema:
        """The model schema that the rest of paylog works with."""
        from paylog.model_schema import ModelSchema

        return ModelSchema(
            fields=tuple(f.build() for f in self.fields),
            class_labels=self.class_labels,
            problem_type=self.problem_type.value,
            response=tuple(self.response.items()),
        )

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        draft = _Draft.of(data)
        yield from _name_problems(draft)
        yield from _role_problems(draft)
        yield from _type_problems(draft)
        yield from _label_problems(draft)
        yield from _response_problems(draft)


class _Entry(NamedTuple):
    """A field as written; what is unreadable in it is None (and reported elsewhere)."""

    position: int
    name: str | None
    type: str | None
    role: str | None


class _Draft(NamedTuple):
    """The section as written, with what is unreadable left out."""

    entries: list[_Entry]
    labels: list[str | int]
    labels_whole: bool
    problem_type: str | None
    response: dict[str, str]
    response_whole: bool

    @classmethod
    def of(cls, data: Mapping[Any, Any]) -> _Draft:
        fields = data.get("fields")
        labels = data.get("class_labels")
        response = data.get("response")
        pairs = response.items() if isinstance(response, Mapping) else ()
        readable = {k: v for k, v in pairs if isinstance(k, str) and isinstance(v, str)}
        declared = list(labels) if isinstance(labels, list | tuple) else []
        usable = [x for x in declared if isinstance(x, str | int) and not isinstance(x, bool)]
        return cls(
            [_entry(i, f) for i, f in enumerate(fields)] if isinstance(fields, list | tuple) else [],
            usable,
            len(usable) == len(declared),
            _word(data.get("problem_type", "binary"), ProblemType),
            readable,
            isinstance(response, Mapping) and len(readable) == len(response),
        )

    def of_role(self, role: Role) -> list[_Entry]:
        return [e for e in self.entries if e.role == role]

    @property
    def roles_known(self) -> bool:
        return bool(self.entries) and all(e.role is not None for e in self.entries)


def _entry(index: int, field: object) -> _Entry:
    if isinstance(field, BaseModel):
        field = field.model_dump()
    if not isinstance(field, Mapping):
        return _Entry(index, None, None, None)
    name = field.get("name")
    return _Entry(
        index,
        name if isinstance(name, str) else None,
        _word(field.get("type"), FieldType),
        _word(field.get("role", "feature"), Role),
    )


def _word(value: object, known: type[StrEnum]) -> str | None:
    return str(value) if isinstance(value, str) and value in set(known) else None


def _name_problems(draft: _Draft) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for entry in draft.entries:
        if entry.name in first:
            before = f"fields[{first[entry.name]}]"
            yield _at(entry, "name", f"{entry.name!r} is declared twice, first as {before}")
        elif entry.name is not None:
            first[entry.name] = entry.position


def _role_problems(draft: _Draft) -> Iterator[Problem]:
    for role in (Role.PREDICTION, Role.PROBABILITY, Role.TARGET):
        for entry in draft.of_role(role)[1:]:
            yield _at(entry, "role", f"there is another field with the role {role.value!r}; keep one")
    if draft.roles_known and not draft.of_role(Role.PREDICTION):
        yield Problem(("fields",), "no field has the role 'prediction'; declare exactly one")
    if draft.roles_known and not draft.of_role(Role.FEATURE):
        yield Problem(("fields",), "no field has the role 'feature'; declare at least one")


def _type_problems(draft: _Draft) -> Iterator[Problem]:
    for entry in draft.entries:
        if entry.type is None or entry.role is None:
            continue
        if entry.role == Role.PROBABILITY and entry.type != FieldType.ARRAY:
            yield _at(entry, "type", "a probability is of type array (one number a class label)")
        if entry.role != Role.PROBABILITY and entry.type == FieldType.ARRAY:
            yield _at(entry, "type", "only the probability can be of type array")
        if entry.role == Role.PREDICTION and entry.type not in (*_PREDICTION_TYPES, FieldType.ARRAY):
            yield _at(entry, "type", f"a prediction is of type {', '.join(_PREDICTION_TYPES)}")
        if entry.role == Role.PREDICTION and draft.problem_type == "regression" and entry.type == "string":
            yield _at(entry, "type", "the prediction of a regression is of type integer or double")


def _label_problems(draft: _Draft) -> Iterator[Problem]:
    labels = draft.labels
    here = ("class_labels",)
    for text, count in Counter(map(str, labels)).items():
        if count > 1:
            yield Problem(here, f"{text!r} is listed {count} times")
    if draft.problem_type == "regression":
        if labels:
            yield Problem(here, "a regression has no class labels; remove them")
        for entry in draft.of_role(Role.PROBABILITY):
            yield _at(entry, "role", "a regression has no probability; remove the field")
        return
    if not draft.labels_whole:
        return
    if labels and len(labels) != 2 and draft.problem_type == "binary":
        yield Problem(here, f"a binary model has 2 class labels, not {len(labels)}")
    if len(labels) == 1 and draft.problem_type == "multiclass":
        yield Problem(here, "a multiclass model has at least 2 class labels, not 1")
    if draft.of_role(Role.PROBABILITY) and not labels:
        yield Problem(here, "a probability needs the class labels, in the order of its numbers")
    for entry in draft.of_role(Role.PREDICTION):
        if (kind := _PREDICTION_TYPES.get(entry.type or "")) and any(not isinstance(x, kind) for x in labels):
            wanted = "text (in quotes)" if kind is str else "whole numbers (without quotes)"
            yield Problem(here, f"the prediction is of type {entry.type}, so its class labels are {wanted}")


def _response_problems(draft: _Draft) -> Iterator[Problem]:
    given: dict[str, str] = {}
    fields = {e.name: e.role for e in draft.entries}
    wrong = not draft.response_whole
    for column, target in draft.response.items():
        here = ("response", column)
        meaning, message = _meaning(target, draft, fields)
        if message:
            yield Problem(here, message)
        if meaning in given and target != "ignore":
            yield Problem(here, f"{meaning} is given twice, first by {given[meaning]!r}")
        given.setdefault(meaning, column)
        wrong = wrong or bool(message)
    if not wrong:
        yield from _gaps(draft, given)


def _meaning(target: str, draft: _Draft, fields: dict[str | None, str | None]) -> tuple[str, str | None]:
    """What a response column stands for, in one spelling, and what is wrong with it."""
    if target == "ignore":
        return target, None
    if target in ("prediction", "probability"):
        if fields.get(target) not in (None, target):
            return target, f"{target!r} is also a field of another role; rename the field"
        return target, _no_probability(draft) if target == "probability" else None
    if match := _PROBABILITY_OF.fullmatch(target):
        return target, _probability_mistake(match[1], draft)
    if target not in fields:
        known = [*(e.name for e in draft.entries if e.name), "prediction", "probability", "ignore"]
        guess = did_you_mean(target, known) or "; nor prediction, probability, P(<class label>) or ignore"
        return target, f"{shown(target)} is no declared field{guess}"
    role = fields[target]
    return (role, None) if role in ("prediction", "probability") else (target, None)


def _probability_mistake(label: str, draft: _Draft) -> str | None:
    if draft.labels and label not in map(str, draft.labels):
        return f"{label!r} is no class label" + (
            did_you_mean(label, draft.labels) or f"; they are {', '.join(map(str, draft.labels))}"
        )
    return _no_probability(draft)


def _no_probability(draft: _Draft) -> str | None:
    if draft.roles_known and not draft.of_role(Role.PROBABILITY):
        return "this needs a field with the role 'probability', of type array"
    return None


def _gaps(draft: _Draft, given: dict[str, str]) -> Iterator[Problem]:
    here = ("response",)
    single = [meaning for meaning in given if _PROBABILITY_OF.fullmatch(meaning)]
    if draft.response and "prediction" not in given and "probability" not in given and not single:
        yield Problem(here, "no response column is the prediction; map one to 'prediction' (or P(…))")
    if single and "probability" in given:
        yield Problem(here, "map one column to probability, or single columns to P(…); not both")
    missing = [str(x) for x in draft.labels if f"P({x})" not in single]
    if draft.problem_type == "multiclass" and single and missing:
        yield Problem(here, f"P(…) is missing for {', '.join(missing)}; a multiclass model needs every label")


def _at(entry: _Entry, key: str, message: str) -> Problem:
    return Problem(("fields", entry.position, key), message)
