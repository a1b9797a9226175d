"""Azure Machine Learning: collections, payloads stored apart, v1's CSV."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paylog.connections import Connection
from paylog.decode import Decoder
from paylog.errors import Reason, RejectedRecord
from paylog.storage.payloads import Payloads
from paylog.testing.collector_logs import BOTH, INPUTS, OUTPUTS, collected
from paylog.testing.contract import capture_object, declare
from paylog.testing.decoded import Outcome, together

FEATURES = {"age": "integer", "job": "string"}
ROW = {"age": 41, "job": "clerk"}
SAID = {"prediction": "Risk", "probability": [0.25, 0.75]}
TIME = "2024-01-19T19:57:30"


def decoded(
    *objects: tuple[str, list[dict[str, Any]] | bytes], payload: Callable[[str], bytes] | None = None
) -> Outcome:
    decoder = Decoder(declare("azure_machine_learning_service", FEATURES), payload=payload)
    given = []
    for key, records in objects:
        lines = records if isinstance(records, bytes) else b"\n".join(json.dumps(r).encode() for r in records)
        given.append((capture_object(lines, key), lines))
    return together(decoder, given)


def inputs(*rows: Any, key: str = "c-1", **more: Any) -> dict[str, Any]:
    return collected(INPUTS, list(rows), key, TIME, **more)


def outputs(*rows: Any, key: str = "c-1", **more: Any) -> dict[str, Any]:
    return collected(OUTPUTS, list(rows), key, TIME, **more)


def test_collections_join_on_the_correlation_id_and_the_row() -> None:
    found = decoded(("a.jsonl", [inputs(ROW, {**ROW, "age": 42})]), ("b.jsonl", [outputs(SAID, SAID)]))
    assert [(row["scoring_id"], row["age"]) for row in found.rows] == [("c-1-1", 41), ("c-1-2", 42)]
    assert found.rows[0]["scoring_timestamp"] == datetime(2024, 1, 19, 19, 57, 30, tzinfo=UTC)
    assert (found.rejects, found.pending) == ([], 0)


def test_sampling_leaves_orphans_on_both_sides() -> None:
    sides = [[inputs(ROW, key=f"c-{n}") for n in (1, 2)], [outputs(SAID, key=f"c-{n}") for n in (2, 3)]]
    found = decoded(("a.jsonl", sides[0]), ("b.jsonl", sides[1]))
    assert [row["scoring_id"] for row in found.rows] == ["c-2-1"]
    assert sorted(found.alone.column("key").to_pylist()) == ["c-1", "c-3"]


def test_a_missing_correlation_id_is_the_request_id_else_a_reject() -> None:
    named = inputs(ROW, correlationid=None, xrequestid="x-9"), outputs(SAID, key="x-9")
    assert decoded(("a.jsonl", list(named))).rows[0]["scoring_id"] == "x-9-1"
    found = decoded(("a.jsonl", [inputs(ROW, correlationid=None, xrequestid=None)]))
    assert [reject.reason for reject in found.rejects] == [Reason.MALFORMED_RECORD]


def test_both_sides_in_one_collection() -> None:
    found = decoded(("a.jsonl", [collected(BOTH, [{**ROW, **SAID}] * 2, "c-7", TIME)]))
    assert [row["scoring_id"] for row in found.rows] == ["c-7-1", "c-7-2"]


def test_request_and_response_collections_hold_bodies_of_any_shape() -> None:
    request = collected("request", {"data": [[41, "clerk"]]}, "r", TIME)
    response = collected("response", [SAID], "r", TIME)
    found = decoded(("a.jsonl", [request]), ("b.jsonl", [response]))
    assert [(row["age"], row["prediction"]) for row in found.rows] == [(41, "Risk")]


def test_a_body_that_is_text_is_read_by_its_content_type() -> None:
    request = collected("request", "41,clerk", "r", TIME, datacontenttype="text/csv")
    found = decoded(("a.jsonl", [request, collected("response", [SAID], "r", TIME)]))
    assert found.rows[0]["age"] == 41


def test_another_collection_is_filtered() -> None:
    found = decoded(("other/a.jsonl", [collected("drift", [{"x": 1}], "c", TIME)]))
    assert (found.filtered, found.rows, found.rejects) == (1, [], [])


def test_no_data_is_a_reject_of_its_side() -> None:
    lines = [inputs(ROW), outputs(SAID, key="c-2")]
    del lines[0]["data"]
    lines[1]["data"] = None
    reasons = [reject.reason for reject in decoded(("a.jsonl", lines)).rejects]
    assert reasons == [Reason.MISSING_REQUEST, Reason.MISSING_RESPONSE]


def test_a_stray_comma_behind_a_record_is_no_part_of_it() -> None:
    data = json.dumps(inputs(ROW)).encode() + b",\n" + json.dumps(outputs(SAID)).encode() + b", \r\n"
    found = decoded(("a.jsonl", data))
    assert (len(found.rows), found.rejects) == (1, [])


def test_a_stray_comma_of_a_record_that_is_replayed() -> None:
    decoder = Decoder(declare("azure_machine_learning_service", FEATURES))
    raw = json.dumps(inputs(ROW)).encode() + b",\r"
    (block,) = decoder.records(capture_object(raw, "a.jsonl"), [raw], [7])
    assert (block.rejects, [list(halves.positions) for halves in block.halves]) == ([], [[7]])


def test_payloads_stored_apart_are_fetched() -> None:
    blobs = {"datasets/big.json": json.dumps([ROW]).encode(), "https://h/c/said": json.dumps([SAID]).encode()}
    request = inputs(dataref="datasets/big.json")
    del request["data"]
    response = outputs(key="c-1") | {"data": "https://h/c/said", "datainblob": "true"}
    found = decoded(("a.jsonl", [request, response]), payload=blobs.__getitem__)
    assert (len(found.rows), found.rejects) == (1, [])
    found = decoded(("a.jsonl", [request, response]))
    assert [reject.reason for reject in found.rejects] == [Reason.MISSING_PAYLOAD] * 2


def reason(payloads: Payloads, reference: str) -> Reason | None:
    try:
        payloads(reference)
    except RejectedRecord as error:
        return error.reason
    return None


def test_only_the_own_container_is_read(tmp_path: Path) -> None:
    (tmp_path / "modeldata").mkdir()
    (tmp_path / "modeldata/a b").write_bytes(b"[1]")
    (tmp_path / "modeldata/large").write_bytes(b"x" * 101)
    (tmp_path.parent / "outside").write_bytes(b"[2]")
    folder = Payloads(Connection("logs", "paylog_folder", extra={"path": str(tmp_path)}), "", 100)
    assert folder("modeldata/a b") == folder("https://any/container/modeldata/a%20b") == b"[1]"
    assert reason(folder, "modeldata/none") is Reason.MISSING_PAYLOAD
    assert reason(folder, "modeldata/large") is Reason.PAYLOAD_TOO_LARGE
    outside = ("../outside", "modeldata/../../outside", "https://h/c/%2e%2e/outside", "", "a\0b", "file:///x",
               "a//b", "https://h/c//a%20b", "https://h/c/")  # fmt: skip
    assert {reason(folder, one) for one in outside} == {Reason.FOREIGN_PAYLOAD}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("https://account.blob.core.windows.net/other/path", Reason.FOREIGN_PAYLOAD),
        ("https://stranger.blob.core.windows.net/logs/path", Reason.FOREIGN_PAYLOAD),
        ("azureml://subscriptions/1/path", Reason.FOREIGN_PAYLOAD),
        ("https://[broken/logs/path", Reason.FOREIGN_PAYLOAD),
    ],
)
def test_another_container_or_account_is_refused_without_asking_it(reference: str, expected: Reason) -> None:
    connection = Connection("logs", "wasb", login="account", password="a2V5")
    assert reason(Payloads(connection, "logs", 100), reference) is expected


V1_COLUMNS = "$aml_dc_correlation_id,$aml_dc_scoring_timestamp,$aml_model_version"
V1_TIME = "2024-01-19T19:57:30.123456"


def v1(side: str, *rows: str) -> tuple[str, bytes]:
    header = {"inputs": "age,job", "predictions": "prediction,probability"}[side]
    return (
        f"credit/1/{side}/2024/01/19/{side}.csv",
        "\n".join([f"{header},{V1_COLUMNS}", *rows, ""]).encode(),
    )


def test_v1_rows_pair_by_correlation_id_and_order() -> None:
    given = v1("inputs", f"41,clerk,u-1,{V1_TIME},1", f"42,cook,u-1,{V1_TIME},1", f"43,cook,u-2,{V1_TIME},1")
    cells = f'Risk,"[0.25, 0.75]",u-1,{V1_TIME},1', f'No Risk,"[0.75, 0.25]",u-1,{V1_TIME},1'
    found = decoded(given, v1("predictions", *cells))
    rows = [(row["scoring_id"], row["age"], row["prediction"]) for row in found.rows]
    assert rows == [("u-1-1", 41, "Risk"), ("u-1-2", 42, "No Risk")]
    assert found.rows[0]["scoring_timestamp"] == datetime(2024, 1, 19, 19, 57, 30, 123456, UTC)
    assert (found.pending, found.rejects) == (1, [])


def test_v1_rows_with_odd_quotes_keep_their_place() -> None:
    jobs = ("clerk", '"a" b', "cook", '"c" d', '"e" f', "baker")
    given = v1("inputs", *(f"{40 + i},{job},u-1,{V1_TIME},1" for i, job in enumerate(jobs)))
    labels = ("Risk", "No Risk", "Risk", "Risk", "No Risk", "Risk")
    said = v1("predictions", *(f'{label},"[0.25, 0.75]",u-1,{V1_TIME},1' for label in labels))
    found = {row["age"]: row["prediction"] for row in decoded(given, said).rows}
    assert found == {40 + i: label for i, label in enumerate(labels)}


def test_v1_rows_behind_one_that_cannot_be_read_meet_no_others_prediction() -> None:
    rows = [f"4{i},cook,u-{1 + i // 4},{V1_TIME},1" for i in range(8)]
    rows[1] = rows[1] + ",more"
    rows[6] = '46,cook"'
    labels = ("Risk", "No Risk", "No Risk", "No Risk") * 2
    said = v1(
        "predictions", *(f'{a},"[0.25, 0.75]",u-{1 + i // 4},{V1_TIME},1' for i, a in enumerate(labels))
    )
    found = decoded(v1("inputs", *rows), said)
    assert {row["age"]: row["prediction"] for row in found.rows} == {40: "Risk", 44: "Risk", 45: "No Risk"}
    unread, unsure = Reason.COLUMN_COUNT_MISMATCH, Reason.MALFORMED_RECORD
    reasons = [unread, unsure, unsure, Reason.MALFORMED_CSV, unsure]
    assert [(reject.position, reject.reason) for reject in found.rejects] == [
        (position, reason) for position, reason in zip((2, 3, 4, 7, 8), reasons, strict=True)
    ]


def test_v1_rows_are_numbered_anew_when_their_object_is_read_again() -> None:
    key, data = v1("inputs", f"41,clerk,u-1,{V1_TIME},1", f"42,cook,u-1,{V1_TIME},1")
    decoder = Decoder(declare("azure_machine_learning_service", FEATURES))
    for _ in range(2):
        (block,) = decoder.blocks(capture_object(data, key), iter([data]))
        assert [halves.keys for halves in block.halves] == [["u-1-1", "u-1-2"]]


def test_v1_rows_without_a_correlation_id_are_rejects_and_other_designations_filtered() -> None:
    found = decoded(v1("inputs", f"41,clerk,,{V1_TIME},1"))
    assert [reject.reason for reject in found.rejects] == [Reason.MALFORMED_RECORD]
    key, data = v1("inputs", f"41,clerk,u-1,{V1_TIME},1")
    assert decoded((key.replace("inputs", "labels"), data)).filtered == 1


def test_a_record_without_an_id_keeps_its_identity_while_its_blob_grows() -> None:
    nameless = collected(BOTH, [{**ROW, **SAID}], "", TIME, correlationid=None, xrequestid=None)
    line = json.dumps(nameless).encode() + b"\n"
    decoder = Decoder(declare("azure_machine_learning_service", FEATURES))
    before = together(decoder, [(capture_object(line, "a.jsonl", "v1"), line)]).rows
    after = together(decoder, [(capture_object(line * 2, "a.jsonl", "v2"), line * 2)]).rows
    assert before[0]["_record_id"] == after[0]["_record_id"] != after[1]["_record_id"]
