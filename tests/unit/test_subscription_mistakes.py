"""Every mistake of a subscription is found at once, with its line and its mend."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from paylog.errors import ConfigurationError
from paylog.subscription import ServiceProvider, load_subscriptions, read_subscriptions

GOOD: dict[str, Any] = {
    "id": "credit",
    "service_provider": "custom_machine_learning",
    "deployment": {"id": "credit"},
    "logs": {"connection": "logs", "bucket": "scoring-logs"},
    "model_schema": {
        "class_labels": ["good", "bad"],
        "fields": [
            {"name": "age", "type": "integer"},
            {"name": "verdict", "type": "string", "role": "prediction"},
            {"name": "likelihood", "type": "array", "role": "probability"},
        ],
    },
    "data_mart": {"connection": "mart", "schema": "payload"},
}


def problems_of(folder: Path, text: str) -> list[str]:
    """The problems of one file, without its folder."""
    file = folder / "s.yaml"
    file.write_text(text, encoding="utf-8")
    return [p.removeprefix(f"{folder}/") for p in read_subscriptions(file).problems]


def problems_with(folder: Path, section: str, **changes: Any) -> list[str]:
    """The problems of the good document after a change of one section (or of the top, '')."""
    document = copy.deepcopy(GOOD)
    target = document.setdefault(section, {}) if section else document
    target.update(changes)
    return problems_of(folder, yaml.safe_dump(document, sort_keys=False))


def schema_with(*fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [*copy.deepcopy(GOOD["model_schema"]["fields"]), *fields]


def test_the_good_document_is_good(tmp_path: Path) -> None:
    assert problems_with(tmp_path, "") == []


MANY = """\
id: credit
service_provider: custom_machine_lerning
deployment: {id: credit}
logs:
  bucket: scoring-logs
  lookback: a day
model_schema:
  class_labels: [good, bad]
  fields:
    - name: age
      typ: integer
    - {name: age, type: integer}
    - {name: verdict, type: string, role: predicton}
data_mart:
  schema: payload
  conection: mart
error_budget: {share: 5}
id: again
"""


def test_all_mistakes_at_once_by_line(tmp_path: Path) -> None:
    assert problems_of(tmp_path, MANY) == [
        "s.yaml:18: key 'id' is given twice, first on line 1",
        "s.yaml:2: service_provider: unknown value 'custom_machine_lerning', did you mean "
        f"'custom_machine_learning'? (one of: {', '.join(ServiceProvider)})",
        "s.yaml:6: logs.lookback: 'a day' is not a duration; write it like 90s, 15m, 24h, 7d or 1h30m",
        "s.yaml:11: model_schema.fields[0].typ: unknown key 'typ', did you mean 'type'?",
        "s.yaml:12: model_schema.fields[1].name: 'age' is declared twice, first as fields[0]",
        "s.yaml:13: model_schema.fields[2].role: unknown value 'predicton', did you mean 'prediction'? "
        "(one of: feature, target, prediction, probability, decoded-target, meta-field)",
        "s.yaml:16: data_mart.conection: unknown key 'conection', did you mean 'connection'?",
        "s.yaml:17: error_budget.share: should be less than or equal to 1",
    ]


def test_all_files_at_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("id: 5\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_subscriptions(tmp_path)
    starts = {p.split(":")[0] for p in caught.value.problems}
    assert starts == {str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")}
    assert len(caught.value.problems) == 2 * 6


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        load_subscriptions(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "s.yaml:1: the file is empty"),
        ("# only a comment\n", "s.yaml:1: the file is empty"),
        ("- a\n", "s.yaml:1: expected a mapping (key: value), not a list"),
        ("id: x\n\tlogs: y\n", "s.yaml:2: not YAML: this line is indented with a tab; use spaces"),
        ("id: x\n---\nid: y\n", "s.yaml:2: more than one document (---) in the file; write one subscription"),
        ("id: 'x\nlogs: {\n", "s.yaml:3: not YAML: while scanning a quoted scalar"),
        ("id: x\nlogs: *nowhere\n", "s.yaml:2: not YAML: found undefined alias"),
        ("id: &a [*a]\n", "s.yaml:1: nested too deeply, or aliases that contain themselves"),
        ("id: x\nlogs: !python/name:os.system x\n", "s.yaml:2: not a value of the kind"),
        ("id: x\n? [a]\n: b\n", "s.yaml:2: a key must be a single word or quoted text"),
        ("id: x\nlogs: \x00\n", "s.yaml:2: not YAML: a character that YAML does not allow"),
        ("id: x\nno: y\n", "s.yaml:2: False: YAML reads this key as false; put it in quotes"),
    ],
)
def test_yaml_mistakes(tmp_path: Path, text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(tmp_path, text))


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"id: x\nlogs: \xff\n")
    assert read_subscriptions(tmp_path).problems == [
        f"{tmp_path}/s.yaml:2: not UTF-8; save the file as UTF-8"
    ]


def test_bomb_of_aliases_is_small(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    (found,) = problems_of(tmp_path, "\n".join([*levels, "service_provider: *a29"]))
    assert "aliases that contain themselves or too much" in found


SECTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("", {"id": "a b"}, "id: an id is 1 to 40 letters"),
    ("", {"id": "x" * 41}, "id: an id is 1 to 40 letters"),
    ("", {"id": "_x"}, "id: an id is 1 to 40 letters"),
    ("", {"deployment": {"id": 5}}, "deployment.id: expected text, not a number: put it in quotes"),
    ("", {"deployment": {"id": ""}}, "deployment.id: must not be empty"),
    ("", {"deployment": None}, "deployment: expected a mapping (key: value), not nothing"),
    ("", {"logs": "here"}, "logs: expected a mapping (key: value), not text"),
    ("logs", {"prefix": "/abs"}, "logs.prefix: a prefix is relative"),
    ("logs", {"prefix": "a/../b"}, "logs.prefix: a prefix is relative"),
    ("logs", {"bucket": "s3://logs/x"}, "logs.bucket: a bucket's name alone"),
    ("logs", {"layout": "%Y/%d/"}, "logs.layout: a layout goes from the year down without a gap"),
    ("logs", {"layout": "%Y/%m/%d"}, "logs.layout: a layout is relative, ends with '/'"),
    ("logs", {"layout": "%Y/{a,b}/%m/"}, "logs.layout: a choice is the first folder of a layout"),
    ("logs", {"layout": "{a,b/%Y/"}, "logs.layout: a choice is the first folder of a layout"),
    ("logs", {"layout": "%Y/%B/"}, "logs.layout: %B is not known in a layout"),
    ("logs", {"layout": "logs/"}, "logs.layout: a layout is relative, ends with '/' and holds a time"),
    ("logs", {"timestamp": "modified"}, "logs.timestamp: unknown value 'modified', did you mean 'last_modi"),
    ("logs", {"timezone": "Europe/Berln"}, "logs.timezone: 'Europe/Berln' is not an IANA time zone, did you"),
    ("logs", {"timezone": "../etc/passwd"}, "logs.timezone: '../etc/passwd' is not an IANA time zone"),
    ("logs", {"settle": 90}, "logs.settle: 90 is not a duration; write it like 90s"),
    ("logs", {"settle": "1h2h"}, "logs.settle: '1h2h' is not a duration"),
    ("logs", {"max_record_bytes": "16 megs"}, "logs.max_record_bytes: '16 megs' is not a size"),
    ("logs", {"max_object_bytes": 0}, "logs.max_object_bytes: must be at least one byte"),
    ("logs", {"variant": "AllTraffic"}, "logs.variant: only amazon_sagemaker has variants"),
    ("data_mart", {"schema": "pg_mart"}, "data_mart.schema: 'pg_mart' belongs to PostgreSQL"),
    ("data_mart", {"schema": "ä" * 32}, "data_mart.schema: a schema name is 1 to 63 bytes"),
    ("data_mart", {"schema": 'a"b'}, "data_mart.schema: a schema name is 1 to 63 bytes"),
    ("schedule", {"cron": "61 * * * *"}, "schedule.cron: '61 * * * *' is not a cron expression"),
    ("schedule", {"cron": "0 0 30 2 *"}, "schedule.cron: '0 0 30 2 *' names a date that never comes"),
    ("schedule", {"cron": "R * * * *"}, "schedule.cron: 'R * * * *' is not a cron expression of 5"),
    ("schedule", {"cron": "@daily"}, "schedule.cron: '@daily' is not a cron expression of 5"),
    ("schedule", {"cron": "0 0 * * * *"}, "schedule.cron: '0 0 * * * *' is not a cron expression of 5"),
    ("schedule", {"cron": ""}, "schedule.cron: '' is not a cron expression of 5 fields"),
    ("schedule", {"timezone": "CEST"}, "schedule.timezone: 'CEST' is not an IANA time zone"),
    ("schedule", {"start": "soon"}, "schedule.start: 'soon' is not a date"),
    ("schedule", {"start": 2024}, "schedule.start: 2024 is not a date"),
    ("schedule", {"catchup": "no"}, "schedule.catchup: expected true or false, not text"),
    ("batch", {"bytes": "64 MPH"}, "batch.bytes: '64 MPH' is not a size"),
    ("batch", {"max_parallel": 0}, "batch.max_parallel: should be greater than or equal to 1"),
    ("batch", {"max_parallel": True}, "batch.max_parallel: should be a valid integer"),
    ("error_budget", {"share": -0.1}, "error_budget.share: should be greater than or equal to 0"),
    ("error_budget", {"count": -1}, "error_budget.count: should be greater than or equal to 0"),
]


@pytest.mark.parametrize(("section", "changes", "problem"), SECTIONS, ids=lambda v: None)
def test_wrong_values(tmp_path: Path, section: str, changes: dict[str, Any], problem: str) -> None:
    found = problems_with(tmp_path, section, **changes)
    assert len(found) == 1
    assert re.sub(r"^s.yaml:\d+: ", "", found[0]).startswith(problem)


@pytest.mark.parametrize("key", ["password", "api_key", "apikey", "secret-key", "accessToken", "credentials"])
@pytest.mark.parametrize("section", ["", "logs", "data_mart"])
def test_secrets_are_refused_and_not_shown(tmp_path: Path, section: str, key: str) -> None:
    (found,) = problems_with(tmp_path, section, **{key: "hunter2"})
    assert "put it in the connection" in found
    assert "hunter2" not in found


@pytest.mark.parametrize("section", ["logs", "data_mart"])
def test_address_instead_of_a_connection_id_is_not_shown(tmp_path: Path, section: str) -> None:
    (found,) = problems_with(tmp_path, section, connection="postgres://me:hunter2@db/mart")
    assert f"{section}.connection: not a connection id" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("scoring_id", "already"),
        ("prediction_probability", "already"),
        ("_hidden", "start with '_'"),
        ("ctid", "already"),
        ("ä" * 32, "64 bytes"),
        ('a"b', "double quote"),
        ("a\0b", "control character"),
        (" a", "space"),
        ("", "empty"),
    ],
)
def test_names_that_cannot_be_columns(tmp_path: Path, name: str, problem: str) -> None:
    (found,) = problems_with(tmp_path, "model_schema", fields=schema_with({"name": name, "type": "string"}))
    assert "model_schema.fields[3].name: " in found
    assert problem in found


VERDICT = {"name": "verdict", "type": "string", "role": "prediction"}
AGE = {"name": "age", "type": "integer"}
LIKELIHOOD = {"name": "likelihood", "type": "array", "role": "probability"}
SCHEMAS: list[tuple[dict[str, Any], str]] = [
    ({"fields": []}, "fields: must not be empty"),
    ({"fields": [AGE, LIKELIHOOD]}, "fields: no field has the role 'prediction'"),
    ({"fields": [VERDICT]}, "fields: no field has the role 'feature'"),
    ({"fields": schema_with({**VERDICT, "name": "second"})}, "fields[3].role: there is another field"),
    ({"fields": schema_with({**LIKELIHOOD, "name": "second"})}, "fields[3].role: there is another field"),
    ({"fields": schema_with({"name": "v", "type": "array"})}, "fields[3].type: only the probability can be"),
    (
        {"fields": [AGE, VERDICT, {**LIKELIHOOD, "type": "double"}]},
        "fields[2].type: a probability is of type arr",
    ),
    ({"fields": [AGE, {**VERDICT, "type": "boolean"}]}, "fields[1].type: a prediction is of type string"),
    ({"class_labels": []}, "class_labels: a probability needs the class labels"),
    ({"class_labels": ["good", "bad", "ugly"]}, "class_labels: a binary model has 2 class labels, not 3"),
    ({"class_labels": ["good", "good"]}, "class_labels: 'good' is listed 2 times"),
    (
        {"class_labels": [0, 1]},
        "class_labels: the prediction is of type string, so its class labels are text",
    ),
    ({"class_labels": [0.5, 1]}, "class_labels[0]: a class label is text or a whole number"),
    (
        {"class_labels": ["a"], "problem_type": "multiclass"},
        "class_labels: a multiclass model has at least 2",
    ),
    ({"problem_type": "binari"}, "problem_type: unknown value 'binari', did you mean 'binary'?"),
    (
        {"response": {"a": "predction"}},
        "response.a: 'predction' is no declared field, did you mean 'prediction'?",
    ),
    (
        {"response": {"a": "prediction", "b": "P(baad)"}},
        "response.b: 'baad' is no class label, did you mean 'bad'?",
    ),
    (
        {"response": {"a": "prediction", "b": "verdict"}},
        "response.b: prediction is given twice, first by 'a'",
    ),
    ({"response": {"a": "prediction", "b": "P(bad)", "c": "P(bad)"}}, "response.c: P(bad) is given twice"),
    ({"response": {"b": "ignore"}}, "response: no response column is the prediction"),
    (
        {"fields": [AGE, VERDICT], "response": {"a": "prediction", "b": "probability"}},
        "response.b: this needs a field with the role 'probability'",
    ),
    (
        {"fields": schema_with({"name": "probability", "type": "double"}), "response": {"b": "probability"}},
        "response.b: 'probability' is also a field of another role",
    ),
    ({"response": {"a": "prediction", "b": 4}}, "response.b: expected text, not a number"),
    (
        {"response": {"a": "prediction", "b": "P(bad)", "c": "probability"}},
        "response: map one column to probability, or single columns to P(…)",
    ),
    (
        {"fields": [AGE, VERDICT], "response": {"a": "prediction", "b": "P(bad)"}},
        "response.b: this needs a field with the role 'probability'",
    ),
    (
        {
            "problem_type": "multiclass",
            "class_labels": ["good", "bad", "ugly"],
            "response": {"a": "prediction", "b": "P(bad)", "c": "P(good)"},
        },
        "response: P(…) is missing for ugly",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), SCHEMAS, ids=lambda v: None)
def test_model_schemas_that_cannot_be(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    found = problems_with(tmp_path, "model_schema", **changes)
    assert len(found) == 1
    assert re.sub(r"^s.yaml:\d+: model_schema.", "", found[0]).startswith(problem)


@pytest.mark.parametrize(
    "response",
    [
        {"score": "P(bad)"},
        {"a": "verdict", "b": "likelihood"},
        {"a": "ignore", "b": "P(good)", "c": "P(bad)"},
    ],
)
def test_responses_that_are_right(tmp_path: Path, response: dict[str, str]) -> None:
    assert problems_with(tmp_path, "model_schema", response=response) == []


def test_regression_has_neither_labels_nor_probability(tmp_path: Path) -> None:
    found = problems_with(tmp_path, "model_schema", problem_type="regression")
    assert [p.split(": ", 1)[1] for p in found] == [
        "model_schema.class_labels: a regression has no class labels; remove them",
        "model_schema.fields[1].type: the prediction of a regression is of type integer or double",
        "model_schema.fields[2].role: a regression has no probability; remove the field",
    ]


def test_unquoted_yes_and_no_as_labels(tmp_path: Path) -> None:
    text = yaml.safe_dump(GOOD, sort_keys=False).replace("- good", "- No").replace("- bad", "- Yes")
    found = problems_of(tmp_path, text)
    assert [p.split(": ")[1] for p in found] == [
        "model_schema.class_labels[0]",
        "model_schema.class_labels[1]",
    ]
    assert all("quote the label" in p for p in found)


def test_one_id_in_two_files_takes_both_out_of_use(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("# x\n" + yaml.safe_dump(GOOD, sort_keys=False), encoding="utf-8")
    found = read_subscriptions(tmp_path)
    assert found.subscriptions == []
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert found.problems == [
        f"{a}:2: id: 'credit' is also the id in {b}; they would share a payload table",
        f"{b}:2: id: 'credit' is also the id in {a}; they would share a payload table",
    ]


def test_an_id_that_names_a_partition_of_another(tmp_path: Path) -> None:
    for number, name in enumerate(["credit", "credit_2024_01", "other_2024_01"]):
        text = yaml.safe_dump(GOOD | {"id": name}, sort_keys=False)
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    found = read_subscriptions(tmp_path)
    assert [s.id for s in found.subscriptions] == ["credit", "other_2024_01"]
    assert found.problems == [
        f"{tmp_path}/1.yaml:1: id: its payload table would be named like a partition of 'credit'"
    ]
