"""KServe's logger under the shared contract: lines, arrays, tables; V1, V2 and binary tensors."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 12
SIDES = "request", "response"
KINDS = {side: f"org.kubeflow.serving.inference.{side}" for side in SIDES}
V2 = {"predict": "prediction", "predict_proba": "probability"}
DATATYPES = {"integer": "INT64", "string": "BYTES", "double": "FP64"}


def v1(i: int) -> tuple[bytes, bytes]:
    rows, answers = bodies(i)
    predictions = [{"prediction": label, "probability": vector} for label, vector in answers]
    return json.dumps({"instances": rows}).encode(), json.dumps({"predictions": predictions}).encode()


def tensor(name: str, shape: list[int], datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def tensors(i: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One tensor a column; every other body has its single columns as ``[1,n]``, one in four is nested."""
    rows, answers = bodies(i)
    count = len(rows)
    shape = [1, count] if i % 2 else [count, 1]
    columns = list(zip(*rows, strict=True))
    asked = [
        tensor(name, shape, DATATYPES[kind], list(cells))
        for (name, kind), cells in zip(FEATURES.items(), columns, strict=True)
    ]
    labels, vectors = [label for label, _ in answers], [vector for _, vector in answers]
    cells = vectors if i % 4 == 3 else [cell for vector in vectors for cell in vector]
    answered = [
        tensor("predict", [count], "BYTES", labels),
        tensor("predict_proba", [count, 2], "FP64", cells),
    ]
    return asked, answered


def v2(i: int) -> tuple[bytes, bytes]:
    asked, answered = tensors(i)
    return json.dumps({"inputs": asked}).encode(), json.dumps({"outputs": answered}).encode()


def binary(i: int) -> tuple[bytes, bytes]:
    """The same with the numbers as binary data behind the JSON object."""
    dtypes, both = {"INT64": "<i8", "FP64": "<f8"}, []
    for holder, described in zip(("inputs", "outputs"), tensors(i), strict=True):
        tail = b""
        for one in described:
            if one["datatype"] in dtypes:
                data = np.array(one.pop("data"), dtypes[one["datatype"]]).tobytes()
                one["parameters"] = {"binary_data_size": len(data)}
                tail += data
        both.append(json.dumps({holder: described}).encode() + tail)
    return both[0], both[1]


def records(make: Any, name: str) -> Iterator[dict[str, Any]]:
    for i in range(RECORDS):
        for side, body in zip(SIDES, make(i), strict=True):
            yield {
                "bytes": base64.b64encode(body).decode(),
                "contentType": "application/json",
                "reqType": KINDS[side],
                "id": f"{name}-{i}",
                "component": "predictor",
                "occurrenceTime": f"2024-01-19T19:27:{i:02}.123456789Z",
            }


def lines(documents: Iterator[Any]) -> bytes:
    return "\n".join(map(json.dumps, documents)).encode()


class TestKServeV1(EngineContract):
    def subscription(self) -> Subscription:
        return declare("kserve", FEATURES)

    def objects(self) -> Sequence[bytes]:
        """Logger records a line, an array of them, and requests apart from their responses."""
        apart = list(records(v1, "c"))
        halves = (json.dumps(apart[start::2]).encode() for start in (0, 1))
        return [lines(records(v1, "a")), json.dumps(list(records(v1, "b"))).encode(), *halves]


class TestKServeV2(EngineContract):
    def subscription(self) -> Subscription:
        return declare("kserve", FEATURES, response=V2)

    def objects(self) -> Sequence[bytes]:
        return [lines(records(v2, "a")), lines(records(binary, "b"))]


class TestKServeCloudEvents(EngineContract):
    def subscription(self) -> Subscription:
        return declare("kserve", FEATURES)

    def objects(self) -> Sequence[bytes]:
        return [lines(self.structured()), lines(self.noted())]

    def structured(self) -> Iterator[dict[str, Any]]:
        for i in range(RECORDS):
            for side, body in zip(SIDES, v1(i), strict=True):
                event = {"specversion": "1.0", "id": f"s{i}", "type": KINDS[side], "data": json.loads(body)}
                yield {**event, "time": f"2024-01-19T19:27:{i:02}Z", "component": "predictor"}

    def noted(self) -> Iterator[dict[str, Any]]:
        for i in range(RECORDS):
            for side, body in zip(SIDES, v1(i), strict=True):
                headers = {"ce-id": f"n{i}", "ce-type": KINDS[side], "ce-time": f"2024-01-19T19:27:{i:02}Z"}
                yield {"headers": headers, "body": body.decode()}


class TestKServeTables(EngineContract):
    json_lines = False
    suffixes = ("csv", "parquet")

    def subscription(self) -> Subscription:
        return declare("kserve", FEATURES)

    def key(self, number: int) -> str:
        return f"logs/{number}-request.{self.suffixes[number]}"

    def objects(self) -> Sequence[bytes]:
        rows = [[{**row, "url": "", "metadata": "{}"} for row in records(v1, name)] for name in "ab"]
        text, data = io.StringIO(), io.BytesIO()
        writer = csv.DictWriter(text, list(rows[0][0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[0])
        pq.write_table(pa.Table.from_pylist(rows[1]), data)
        return [text.getvalue().encode(), data.getvalue()]
