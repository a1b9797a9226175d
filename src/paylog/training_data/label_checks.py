"""Checks of the label: is it there, and does it say what the prediction says."""

from __future__ import annotations

from collections.abc import Iterator

from paylog.model_schema import Role
from paylog.subscription.check_codes import CheckCode
from paylog.training_data.check_registry import Evidence, Fault, error, share, warning
from paylog.training_data.profile import ColumnProfile, letters


@error(CheckCode.LABEL_NOT_DECLARED, of_rows=False)
def _label_not_declared(evidence: Evidence) -> Iterator[Fault]:
    if evidence.label is None:
        remedy = "declare the label column in the model schema: {name: …, type: …, role: target}"
        yield Fault(None, "a field with the role target", "none", remedy)


@error(CheckCode.LABEL_MISSING, of_rows=False)
def _label_missing(evidence: Evidence) -> Iterator[Fault]:
    label = evidence.label
    found = [column.name for column in evidence.profile.found]
    if label is None or not evidence.has_names or letters(label.name) in map(letters, found):
        return
    remedy = "add the label, or mend the name of the field with the role target"
    yield Fault(label.name, "the label column", "none of this name", remedy)


@error(CheckCode.LABEL_NULL)
def _label_null(evidence: Evidence) -> Iterator[Fault]:
    column = _column(evidence)
    if column is not None and column.nulls:
        found = f"{share(column.nulls, evidence.profile.rows)} nulls"
        yield Fault(column.name, "a label in every row", found, "fill the labels, or leave these rows out")


@error(CheckCode.LABEL_CONSTANT)
def _label_constant(evidence: Evidence) -> Iterator[Fault]:
    column = _column(evidence)
    if column is not None and column.count and column.distinct == 1 and not evidence.schema.class_labels:
        remedy = "is this the whole training data, and the right column?"
        yield Fault(column.name, "more than one label", "one and the same in every row", remedy)


@error(CheckCode.LABEL_IS_FEATURE)
def _label_is_feature(evidence: Evidence) -> Iterator[Fault]:
    for field, column in evidence.features:
        if column.same_as_label == column.count == evidence.profile.rows:
            remedy = "remove the feature: a model that is given the answer cannot be judged by it"
            yield Fault(field.name, "a feature", "the label itself, in every row", remedy)


@error(CheckCode.LABEL_TYPE, of_rows=False)
def _label_type(evidence: Evidence) -> Iterator[Fault]:
    label, prediction = evidence.label, evidence.schema.prediction
    if label is None or label.type is prediction.type:
        return
    if any(field.type is label.type for field in evidence.schema.of_role(Role.DECODED_TARGET)):
        return
    yield Fault(
        label.name,
        f"the type of the prediction, {prediction.type}",
        label.type,
        "make them alike, or declare the response column that has the decoded label (role decoded-target)",
    )


@warning(CheckCode.PROBABILITY_MISSING, of_rows=False)
def _probability_missing(evidence: Evidence) -> Iterator[Fault]:
    if not evidence.is_regression and evidence.schema.probability is None:
        remedy = "declare the probability (type array, role probability); explainability and drift need it"
        yield Fault(None, "a field with the role probability", "none", remedy)


@error(CheckCode.CLASS_UNKNOWN)
def _class_unknown(evidence: Evidence) -> Iterator[Fault]:
    column, declared = _classes(evidence)
    unknown = set(column.categories) - set(declared) if column else set()
    if column and 0 < len(unknown) < len(column.categories):
        found = f"also {evidence.names(column.name, unknown)}"
        remedy = "add them to class_labels, or mend the labels"
        yield Fault(column.name, f"only the class labels {_listed(declared)}", found, remedy)


@error(CheckCode.CLASS_MISSING)
def _class_missing(evidence: Evidence) -> Iterator[Fault]:
    column, declared = _classes(evidence)
    missing = set(declared) - set(column.categories) if column else set()
    if column and 0 < len(missing) < len(declared):
        found = f"none with {evidence.names(column.name, missing)}"
        yield Fault(column.name, "rows of every class label", found, "is this the whole training data?")


@error(CheckCode.CLASS_ENCODING)
def _class_encoding(evidence: Evidence) -> Iterator[Fault]:
    column, declared = _classes(evidence)
    if column and column.categories and not set(column.categories) & set(declared):
        yield Fault(
            column.name,
            f"the class labels as the prediction writes them: {_listed(declared)}",
            evidence.names(column.name, column.categories),
            "give the label in the encoding of the prediction, or map it with a decoded-target",
        )


@warning(CheckCode.CLASS_RARE)
def _class_rare(evidence: Evidence) -> Iterator[Fault]:
    column, declared = _classes(evidence)
    if column is None:
        return
    least = evidence.thresholds.minority_class
    rare = [name for name, count in column.categories.items() if count < least * column.count]
    if rare := [name for name in rare if name in declared]:
        found = f"fewer with {evidence.names(column.name, rare)}"
        expected = f"{100 * least:.3g} % of the rows or more for each class label"
        yield Fault(column.name, expected, found, "is the data what the model was trained on?")


@warning(CheckCode.CLASS_ORDER)
def _class_order(evidence: Evidence) -> Iterator[Fault]:
    """scikit-learn orders classes by name or number, Spark's StringIndexer by falling frequency."""
    column, declared = _classes(evidence)
    labels = evidence.schema.class_labels
    if column is None or evidence.schema.probability is None or set(column.categories) != set(declared):
        return
    counts = [column.categories[name] for name in declared]
    by_frequency = counts == sorted(counts, reverse=True)
    by_name = list(labels) == sorted(labels, key=lambda label: (isinstance(label, str), label))
    if not by_frequency and not by_name:
        yield Fault(
            column.name,
            "class labels in the order of the probability vector: mostly by name, or most frequent first",
            _listed(declared),
            "compare class_labels with the model's own order (classes_ of scikit-learn)",
        )


def _column(evidence: Evidence) -> ColumnProfile | None:
    return evidence.profile.column(evidence.label.name) if evidence.label else None


def _classes(evidence: Evidence) -> tuple[ColumnProfile | None, list[str]]:
    """The label's profile and the class labels, if the two are in one encoding."""
    declared = [str(label) for label in evidence.schema.class_labels]
    comparable = evidence.label is not None and evidence.label.type is evidence.schema.prediction.type
    return (_column(evidence) if declared and comparable else None), declared


def _listed(labels: list[str]) -> str:
    return ", ".join(map(repr, labels))
