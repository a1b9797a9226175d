"""Checks of the table as a whole: rows, and which columns there are."""

from __future__ import annotations

from collections.abc import Iterator

from paylog.model_schema import Role
from paylog.subscription.check_codes import CheckCode
from paylog.subscription.section import did_you_mean
from paylog.training_data.check_registry import Evidence, Fault, error, share, warning
from paylog.training_data.profile import letters


@error(CheckCode.EMPTY, of_rows=False)
def _empty(evidence: Evidence) -> Iterator[Fault]:
    if not evidence.profile.rows:
        yield Fault(None, "rows", "none", "write the training data there, or mend the training_data section")


@warning(CheckCode.FEW_ROWS)
def _few_rows(evidence: Evidence) -> Iterator[Fault]:
    rows, least = evidence.profile.rows, evidence.thresholds.rows
    if rows < least:
        yield Fault(None, f"{least:,} rows or more", f"{rows:,}", "is this the whole training data?")


@warning(CheckCode.ROWS_CHANGED)
def _rows_changed(evidence: Evidence) -> Iterator[Fault]:
    if evidence.previous is None or not evidence.previous.rows_read:
        return
    before, now = evidence.previous.rows_read, evidence.profile.rows_read
    if abs(now - before) > evidence.thresholds.rows_change * before:
        yield Fault(
            None,
            f"about {before:,} rows, as last time",
            f"{now:,}",
            "was the model trained again? If so, nothing is to be done",
        )


@warning(CheckCode.DUPLICATE_ROWS)
def _duplicate_rows(evidence: Evidence) -> Iterator[Fault]:
    rows, repeated = evidence.profile.rows, evidence.profile.duplicate_rows
    if evidence.profile.columns and repeated > evidence.thresholds.duplicates * rows:
        expected = f"at most {100 * evidence.thresholds.duplicates:.3g} % repeated rows"
        yield Fault(None, expected, share(repeated, rows), "was a part written or loaded twice?")


@error(CheckCode.HEADER_MISSING, of_rows=False)
def _header_missing(evidence: Evidence) -> Iterator[Fault]:
    if evidence.profile.found and not evidence.has_names:
        yield Fault(
            None,
            "columns with the names of the model schema",
            f"{len(evidence.profile.found):,} columns, with other names or none",
            "is there a header, and is training_data.delimiter right? Without one say header: false",
        )


@error(CheckCode.COLUMN_MISSING, of_rows=False)
def _column_missing(evidence: Evidence) -> Iterator[Fault]:
    found = _found(evidence)
    for feature in evidence.schema.features if evidence.has_names else ():
        if feature.name not in found and _respelled(feature.name, evidence) is None:
            near = did_you_mean(feature.name, _undeclared(evidence))
            remedy = "add the column, or remove the feature from the model schema"
            yield Fault(feature.name, "a column of this name", f"none{near}", remedy)


@error(CheckCode.COLUMN_NAME, of_rows=False)
def _column_name(evidence: Evidence) -> Iterator[Fault]:
    for field in (*evidence.schema.features, *evidence.schema.of_role(Role.TARGET)):
        other = _respelled(field.name, evidence)
        if other is not None:
            remedy = "rename it: names must be those of the payload, letter for letter"
            yield Fault(field.name, f"a column {field.name!r}", f"{other!r}", remedy)


@warning(CheckCode.COLUMN_EXTRA, of_rows=False)
def _column_extra(evidence: Evidence) -> Iterator[Fault]:
    fields = (*evidence.schema.features, *evidence.schema.of_role(Role.TARGET))
    respelled = {_respelled(field.name, evidence) for field in fields}
    for name in _undeclared(evidence) if evidence.has_names else ():
        if name not in respelled:
            remedy = "declare it in the model schema (role feature or meta-field), or remove it from the data"
            yield Fault(name, "only columns of the model schema", "this one", remedy)


@warning(CheckCode.COLUMN_ORDER, of_rows=False)
def _column_order(evidence: Evidence) -> Iterator[Fault]:
    found = _found(evidence)
    declared = [f.name for f in evidence.schema.features if f.name in found]
    order = [name for name in found if name in declared]
    moved = [name for name, other in zip(declared, order, strict=True) if name != other]
    if moved:
        yield Fault(
            moved[0],
            "the features in the order of the model schema",
            f"another order from {order[declared.index(moved[0])]!r} on",
            "is the order of the model schema that of the model's requests? Positional (CSV) requests and "
            "responses depend on it",
        )


def _found(evidence: Evidence) -> list[str]:
    return [column.name for column in evidence.profile.found]


def _undeclared(evidence: Evidence) -> list[str]:
    declared = {field.name for field in evidence.schema.fields}
    return [name for name in _found(evidence) if name not in declared]


def _respelled(name: str, evidence: Evidence) -> str | None:
    """An undeclared column that is ``name`` but for case, spaces and punctuation, if that is missing."""
    found = _found(evidence)
    if name in found:
        return None
    return next((other for other in _undeclared(evidence) if letters(other) == letters(name)), None)
