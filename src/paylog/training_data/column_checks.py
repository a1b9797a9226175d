"""Checks of single columns: types, nulls, ranges, categories and their encoding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from paylog.model_schema import Field, FieldType, Role
from paylog.subscription.check_codes import CheckCode
from paylog.training_data.check_registry import Evidence, Fault, error, share, warning
from paylog.training_data.profile import ColumnProfile

_FAR = 20
_ID_SHARE, _ID_ROWS = 0.5, 100


@error(CheckCode.COLUMN_TYPE)
def _column_type(evidence: Evidence) -> Iterator[Fault]:
    for column in evidence.profile.columns:
        if column.misfits:
            found = f"{share(column.misfits, evidence.profile.rows)} values of another type"
            remedy = "mend the values, or the type in the model schema"
            yield Fault(column.name, f"values of type {column.type}", found, remedy)


@error(CheckCode.ALL_NULL)
def _all_null(evidence: Evidence) -> Iterator[Fault]:
    for column in evidence.profile.columns:
        if column.role is Role.FEATURE and not column.count and not column.misfits:
            remedy = "fill the column, or remove the feature from the model schema"
            yield Fault(column.name, "values", "nulls only", remedy)


@error(CheckCode.NULL_IN_REQUIRED)
def _null_in_required(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        if field.required and column.nulls:
            found = f"{share(column.nulls, evidence.profile.rows)} nulls"
            remedy = "fill them, or declare required: false if the model takes nulls"
            yield Fault(field.name, "no nulls (required: true)", found, remedy)


@warning(CheckCode.MANY_NULLS)
def _many_nulls(evidence: Evidence) -> Iterator[Fault]:
    most = evidence.thresholds.nulls
    for field, column in evidence.features:
        if not field.required and column.nulls > most * evidence.profile.rows:
            found = share(column.nulls, evidence.profile.rows)
            remedy = "is the column filled as the model saw it in training?"
            yield Fault(field.name, f"at most {100 * most:.3g} % nulls", found, remedy)


@warning(CheckCode.CONSTANT)
def _constant(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        if column.distinct == 1 and column.count > 1:
            remedy = "a model cannot have learnt from it; is this the right column?"
            yield Fault(field.name, "more than one value", "one and the same in every row", remedy)


@warning(CheckCode.OUTLIERS)
def _outliers(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        figures = column.numeric
        if figures is None or column.distinct <= 2:
            continue
        low, high = figures.quantiles["0.01"], figures.quantiles["0.99"]
        width = high - low
        if width and (figures.max > high + _FAR * width or figures.min < low - _FAR * width):
            remedy = "are they placeholders for missing values (-1, 999999)? Make them null"
            found = "a value more than 20 times as far out"
            yield Fault(field.name, "values about where 98 % of them are", found, remedy)


@warning(CheckCode.HIGH_CARDINALITY)
def _high_cardinality(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        is_text = field.type is FieldType.STRING or field.categorical
        is_id = column.distinct > _ID_SHARE * column.count and column.count >= _ID_ROWS
        if is_text and (not column.categories or is_id):
            found = f"{column.distinct:,} in {column.count:,} values"
            remedy = "is it an id or free text? Such a column is a meta-field, not a feature"
            yield Fault(field.name, "categories that repeat, 1,000 at most", found, remedy)


@error(CheckCode.CATEGORY_UNKNOWN)
def _category_unknown(evidence: Evidence) -> Iterator[Fault]:
    for field, column in _categorical(evidence):
        unknown = set(column.categories) - set(field.categories)
        if unknown and len(unknown) < len(column.categories):
            found = f"also {evidence.names(field.name, unknown)}"
            remedy = "add them to categories in the model schema, or mend the data"
            yield Fault(field.name, "only declared categories", found, remedy)


@warning(CheckCode.CATEGORY_MISSING)
def _category_missing(evidence: Evidence) -> Iterator[Fault]:
    for field, column in _categorical(evidence):
        missing = set(field.categories) - set(column.categories)
        if missing and len(missing) < len(field.categories):
            found = f"none with {evidence.names(field.name, missing)}"
            remedy = "is the data complete? The model cannot know these categories"
            yield Fault(field.name, "rows of every declared category", found, remedy)


@error(CheckCode.CATEGORY_ENCODING)
def _category_encoding(evidence: Evidence) -> Iterator[Fault]:
    for field, column in _categorical(evidence):
        if not set(column.categories) & set(field.categories):
            yield Fault(
                field.name,
                f"the encoding of the model schema: {evidence.names(field.name, field.categories)}",
                evidence.names(field.name, column.categories),
                "give the training data as the model receives it in a request (M/F, or 0/1, not either)",
            )


@warning(CheckCode.CATEGORY_VARIANTS)
def _category_variants(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        spellings: dict[str, list[str]] = defaultdict(list)
        for category in column.categories:
            spellings["".join(category.split()).casefold()].append(category)
        twins = sorted(name for names in spellings.values() if len(names) > 1 for name in names)
        if field.type is FieldType.STRING and twins and not field.categories:
            remedy = "write them alike; to the model they are different categories"
            yield Fault(field.name, "one spelling of a category", evidence.names(field.name, twins), remedy)


@warning(CheckCode.ENCODED_TEXT)
def _encoded_text(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        if field.type is FieldType.STRING and not field.categories and column.numeric_text == column.count:
            yield Fault(
                field.name,
                "text, as the model schema says",
                "numbers only",
                "is the data encoded, and does the model receive it so? Then declare type integer, or the "
                "codes as categories; else give the data with the names that the model receives",
            )


@error(CheckCode.TEXT_DAMAGED)
def _text_damaged(evidence: Evidence) -> Iterator[Fault]:
    for column in evidence.profile.columns:
        if column.damaged:
            yield Fault(
                column.name,
                "text in one encoding",
                f"{share(column.damaged, column.count)} texts with lost or misread characters",
                "set training_data.encoding to that of the file, or mend the code page of the Db2 column",
            )


def _categorical(evidence: Evidence) -> Iterator[tuple[Field, ColumnProfile]]:
    """Features with declared categories whose values were counted."""
    for field, column in evidence.features:
        if field.categories and column.categories:
            yield field, column
