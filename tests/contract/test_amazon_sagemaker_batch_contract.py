"""SageMaker batch transform under the shared contract: pairs by line, and output joined with its input."""

from __future__ import annotations

import json
from collections.abc import Sequence

from test_engines import FEATURES, ROWS, csv_text

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 20
TIME = "2024-01-19T20:00:00Z"


def scores(i: int) -> list[float]:
    return [1 - i / 64, i / 64]


def label(i: int) -> str:
    return "Risk" if i % 2 else "No Risk"


class TestPairedByLine(EngineContract):
    named_rows = False
    json_lines = False
    KEYS = (
        "in/a.csv",
        "out/a.csv.out",
        "in/b.jsonl",
        "out/b.jsonl.out",
        "capture/input/2024/01/19/20/d58dcdb4-6b44-4806-8b5a-b3ee4265bb31.json",
    )

    def subscription(self) -> Subscription:
        response = {"label": "prediction", "no": "P(No Risk)", "yes": "P(Risk)"}
        return declare("amazon_sagemaker_batch", FEATURES, response=response)

    def objects(self) -> Sequence[bytes]:
        asked = "".join(csv_text([row]) for row in ROWS[:RECORDS])
        told = "".join(f"{label(i)},{scores(i)[0]},{scores(i)[1]}, id-{i},{TIME}\n" for i in range(RECORDS))
        named = [json.dumps(dict(zip(FEATURES, row, strict=True))) for row in ROWS[:RECORDS]]
        answers = [
            json.dumps({"label": label(i), "no": scores(i)[0], "yes": scores(i)[1]}) for i in range(RECORDS)
        ]
        manifest = json.dumps([{"prefix": "s3://batch/in/"}, "a.csv", "b.jsonl"])
        return [text.encode() for text in (asked, told, "\n".join(named), "\n".join(answers), manifest)]

    def key(self, number: int) -> str:
        return self.KEYS[number]


class TestJoinedWithInput(EngineContract):
    def subscription(self) -> Subscription:
        response = {"predicted_label": "prediction", "score": "P(Risk)"}
        return declare("amazon_sagemaker_batch", FEATURES, response=response)

    def objects(self) -> Sequence[bytes]:
        ids = [{"SageMakerInferenceId": f"id-{i}", "SageMakerInferenceTime": TIME} for i in range(RECORDS)]
        outputs = [{"predicted_label": label(i), "score": scores(i)[1]} for i in range(RECORDS)]
        records = [{"features": ROWS[i], "SageMakerOutput": outputs[i], **ids[i]} for i in range(RECORDS)]
        return ["\n".join(map(json.dumps, records)).encode()]

    def key(self, number: int) -> str:
        return "out/c.jsonl.out"


class TestJoinedCsv(EngineContract):
    json_lines = False

    def subscription(self) -> Subscription:
        return TestJoinedWithInput().subscription()

    def objects(self) -> Sequence[bytes]:
        lines = (
            csv_text([[*ROWS[i], label(i), scores(i)[1]]]).rstrip("\n") + f", id-{i},{TIME}\n"
            for i in range(RECORDS)
        )
        return ["".join(lines).encode()]

    def key(self, number: int) -> str:
        return "out/d.csv.out"
