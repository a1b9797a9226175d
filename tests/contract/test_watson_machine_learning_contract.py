"""Watson Machine Learning's bodies under the shared contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare


class TestWatsonMachineLearning(EngineContract):
    def subscription(self) -> Subscription:
        return declare("watson_machine_learning", FEATURES, meta={"branch": "string"})

    def objects(self) -> Sequence[bytes]:
        wrapped = [{**head, "request": sides[0], "response": sides[1]} for head, sides in self.records("a")]
        bare = [{**head, **sides[0], **sides[1]} for head, sides in self.records("b")]
        return ["\n".join(map(json.dumps, records)).encode() for records in (wrapped, bare)]

    def records(self, name: str) -> Iterator[tuple[dict[str, Any], tuple[dict[str, Any], dict[str, Any]]]]:
        for i in range(20):
            rows, answers = bodies(i)
            asked: dict[str, Any] = {"fields": list(FEATURES), "values": rows}
            if i % 3 == 0:
                asked["meta"] = {"fields": ["branch"], "values": [["north"]] * len(rows)}
            answered = {
                "values": [answer[::-1] for answer in answers],
                "fields": ["probability", "prediction"],
            }
            head = {"scoring_id": f"{name}{i}", "scoring_timestamp": f"2024-01-19T19:27:{i:02}.5Z"}
            yield head, ({"input_data": [asked]}, {"predictions": [answered]})
