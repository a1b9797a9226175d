"""Batch transform: what pairs, what is joined, what is passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.subscription import Subscription
from paylog.testing.decoded import LAST_MODIFIED, Outcome, capture_object, declare, outcome, together

FEATURES = {"a": "integer", "b": "string"}
RESPONSE = {"label": "prediction", "no": "P(No Risk)", "yes": "P(Risk)"}
TIME = "2024-01-19T20:00:00Z"


def load(objects: dict[str, str]) -> Outcome:
    """Objects by key."""
    decoder = Decoder(declare("amazon_sagemaker_batch", FEATURES, response=RESPONSE))
    items = [(capture_object(text.encode(), key), text.encode()) for key, text in objects.items()]
    found = together(decoder, items)
    assert found.balanced
    assert not found.rejects
    return found


def test_lines_pair_by_their_path_below_the_first_folder() -> None:
    found = load(
        {
            "in/x/p.csv": "1,x\n2,y\n",
            "in/z/p.csv": "3,z\n",
            "out/x/p.csv.out": f"Risk,0.25,0.75, id-0,{TIME}\nRisk,0.25,0.75\n",
        }
    )
    assert [(row["a"], row["scoring_id"]) for row in found.rows] == [(1, "x/p.csv:0-1"), (2, "x/p.csv:1-1")]
    assert [row["_transaction_id"] for row in found.rows] == ["id-0", None]
    assert [row["_timestamp_approximate"] for row in found.rows] == [False, True]
    assert found.rows[1]["scoring_timestamp"] == LAST_MODIFIED
    assert found.pending == 1


def test_input_and_output_side_by_side() -> None:
    found = load({"p.jsonl": '{"a": 1, "b": "x"}', "p.jsonl.out": '["Risk", 0.25, 0.75]'})
    assert [(row["a"], row["prediction"]) for row in found.rows] == [(1, "Risk")]


@pytest.mark.parametrize("extra", ["", f", id-0,{TIME}", f",id-0,{TIME}"])
def test_csv_output_joined_with_its_input(extra: str) -> None:
    text = f'1,"x, y",Risk,0.25,0.75{extra}\n'
    (row,) = load({"out/p.csv.out": text}).rows
    assert (row["a"], row["b"], row["probability"]) == (1, "x, y", [0.25, 0.75])
    assert (row["scoring_id"] == "id-0") is bool(extra)
    assert row["_timestamp_approximate"] is not bool(extra)


def test_json_output_joined_with_its_input() -> None:
    record: dict[str, Any] = {"SageMakerOutput": dict(zip(RESPONSE, ["Risk", 0.25, 0.75], strict=True))}
    ids = {"SageMakerInferenceId": "id-0", "SageMakerInferenceTime": TIME}
    for given in ({"features": [1, "x"]}, {"a": 1, "b": "x"}):
        (row,) = load({"out/p.jsonl.out": json.dumps(record | given | ids)}).rows
        assert (row["a"], row["b"], row["prediction"], row["scoring_id"]) == (1, "x", "Risk", "id-0-1")
    (row,) = load({"out/p.jsonl.out": json.dumps(record | {"features": [1, "x"]})}).rows
    assert row["_timestamp_approximate"]


def test_a_real_record_of_joined_output() -> None:
    """As Model Monitor's documentation and its merge jobs have it."""
    subscription = declare(
        "amazon_sagemaker_batch",
        {"a": "double"},
        [0, 1],
        prediction="integer",
        response={"predicted_label": "prediction", "score": "P(1)"},
    )
    line = b'{"SageMakerOutput":{"predicted_label":1,"score":0.98},"features":[0.5]}'
    (row,) = outcome(subscription, line, key="out/p.jsonl.out").rows
    assert (row["a"], row["prediction"], row["probability"][1]) == (0.5, 1, 0.98)


@pytest.mark.parametrize(
    ("key", "manifest"),
    [
        ("capture/input/2024/01/19/20/d58dcdb4-6b44-4806-8b5a-b3ee4265bb31.json", True),
        ("output/2024/01/19/20/bd6b881a-e8f6-40bd-8f97-7044218e0b7b.json", True),
        ("input/2024/01/19/20/part.json", False),
        ("in/part_0.csv", False),
    ],
)
def test_manifests_are_told_by_their_path(key: str, manifest: bool) -> None:
    decoder = Decoder(declare("amazon_sagemaker_batch", FEATURES, response=RESPONSE))
    assert decoder.engine.is_manifest(capture_object(b"", key)) is manifest


MANIFEST = "capture/input/2024/01/19/20/d58dcdb4-6b44-4806-8b5a-b3ee4265bb31.json"
OWN, OTHERS = "s3://batch/credit/in/", "s3://other/credit/in/"


def batches() -> Subscription:
    """Of the bucket ``batch``, below ``credit/``."""
    document = declare("amazon_sagemaker_batch", FEATURES, response=RESPONSE).document()
    document["logs"] |= {"connection": "logs", "bucket": "batch", "prefix": "credit/"}
    return Subscription.model_validate(document)


@pytest.mark.parametrize(
    ("manifest", "keys", "foreign"),
    [
        ([{"prefix": OWN}, "a.csv", "b/c d#1?.csv"], ["in/a.csv", "in/b/c d#1?.csv"], []),
        ([f"{OWN}a.csv"], ["in/a.csv"], []),
        ([{"prefix": OTHERS}, "a.csv", "b.csv"], [], [0, 1]),
        (
            ["s3://batch/churn/a.csv", f"{OWN}../../a.csv", "https://batch/credit/a", "a.csv"],
            [],
            [0, 1, 2, 3],
        ),
        ([{"prefix": OWN}, "a.csv", {"prefix": OTHERS}, "a.csv"], ["in/a.csv"], [1]),
        ([f"{OWN}", "s3://batch/credit/", "s3://[/"], [], [0, 1, 2]),
        ([], [], []),
    ],
)
def test_only_objects_below_the_prefix_are_followed(
    manifest: list[Any], keys: list[str], foreign: list[int]
) -> None:
    text = json.dumps(manifest).encode()
    assert Decoder(batches()).engine.named(text) == keys
    found = outcome(batches(), text, key=MANIFEST)
    assert [(reject.position, reject.reason) for reject in found.rejects] == [
        (i, Reason.FOREIGN_PAYLOAD) for i in foreign
    ]
    assert not found.rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'[{"prefix":', Reason.MALFORMED_JSON),
        (b'["\xff"]', Reason.INVALID_UTF8),
        (b'{"prefix": "s3://batch/credit/"}', Reason.MALFORMED_RECORD),
        (b"[1]", Reason.MALFORMED_RECORD),
        (b"[" + b" " * (17 << 20), Reason.LINE_TOO_LONG),
    ],
)
def test_a_broken_manifest_is_a_reject(text: bytes, reason: Reason) -> None:
    assert Decoder(batches()).engine.named(text) == ()
    (reject,) = outcome(batches(), text, key=MANIFEST).rejects
    assert reject.reason is reason
