"""The model schema of an asset that was subscribed in Python, where types come from the first records.

IBM's service infers the schema from the first payload too. Here it is done once: from then on it is
declared, kept with the subscription, and what does not fit it is rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from paylog.errors import ConfigurationError, InvalidInput
from paylog.posted_form import rows_of

_TYPES = (bool, int, float, str)
_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "double", str: "string"}
Columns = dict[str, list[Any]]


def model_schema(properties: Mapping[str, Any], records: bytes) -> dict[str, Any]:
    """The ``model_schema`` section for an asset.

    :param properties: the asset's, in OpenScale's words; a ``training_data_schema`` in it gives types.
    :param records: payload records as NDJSON.
    :raises ConfigurationError: the records do not show a column that the asset names, or the class labels.
    :raises InvalidInput: a record is no JSON object.
    """
    requests, responses = _sides(records)
    declared = _declared(properties.get("training_data_schema"))
    label, prediction = properties.get("label_column"), properties["prediction_field"]
    features = properties.get("feature_fields") or [name for name in requests if name != label]
    if missing := [name for name in features if name not in requests and name not in declared]:
        raise ConfigurationError(f"the first records' requests have no fields {missing}: which are features?")
    if prediction not in responses:
        raise ConfigurationError(
            f"the first records' responses have no field {prediction!r}; they have {sorted(responses)}"
        )
    categorical = set(properties.get("categorical_fields", ()))
    fields = [
        {
            "name": name,
            "type": declared.get(name) or _type(requests[name]),
            "categorical": name in categorical,
        }
        for name in features
    ]
    predicted = declared.get(prediction) or _type(responses[prediction])
    if properties.get("problem_type") != "regression" and predicted == "double":
        predicted = "integer"  # class 0.0 or 1.0
    fields.append({"name": prediction, "type": predicted, "role": "prediction"})
    if label:
        fields.append({"name": label, "type": predicted, "role": "target"})
    section = {"fields": fields, "problem_type": properties.get("problem_type") or "multiclass"}
    return section | _probability(properties, fields, responses)


def _probability(
    properties: Mapping[str, Any], fields: list[dict[str, Any]], responses: Columns
) -> dict[str, Any]:
    """The probability field, class labels and response columns; adds to ``fields``."""
    names = properties.get("probability_fields") or []
    prediction = properties["prediction_field"]
    labels = properties.get("class_labels")
    if not names:
        return {"class_labels": labels} if labels else {}
    rows = zip(responses.get(names[0], ()), responses[prediction], strict=False)
    known = [(value, label) for value, label in rows if value is not None and label is not None]
    if not known:
        raise ConfigurationError(f"the first records' responses have no field {names[0]!r}")
    labels = labels or _labels(known)
    if all(isinstance(value, list) for value, _ in known):
        fields.append({"name": names[0], "type": "array", "role": "probability"})
        return {"class_labels": labels}
    fields.append({"name": "probability", "type": "array", "role": "probability"})
    return {"class_labels": labels, "response": {prediction: "prediction", names[0]: f"P({labels[-1]})"}}


def _labels(known: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Class labels in the order of the probabilities, as the records show them.

    :param known: probability and prediction of each row.
    :raises ConfigurationError: they do not show each class.
    """
    if not all(isinstance(value, list) and value for value, _ in known):
        if all(label in (0, 1) for _, label in known):
            return [0, 1]
        raise _unknown_labels()
    found: dict[int, Any] = {}
    for vector, label in known:
        place = max(range(len(vector)), key=lambda i: vector[i] or 0.0)
        label = int(label) if isinstance(label, float) and label.is_integer() else label
        if found.setdefault(place, label) != label:
            raise _unknown_labels()
    size = len(known[0][0])
    if sorted(found) != list(range(size)) or len(set(found.values())) != size:
        raise _unknown_labels()
    return [found[place] for place in range(size)]


def _unknown_labels() -> ConfigurationError:
    return ConfigurationError(
        "the first records do not show which class each probability belongs to: "
        "give the asset class_labels=[…], in the order of the probabilities"
    )


def _sides(records: bytes) -> tuple[Columns, Columns]:
    """Columns of the requests and of the responses, each with a cell a row: None where the row has none."""
    requests: list[dict[str, Any]] = []
    responses: list[dict[str, Any]] = []
    for number, line in enumerate(records.splitlines(), 1):
        record = msgspec.json.decode(line)
        if not isinstance(record, Mapping):
            raise InvalidInput(f"record {number} is not a JSON object")
        flat = "request" not in record and "response" not in record
        for rows, side in ((requests, "request"), (responses, "response")):
            rows += [dict(record)] if flat else rows_of(record.get(side))
    return _columns(requests), _columns(responses)


def _columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _declared(schema: Any) -> dict[str, str]:
    """Types by name of a Spark struct, as OpenScale writes schemas (contract section 2.4)."""
    names = {"long": "integer", "float": "double", "decimal": "double"}
    known = {*_NAMES.values(), "timestamp"}
    fields = schema.get("fields", []) if isinstance(schema, Mapping) else []
    found = {f["name"]: names.get(kind := str(f["type"]).split("(")[0], kind) for f in fields}
    return {name: kind for name, kind in found.items() if kind in known}


def _type(values: Sequence[Any]) -> str:
    """The narrowest type that all values fit; text where there are none."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return "double"
    return _NAMES[kinds.pop()] if len(kinds) == 1 and kinds <= set(_TYPES) else "string"
