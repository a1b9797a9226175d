"""How posted records name the columns of their responses: as the engine does, or as the model schema does.

``model_schema.response`` says how the engine's responses name them. A delivery posts what a data mart holds,
under the names of the fields themselves.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from paylog.engines.envelopes import FAILURES
from paylog.model_schema import ModelSchema
from paylog.subscription import Subscription


def fitting(subscription: Subscription, records: bytes) -> Subscription:
    """The subscription, or one like it without a ``response``, by what the records name their columns.

    :param records: NDJSON or a JSON array of payload records. The first that is unambiguous decides for all.
    """
    if not subscription.declared_schema.response or not names_fields(subscription.model_schema, records):
        return subscription
    schema = subscription.declared_schema.model_copy(update={"response": {}})
    alike = subscription.model_copy(update={"declared_schema": schema})
    alike.__dict__.pop("model_schema", None)  # cached, and copied with the rest
    return alike


def names_fields(schema: ModelSchema, records: bytes) -> bool:
    """Whether the responses hold the fields of the model schema, not the columns mapped to them."""
    vector = schema.probability.name if schema.probability else None
    own = {schema.prediction.name, *filter(None, [vector])}
    mapped = {column for column, meaning in schema.response if meaning != "ignore"}
    for row in _responses(records):
        if (mapped - own) & row.keys():
            return False
        if not own <= row.keys():
            continue
        # The engine may use the same name for the score of one class.
        score = row[vector] if vector else None
        if score is not None or vector not in mapped:
            return score is None or isinstance(score, list)
    return False


def _responses(records: bytes) -> Iterator[Mapping[str, Any]]:
    """Rows of the responses, as far as they can be read."""
    for record in _records(records):
        if not isinstance(record, Mapping):
            continue
        flat = "request" not in record and "response" not in record
        body = record if flat else record.get("response")
        if rows := list(rows_of(body)):
            yield from rows
        elif isinstance(body, Mapping):
            yield body


def _records(records: bytes) -> Iterator[Any]:
    """Those that are JSON; of the others the decoder will say what is wrong with them."""
    if records.lstrip()[:1] == b"[":
        with suppress(*FAILURES):
            yield from msgspec.json.decode(records)
        return
    for line in io.BytesIO(records):
        with suppress(*FAILURES):
            yield msgspec.json.decode(line)


def rows_of(body: Any) -> Iterator[dict[str, Any]]:
    """Rows of a ``fields``/``values`` body, also of those in its ``input_data`` or ``predictions``."""
    if not isinstance(body, Mapping):
        return
    names, values = body.get("fields"), body.get("values")
    if isinstance(names, list) and isinstance(values, list):
        rows = values if values and isinstance(values[0], list) else [values]
        for row in rows:
            if isinstance(row, list):
                yield dict(zip(map(str, names), row, strict=False))
        return
    for key in ("input_data", "predictions"):
        for one in inner if isinstance(inner := body.get(key), list) else ():
            yield from rows_of(one)
