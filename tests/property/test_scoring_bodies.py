"""Bodies of MLflow, SPSS and Vertex AI with every kind of trouble: the ways to decode agree."""

from __future__ import annotations

import json
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from troubled_logs import FEATURES, TIME, Writer

from paylog.testing.decoded import Path, declare, outcome

LABELS = ("A", "B")
MORE = ("inputs", "outputs", "dataframe_split", "dataframe_records", "columns", "index", "rowValues", "data")


class InferenceRows(Writer):
    """Rows of an inference table, all of which have one or two shapes of request and of response."""

    def __init__(self, random: Random, trouble: float) -> None:
        super().__init__(random, trouble)
        self.integer_labels = False
        self.given = random.sample([self.split, self.records, self.lists, self.columns, self.spss], 2)
        self.taken = random.sample([self.named, self.positional, self.columnar, self.values], 2)
        self.main = random.choice([1.0, 0.9])

    def label(self) -> str:
        return self.odd(self.random.choice(['"A"', '"B"']))

    def one_of(self, shapes: list[object]) -> object:
        return shapes[self.random.random() > self.main]

    def object(self, members: list[tuple[str, str]]) -> str:
        if self.spoils():
            members = [
                *members,
                (self.random.choice(MORE), self.random.choice(("[]", "{}", '{"a":[1]}', "1"))),
            ]
        return super().object(members)

    def split(self, count: int) -> str:
        rows = self.array([self.array(self.row()) for _ in range(count)])
        names = self.array([json.dumps(self.odd(name)) for name in FEATURES])
        members = [("index", self.array(list(map(str, range(count))))), ("columns", names), ("data", rows)]
        return self.object([("dataframe_split", self.object(members[self.spoils() :]))])

    def records(self, count: int) -> str:
        rows = [self.object(list(zip(FEATURES, self.row(), strict=True))) for _ in range(count)]
        return self.object([("dataframe_records", self.array(rows))])

    def lists(self, count: int) -> str:
        key = "inputs" if self.spoils() else "instances"
        return self.object([(key, self.array([self.array(self.row()) for _ in range(count)]))])

    def columns(self, count: int) -> str:
        columns = [
            (name, self.odd(self.array([self.feature(kind) for _ in range(count + self.spoils())])))
            for name, kind in FEATURES.items()
        ]
        return self.object([("inputs", self.object(columns))])

    def spss(self, count: int) -> str:
        def cell(name: str, value: str) -> str:
            return self.object([("name", self.odd(f'"{name}"')), ("value", value)])

        rows = [
            self.object([("input", self.array(list(map(cell, FEATURES, self.row()))))]) for _ in range(count)
        ]
        table = self.object([("requestInputRow", self.array(rows))])
        return self.object([("requestInputTable", self.array([table]))])

    def named(self, count: int) -> str:
        rows = [self.object([("label", self.label()), ("v", self.vector())]) for _ in range(count)]
        return self.object([("predictions", self.array(rows))])

    def positional(self, count: int) -> str:
        rows = [self.array([self.label(), self.vector()]) for _ in range(count)]
        return self.object([("predictions", self.array(rows))])

    def columnar(self, count: int) -> str:
        labels = self.array([self.label() for _ in range(count)])
        vectors = self.array([self.vector() for _ in range(count)])
        return self.object([("predictions", self.object([("label", labels), ("v", vectors)]))])

    def values(self, count: int) -> str:
        def cells() -> str:
            return self.array([self.object([("value", cell)]) for cell in (self.label(), self.vector())])

        names = self.object([("name", '["label","v"]')])
        rows = self.array([self.object([("value", cells())]) for _ in range(count)])
        return self.object([("columnNames", names), ("rowValues", rows)])

    def record(self) -> str:
        count = self.count()
        request, response = self.one_of(self.given), self.one_of(self.taken)
        members = [
            ("databricks_request_id", self.event_id()),
            ("request_time", TIME),
            ("request", self.text(request(count))),  # type: ignore[operator]
            ("response", self.text(response(count + self.spoils()))),  # type: ignore[operator]
        ]
        return "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"


SUBSCRIPTION = declare("databricks", FEATURES, LABELS, response={"label": "prediction", "v": "probability"})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48), trouble=st.sampled_from([0.0, 0.005, 0.02, 0.1]))
def test_paths_agree_and_nothing_is_lost(seed: int, trouble: float) -> None:
    random = Random(seed)
    writer = InferenceRows(random, trouble)
    lines = [writer.line(writer.record()) for _ in range(random.randint(1, 12))]
    native, *others = (outcome(SUBSCRIPTION, b"\n".join(lines), path) for path in Path)
    assert others == [native] * 3
    assert native.balanced
    assert native.read >= len(lines)
    if not trouble and writer.single_rows == 1.0:
        assert len(native.rows) == len(lines)
