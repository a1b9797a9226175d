"""A subscription to start from: what can be told from the logs is filled in, the rest is marked."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from paylog.engines import Engine
from paylog.inspection.columns import Bodies, Column, bodies
from paylog.inspection.glimpse import Glimpse
from paylog.inspection.recognition import Recognised, is_flat
from paylog.inspection.shapes import kind_of, number_kind
from paylog.layout import Layout
from paylog.subscription import ServiceProvider, Subscription
from paylog.subscription.declared_schema import ColumnName

_LAYOUTS = (
    *("%Y/%m/%d/%H/%M/", "%Y/%m/%d/%H/", "%Y/%m/%d/", "year=%Y/month=%m/day=%d/hour=%H/"),
    *("year=%Y/month=%m/day=%d/", "dt=%Y-%m-%d/", "date=%Y-%m-%d/", "day=%Y-%m-%d/", "%Y-%m-%d/"),
)
_OWN = frozenset(
    {"scoring_id", "scoring_timestamp", "transaction_id", "response_time", "asset_revision"}
    | {"timestamp", "request_id", "trace_id"}
)
_PREDICTION = re.compile(
    r"(decoded|encoded)?.?(predicted|prediction)s?.?(label|class|value)?|label|class", re.I
)
_PROBABILITY = re.compile(r"(predict(ion)?.?)?(probabilit(y|ies)|probas?|scores)", re.I)
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass(slots=True)
class _Draft:
    """Parts of the model schema as they are found."""

    fields: list[dict[str, Any]] = field(default_factory=list)
    response: dict[str, str] = field(default_factory=dict)
    labels: list[Any] = field(default_factory=list)
    problem_type: str = "binary"
    notes: list[str] = field(default_factory=list)


def proposal(
    found: Glimpse,
    recognised: Recognised,
    place: dict[str, Any],
    name: str,
    show_values: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """The subscription's document (empty where nothing in it could be told), and what to look at in it.

    :param place: connection, bucket and prefix of the logs.
    :param name: of the folder; becomes the subscription's id.
    :param show_values: class labels may be taken from the logs.
    """
    provider = recognised.provider or ServiceProvider.FILES
    if recognised.provider is None and not any(map(is_flat, found.samples)):
        return {}, ["these are no rows that paylog reads: no subscription is proposed"]
    told = _told(provider, found, place)
    if not told.request and not told.response:
        return {}, ["nothing that was read holds rows of a model: no subscription is proposed"]
    draft = _schema(told, show_values)
    logs = place | _filed(provider, found)
    if any(isinstance(time, str) and not _ZONE.search(time) for time in told.times):
        logs["timezone"] = "UTC"
        draft.notes.append("logs.timezone: the times have no zone; say which one they are in")
    if recognised.provider is None:
        draft.notes.insert(0, "service_provider: no engine's signs were found; 'files' are flat rows")
    schema: dict[str, Any] = {"problem_type": draft.problem_type}
    schema |= {"class_labels": draft.labels} if draft.labels else {}
    schema |= {"fields": draft.fields} | ({"response": draft.response} if draft.response else {})
    document = {
        "id": _slug(name),
        "service_provider": provider.value,
        "deployment": {"id": _slug(name)},
        "logs": logs,
        "model_schema": schema,
        "data_mart": {"connection": "my_data_mart", "schema": "monitoring"},
    }
    Subscription.model_validate(document)
    return document, draft.notes


def _told(provider: ServiceProvider, found: Glimpse, place: dict[str, Any]) -> Bodies:
    """Columns of both sides: from the bodies, or from the records where those are the rows."""
    told = bodies(_engine(provider, place), found)
    if not told.request and not told.response:
        for sample in filter(is_flat, found.samples):
            for name, cell in ((n, c) for record in sample.records for n, c in record.items()):
                kind = number_kind(cell) if sample.container == "CSV" and cell else kind_of(cell)
                told.request.setdefault(name, Column(name)).see(cell, kind)
        told.response = dict(told.request)
    if told.request.keys() == told.response.keys():  # rows that hold both sides
        told.response = {key: column for key, column in told.response.items() if _is_response(column.name)}
        told.request = {key: c for key, c in told.request.items() if key not in told.response}
    told.request = {key: column for key, column in told.request.items() if column.name not in _OWN}
    return told


def _engine(provider: ServiceProvider, place: dict[str, Any]) -> Engine:
    """The engine, made for a subscription that knows no features yet."""
    document = {
        "id": "inspected",
        "service_provider": provider.value,
        "deployment": {"id": "inspected"},
        "logs": {"timezone": "UTC", **place},
        "model_schema": {
            "problem_type": "regression",
            "fields": [
                {"name": "feature_1", "type": "string"},
                {"name": "prediction", "type": "double", "role": "prediction"},
            ],
        },
        "data_mart": {"connection": "data_mart", "schema": "mart"},
    }
    module, name = provider.engine.split(":")
    made: Engine = getattr(import_module(module), name)(Subscription.model_validate(document))
    return made


def _is_response(name: str) -> bool:
    return bool(_PREDICTION.fullmatch(name) or _PROBABILITY.fullmatch(name))


def _schema(told: Bodies, show_values: bool) -> _Draft:
    draft = _Draft()
    for position, column in enumerate(told.request.values(), 1):
        name = column.name or f"feature_{position}"
        if column.type == "array" or _unusable(name):
            draft.notes.append(f"{name!r} of the requests is left out: a list, or no name for a column")
        else:
            draft.fields.append({"name": name, "type": column.type})
    if not draft.fields:
        draft.fields.append({"name": "feature_1", "type": "string"})
        draft.notes.append("model_schema.fields: no request was seen; put what the model takes")
    elif not any(column.name for column in told.request.values()):
        draft.notes.append("model_schema.fields: the requests have no names; put yours, in their order")
    _see_response(told.response, draft, show_values)
    return draft


def _see_response(columns: dict[str, Column], draft: _Draft, show_values: bool) -> None:
    prediction = _chosen(columns, _PREDICTION, lambda column: column.type != "array")
    probability = _chosen(columns, _PROBABILITY, lambda column: column.type == "array")
    kind = columns[prediction].type if prediction else "string"
    kind = "string" if kind not in ("string", "integer", "double") else kind
    draft.fields.append({"name": "prediction", "type": kind, "role": "prediction"})
    draft.notes.append("model_schema: is 'prediction' what the model predicts?")
    if kind == "double" and not probability:
        draft.problem_type = "regression"
    else:
        _see_labels(columns, prediction, probability, kind, draft, show_values)
    if probability:
        draft.fields.append({"name": "probability", "type": "array", "role": "probability"})
    roles = {prediction: "prediction", probability: "probability"}
    response = {
        column.name or f"column_{i}": roles.get(key, "ignore")
        for i, (key, column) in enumerate(columns.items(), 1)
    }
    if any(name != role for name, role in response.items()):
        draft.response = response
        if "ignore" in response.values():
            draft.notes.append("model_schema.response: 'ignore' may be 'P(<class label>)' or a field's name")


def _see_labels(
    columns: dict[str, Column],
    prediction: str,
    probability: str,
    kind: str,
    draft: _Draft,
    show_values: bool,
) -> None:
    count = max(columns[probability].length if probability else 2, 2)
    draft.problem_type = "binary" if count == 2 else "multiclass"
    seen = sorted(columns[prediction].values) if prediction and show_values else []
    if kind == "string":
        draft.labels = seen if len(seen) == count else [f"label {n}" for n in range(1, count + 1)]
    else:
        draft.labels = list(range(count))
    draft.notes.append(
        "model_schema.class_labels: as the prediction writes them, in the order of the probability vector"
    )


def _chosen(columns: dict[str, Column], pattern: re.Pattern[str], fits: Any) -> str:
    """Key of the column of that name, else of the first that fits; "" for none."""
    named = [key for key, column in columns.items() if pattern.fullmatch(column.name) and fits(column)]
    text_first = sorted(columns, key=lambda key: columns[key].type == "double")
    return next(iter(named), next((key for key in text_first if fits(columns[key])), ""))


def _unusable(name: str) -> bool:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(ColumnName).validate_python(name)
    except ValidationError:
        return True
    return False


def _filed(provider: ServiceProvider, found: Glimpse) -> dict[str, Any]:
    """Prefix below the folder and layout, where all keys agree on them."""
    keys = [item.key for item in found.objects]
    for pattern in filter(None, (provider.layout, *_LAYOUTS)) if keys else ():
        regex = Layout(pattern)._regex
        starts = {match.start() if (match := regex.search(key)) else -1 for key in keys}
        heads = {key[: start + 1] for key in keys for start in starts if start > 0}
        if -1 not in starts and len(starts) == 1 and len(heads) <= 1:
            filed = {"prefix": next(iter(heads))} if heads else {}
            return filed | ({} if pattern == provider.layout else {"layout": pattern})
    return {"layout": ""} if provider.layout else {}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:].strip("-") or "my-model"


def as_yaml(document: dict[str, Any]) -> str:
    """YAML in block style, mappings of scalars on one line."""
    return "\n".join(_lines(document, "")) + "\n"


def _lines(value: Any, indent: str) -> list[str]:
    lines = []
    for key, held in value.items():
        if isinstance(held, dict) and any(isinstance(v, dict | list) for v in held.values()):
            lines += [f"{indent}{key}:", *_lines(held, indent + "  ")]
        elif isinstance(held, list) and held and isinstance(held[0], dict):
            lines += [f"{indent}{key}:", *(f"{indent}  - {_flow(element)}" for element in held)]
        else:
            lines.append(f"{indent}{key}: {_flow(held)}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value)
    reserved = str(value).lower() in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return value if plain and not reserved else json.dumps(value, ensure_ascii=False)
