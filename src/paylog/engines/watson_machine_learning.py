"""Watson Machine Learning: payload records whose bodies are those of its scoring API.

``{"input_data": [{"fields", "values", "meta"?}]}`` and ``{"predictions": [{"fields", "values"}]}``, as
``request`` and ``response`` of an OpenScale payload record or beside its other members; the order of the
fields is free. Source: the service's v4 API; OpenScale's payload logging.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from paylog.codecs import Side
from paylog.engines.custom_machine_learning import CustomMachineLearning, PayloadRecord, envelope
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES
from paylog.engines.patterns import NoPattern, SidePattern, in_order
from paylog.native.pattern import Node, Pattern, absent, record
from paylog.records import Reject

_GIVEN, _TAKEN = "input_data", "predictions"
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class _Scored(PayloadRecord, gc=False):
    input_data: Raw = Raw()
    predictions: Raw = Raw()


class WatsonMachineLearning(CustomMachineLearning):
    """Decoder of the service's payload records; reads bare ``fields``/``values`` (its v3 API) as well."""

    signs = (frozenset({_GIVEN, _TAKEN}),)

    record_type = _Scored

    def pattern(self, example: bytes, request: Side, response: Side) -> Pattern | None:
        try:
            raw = _MEMBERS.decode(example)
            if not {_GIVEN, _TAKEN} <= set(raw):
                return super().pattern(example, request, response)
            requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
            sides = _member(requests, _GIVEN, raw), _member(responses, _TAKEN, raw)
            members = in_order(raw, (*envelope(raw), *sides, absent("request"), absent("response")))
        except (NoPattern, *FAILURES):
            return None
        return Pattern(record(members), requests.slots, responses.slots)

    def _records(self, block: RecordBlock) -> tuple[list[PayloadRecord], Sequence[int], list[Reject]]:
        records, positions, rejects = super()._records(block)
        for one in records:
            assert isinstance(one, _Scored)
            if one.input_data and not one.request:
                one.request = _body(_GIVEN, one.input_data)
            if one.predictions and not one.response:
                one.response = _body(_TAKEN, one.predictions)
        return records, positions, rejects


def _body(name: str, raw: Raw) -> Raw:
    return Raw(b'{"%b":%b}' % (name.encode(), bytes(raw)))


def _member(side: SidePattern, name: str, raw: dict[str, Raw]) -> Node:
    """Pattern of a body's only member, which stands in the record itself."""
    body = side.of_json(bytes(_body(name, raw[name])))
    return next(node for node in body.children if node.key == name)
