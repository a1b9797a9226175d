"""A model on Azure Machine Learning, whose requests and responses are collected apart."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from paylog.data_mart.session import quoted
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS, CollectorLog
from paylog.testing.exactly_once.books import Rows, ask, assert_balanced
from paylog.testing.exactly_once.served_model import DAY, subscription_of
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect

LAYOUT = "{model_inputs,model_outputs}/%Y/%m/%d/%H/"


def collector(name: str = "collected", **sections: Any) -> Subscription:
    """The subscription; sections are added to or put in place of the usual ones."""
    sections = {"error_budget": {"share": None}, **sections}
    sections["logs"] = {"layout": LAYOUT, **sections.get("logs", {})}
    return subscription_of(name, "azure_machine_learning_service", CREDIT_RISK, "string", {}, sections)


@dataclass(frozen=True)
class Calls:
    """Some scored calls of one or two rows, one in six of them defective, as lines of either side."""

    count: int

    @cached_property
    def lines(self) -> dict[str, list[bytes]]:
        defects = {Defect.TYPE_MISMATCH: self.count // 12, Defect.ROW_COUNT_MISMATCH: self.count // 12}
        log = CollectorLog(
            model=CREDIT_RISK,
            start=DAY.start,
            end=DAY.end,
            records=self.count,
            rows_per_record=2,
            defects=defects,
        )
        return {one.key.partition("/")[0]: one.data.splitlines(keepends=True) for one in log.objects()}

    def of(self, side: str, *numbers: int) -> bytes:
        """Lines of one side of these calls."""
        return b"".join(self.lines[side][number] for number in numbers)

    def key_of(self, number: int) -> str:
        """Correlation id of a call."""
        found: str = json.loads(self.lines[INPUTS][number])["correlationid"]
        return found


def inputs(hour: int, name: str = "blob") -> str:
    """Key of an object of requests."""
    return f"{INPUTS}/2024/03/04/{hour:02d}/{name}.jsonl"


def outputs(hour: int, name: str = "blob") -> str:
    """Key of an object of responses."""
    return f"{OUTPUTS}/2024/03/04/{hour:02d}/{name}.jsonl"


@dataclass(frozen=True)
class PairedBooks:
    """What a data mart holds of pairs, whichever object a row or a reject was counted with."""

    rows: Rows
    rejects: Counter[tuple[Any, ...]]
    waiting: Counter[tuple[Any, ...]]


def paired_books(subscription: Subscription) -> PairedBooks:
    """Read the books, and check that they balance."""
    assert_balanced(subscription)
    schema, mine = subscription.data_mart.schema_name, f"subscription_id = '{subscription.id}'"
    names = [c.name for c in subscription.model_schema.columns if c.name not in _ORIGIN]
    chosen, table = ", ".join(map(quoted, names)), quoted(schema, f"Payload_{subscription.id}")
    rows = ask(f"SELECT {chosen} FROM {table} ORDER BY scoring_timestamp, _record_id")
    rejects = ask(
        'SELECT "row", "rows", reason, column_name, raw '
        f"FROM {quoted(schema, 'paylog_quarantine')} WHERE {mine} AND state = 'open'"
    )
    waiting = ask(
        f"SELECT request, body, coalesce(raw, body) FROM {quoted(schema, 'paylog_pending')} WHERE {mine}"
    )
    return PairedBooks(rows, Counter(rejects), Counter(waiting))


_ORIGIN = ("_object_id", "_position", "_partner_id", "_partner_position")
