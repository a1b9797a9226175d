"""Scoring logs with every kind of trouble in them, from one seed: cells, bodies, records and bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from paylog.subscription import Subscription
from paylog.testing.contract import declare

FEATURES = {"a": "integer", "b": "string", "c": "double", "ok": "boolean", "when": "timestamp"}
TIME = '"2024-01-19T19:27:57Z"'
CELLS = (
    *(
        "null",
        "NaN",
        "1e999",
        "-0",
        "1e2",
        "27.0",
        "27.5",
        '"27"',
        '""',
        '"x],[y"',
        '"null"',
        "true",
        "false",
    ),
    *("9007199254740993", "9007199254740993.0", "9223372036854775807", "9223372036854775808", '"[0.1,0.9]"'),
    *(
        '"\\u0000"',
        '"\\ud800"',
        '"é"',
        '"a\\"b"',
        '"a,b"',
        "[]",
        "[1]",
        "{}",
        '"true"',
        "1.",
        "-",
        "1E-5",
        "0x1F",
    ),
    *(
        TIME,
        '"2024-01-01"',
        '"nan"',
        '" 5 "',
        '"\\n"',
        "[0.1,0.9]",
        '"A"',
        '"B"',
        '"\\ufeff5"',
        '"+7"',
        ' "sp" ',
    ),
    *('"2024-01-19T19:27:57.123456789+05"', '"0001-01-01T00:00:00+05:00"', '"1\\u002c"', '"\x7f"', '"1.50"'),
    *("[0.1]", "[0.1,null]", '[0.1,"0.9"]', "[1,0]", "[0.1,[2]]", "12345678901234567890123"),
)
MEMBERS = ("x", "values", "data", "instances", "predictions", "features", "meta", "fields", "request")
BYTES = (
    b'"',
    b"\\",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b" ",
    b"\x1f",
    b"\x1e",
    b"\0",
    b"\xff",
    b"],[",
    b"\r",
    b"NaN",
    b"\t",
)
Members = list[tuple[str, str]]


@dataclass(frozen=True)
class Log:
    """Lines of one object, and the subscription that they are of."""

    subscription: Subscription
    lines: list[bytes]

    @property
    def data(self) -> bytes:
        return b"\n".join(self.lines)


class Writer:
    """Writes a record's parts, now and then not as it should.

    :param trouble: how likely each part is spoiled.
    """

    def __init__(self, random: Random, trouble: float) -> None:
        self.random = random
        self.trouble = trouble
        self.integer_labels = random.random() < 0.5
        self.single_rows = random.choice([1.0, 1.0, 0.97, 0.5])

    def spoils(self) -> bool:
        return self.random.random() < self.trouble

    def array(self, cells: list[str]) -> str:
        space = self.random.choice(["", " ", "  ", "\t"]) if self.spoils() else ""
        return "[" + f",{space}".join(cells) + space + "]"

    def object(self, members: Members) -> str:
        members = list(members)
        if self.spoils():
            del members[-1:]
        if self.spoils() and members:
            members.append(self.random.choice(members))
        if self.spoils():
            self.random.shuffle(members)
        if self.spoils():
            members.append((self.random.choice(MEMBERS), self.random.choice((*CELLS, "[[1]]", '{"a":[1]}'))))
        return "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"

    def odd(self, cell: str) -> str:
        return self.random.choice(CELLS) if self.spoils() else cell

    def feature(self, kind: str) -> str:
        random = self.random
        plain = {
            "integer": str(random.randint(-5, 10 ** random.choice([1, 3, 18]))),
            "string": json.dumps(random.choice(["x", "yy", "a b", "é", "", "null", "5"])),
            "double": repr(random.random() * 10.0 ** random.choice([-9, 0, 9])),
            "boolean": random.choice(["true", "false"]),
            "timestamp": random.choice([TIME, '"2024-01-19 19:27:57.5+05:30"']),
        }
        return self.odd(plain[kind])

    def row(self) -> list[str]:
        return [self.feature(kind) for kind in FEATURES.values()]

    def label(self) -> str:
        return self.odd(self.random.choice(["0", "1", "1.0"] if self.integer_labels else ['"A"', '"B"']))

    def score(self) -> str:
        return self.odd(repr(self.random.random()))

    def vector(self) -> str:
        score = self.random.random()
        return self.odd(self.array([repr(score), repr(1 - score)]))

    def count(self) -> int:
        return 1 if self.random.random() < self.single_rows else self.random.randint(0, 3)

    def text(self, document: str) -> str:
        return json.dumps(document, ensure_ascii=self.random.random() < 0.5)

    def event_id(self) -> str:
        return self.odd(f'"id-{self.random.randint(0, 10**9)}"')

    def line(self, record: str) -> bytes:
        line = bytearray(record.encode("utf-8", "surrogatepass"))
        for _ in range(self.random.randint(1, 3) if self.spoils() else 0):
            at = self.random.randrange(len(line) + 1)
            del line[at : at + self.random.choice([0, 0, 1, 4])]
            line[at:at] = self.random.choice(BYTES) if self.random.random() < 0.8 else b""
        return bytes(line).replace(b"\n", b" ")

    def fields_values(self, names: list[str], rows: list[list[str]]) -> str:
        members = [
            ("fields", self.array([f'"{name}"' for name in names])),
            ("values", self.array([self.array(row) for row in rows])),
        ]
        if self.spoils():
            ids = self.array([self.array([f'"t{i}"']) for i in range(len(rows))])
            members.append(("meta", self.object([("fields", '["transaction_id"]'), ("values", ids)])))
        return self.object(members)


class PayloadRecords(Writer):
    """OpenScale payload records."""

    def record(self) -> str:
        count = self.count()
        answers = [[self.label(), self.vector()] for _ in range(count + self.spoils())]
        request = self.fields_values(list(FEATURES), [self.row() for _ in range(count)])
        response = self.fields_values(["prediction", "probability"], answers)
        return self.object(
            [
                ("scoring_id", self.event_id()),
                ("scoring_timestamp", self.feature("timestamp")),
                ("request", self.text(request) if self.spoils() else request),
                ("response", self.text(response) if self.spoils() else self.odd(response)),
                ("response_time", self.odd(self.random.choice(["12", "3.5", "null", "2.5", "1e300"]))),
                ("asset_revision", self.odd("null")),
            ]
        )


class FlatRows(Writer):
    """Records of one scored row each."""

    def record(self) -> str:
        named = list(zip(FEATURES, self.row(), strict=True))
        outputs = [("prediction", self.label()), ("probability", self.vector())]
        return self.object([*named, *outputs, ("scoring_id", self.event_id()), ("scoring_timestamp", TIME)])


class Captures(Writer):
    """SageMaker captures, with one kind of request and one of response."""

    def __init__(self, random: Random, trouble: float) -> None:
        super().__init__(random, trouble)
        self.given: Callable[[int], tuple[str, str]] = random.choice(
            [self.csv_rows, self.feature_lines, self.instances, self.named_instances, self.tabular]
        )
        self.taken: Callable[[int], tuple[str, str]] = random.choice(
            [self.csv_answers, self.answer_lines, self.predictions]
        )

    def ending(self) -> str:
        return self.random.choice(["\n\n", "\r\n", " "]) if self.spoils() else self.random.choice(["", "\n"])

    def csv_cell(self, cell: str) -> str:
        try:
            value = json.loads(cell)
        except ValueError:
            return cell
        if isinstance(value, str):
            return f'"{value}"' if self.spoils() else value
        return "" if value is None else cell

    def csv_rows(self, count: int) -> tuple[str, str]:
        rows = "\n".join(",".join(map(self.csv_cell, self.row())) for _ in range(count))
        return "text/csv", (
            self.random.choice(["\ufeff", "\n", '"']) if self.spoils() else ""
        ) + rows + self.ending()

    def feature_lines(self, count: int) -> tuple[str, str]:
        rows = [self.object([("features", self.array(self.row()))]) for _ in range(count)]
        return "application/jsonlines", ("," if self.spoils() else "\n").join(rows) + self.ending()

    def instances(self, count: int) -> tuple[str, str]:
        rows = [self.object([("features", self.array(self.row()))]) for _ in range(count)]
        return "application/json", self.object([("instances", self.array(rows))])

    def named_instances(self, count: int) -> tuple[str, str]:
        rows = [self.object(list(zip(FEATURES, self.row(), strict=True))) for _ in range(count)]
        return "application/json", self.object([("instances", self.array(rows))])

    def tabular(self, count: int) -> tuple[str, str]:
        return "application/json", self.fields_values(list(FEATURES), [self.row() for _ in range(count)])

    def answer(self) -> str:
        return self.object([("predicted_label", self.label()), ("score", self.score())])

    def csv_answers(self, count: int) -> tuple[str, str]:
        rows = [f"{self.csv_cell(self.label())},{self.csv_cell(self.score())}" for _ in range(count)]
        return "text/csv", "\n".join(rows) + self.ending()

    def answer_lines(self, count: int) -> tuple[str, str]:
        return "application/jsonlines", "\n".join(self.answer() for _ in range(count)) + self.ending()

    def predictions(self, count: int) -> tuple[str, str]:
        return "application/json", self.object(
            [("predictions", self.array([self.answer() for _ in range(count)]))]
        )

    def side(self, content_type: str | None, data: str) -> str:
        encoding = "CSV" if content_type == "text/csv" else "JSON"
        if self.spoils():
            encoding, data = "BASE64", base64.b64encode(data.encode("utf-8", "surrogatepass")).decode()
        if self.spoils():
            content_type = self.random.choice([None, "text/plain", "application/x-npy", "TEXT/CSV; x=y"])
        members = [
            ("observedContentType", json.dumps(content_type)),
            ("mode", '"INPUT"'),
            ("data", self.text(data)),
        ]
        return self.object([*members, ("encoding", json.dumps(encoding))])

    def record(self) -> str:
        count = self.count()
        sides = [
            ("endpointInput", self.side(*self.given(count))),
            ("endpointOutput", self.side(*self.taken(count + self.spoils()))),
        ]
        metadata = [
            ("eventId", self.event_id()),
            ("inferenceId", self.odd('"k"')),
            ("inferenceTime", self.odd(TIME)),
        ]
        return self.object([("captureData", self.object(sides)), ("eventMetadata", self.object(metadata))])


def troubled_log(seed: int, trouble: float = 0.02) -> Log:
    """A log of up to a dozen records; equal seeds give equal logs."""
    random = Random(seed)
    kind = random.choice([PayloadRecords, FlatRows, Captures, Captures])
    writer = kind(random, trouble)
    labels: list[str | int] = [0, 1] if writer.integer_labels else ["A", "B"]
    label = random.choice(["prediction", "prediction", "ignore"])
    subscription = declare(
        "amazon_sagemaker" if kind is Captures else "custom_machine_learning",
        FEATURES,
        labels,
        response={"predicted_label": label, "score": f"P({labels[1]})"} if kind is Captures else None,
        prediction="integer" if writer.integer_labels else "string",
        meta={"transaction_id": "string"} if random.random() < 0.1 else None,
        **random.choice([{}, {}, {"timezone": "Europe/Berlin"}, {"timestamp": "last_modified"}]),
    )
    return Log(subscription, [writer.line(writer.record()) for _ in range(random.randint(1, 12))])
