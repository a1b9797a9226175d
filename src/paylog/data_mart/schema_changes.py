"""What a new version of a model schema changes that the columns of the payload table do not show."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from paylog.model_schema import Field, FieldType, ModelSchema, Role

_ANEW = "take back what is loaded, with paylog retract, and load it again"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A model schema beside the payload table and the version that loaded it last.

    :param before: version that the data mart knows, None before the first run.
    :param statements: what ``prepare`` does to the table.
    :param refused: what it does not do, each with the way out.
    """

    before: str | None
    after: str
    statements: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def refusals(before: Mapping[str, Any], after: ModelSchema, columns: Collection[str]) -> Iterator[str]:
    """Changes that would give the rows that are there another meaning, each with the way out.

    :param before: the ``model_schema`` of a subscription's document.
    :param columns: that the payload table has.
    """
    old, new = _fields(before), {f.name: f for f in after.fields}
    for name in [name for name in old if name in new and old[name].role is not new[name].role]:
        yield f"field {name!r} was {old[name].role}, and is {new[name].role} now ({_ANEW})"
    for was, now in _renamed(old, new, columns):
        yield (
            f"field {was!r} seems to be called {now!r} now (rename the column too: ALTER TABLE … RENAME "
            f'COLUMN "{was}" TO "{now}"; if {now!r} is another one, take {was!r} out first, run, then add it)'
        )
    labels = list(before.get("class_labels") or ())
    if labels != [*after.class_labels[: len(labels)]]:
        yield f"class_labels are others, or in another order, than those of the rows that are there ({_ANEW})"
    if (kind := before.get("problem_type")) not in (None, after.problem_type):
        yield f"problem_type was {kind}, and is {after.problem_type} now ({_ANEW})"


def _fields(schema: Mapping[str, Any]) -> dict[str, Field]:
    return {
        given["name"]: Field(given["name"], FieldType(given["type"]), Role(given.get("role") or Role.FEATURE))
        for given in schema.get("fields") or ()
    }


def _renamed(
    old: Mapping[str, Field], new: Mapping[str, Field], columns: Collection[str]
) -> Iterator[tuple[str, str]]:
    """A field that went and one that came in its place, of the same kind."""
    for (was, before), (now, after) in zip(old.items(), new.items(), strict=False):
        went, came = was not in new and was in columns, now not in old and now not in columns
        if went and came and (before.type, before.role) == (after.type, after.role):
            yield was, now
