"""The ``judgement`` section and what else takes training data: defaults, overrides and mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from credit_training import subscription
from pydantic import ValidationError

from paylog.subscription import Subscription
from paylog.subscription.section import problems_of


def mistakes(**changes: Any) -> list[str]:
    with pytest.raises(ValidationError) as error:
        subscription(**changes)
    return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems_of(error.value)]


def test_a_column_takes_what_it_does_not_say_from_all() -> None:
    columns = {"amount": {"distance": 0.3, "missing": None}, "purpose": {"severity": "error"}}
    judgement = subscription(judgement={"unseen": 0.01, "severity": "ignore", "columns": columns}).judgement
    assert judgement.limits("rate") == (0.01, 0.01, 0.05, 0.0, 0.1, "ignore")
    assert judgement.limits("amount") == (0.01, 0.01, None, 0.0, 0.3, "ignore")
    assert judgement.limits("purpose") == (0.01, 0.01, 0.05, 0.0, 0.1, "error")


@pytest.mark.parametrize(
    "settings",
    [{}, {"judgement": {"columns": {"amount": {"missing": None}, "purpose": {"severity": "error"}}}}],
)
def test_the_document_reads_back_the_same(settings: dict[str, Any]) -> None:
    given = subscription(require=["training_data"], monitors=["drift"], **settings)
    again = Subscription.model_validate(given.document())
    assert again == given
    assert again.judgement.limits("amount") == given.judgement.limits("amount")
    without = subscription(training_data=None)
    assert Subscription.model_validate(without.document()) == without


def test_a_gate_that_nothing_could_shut_is_a_mistake() -> None:
    (gate,) = mistakes(judgement={"gate": "error"})
    assert gate.startswith("judgement.gate: no finding can be an error")
    assert mistakes(judgement={"gate": "error", "columns": {"amount": {"severity": "warning"}}}) == [gate]
    subscription(judgement={"gate": "error", "severity": "error"})
    subscription(judgement={"gate": "error", "columns": {"amount": {"severity": "error"}}})


def test_a_column_that_is_not_there() -> None:
    (problem,) = mistakes(judgement={"columns": {"ammount": {"distance": 0.2}}})
    assert problem == "judgement.columns.ammount: 'ammount' is no declared field, did you mean 'amount'?"


def test_what_takes_training_data_where_there_is_none() -> None:
    found = mistakes(training_data=None, require=["training_data"], judgement={"min_rows": 10})
    assert [problem.partition(":")[0] for problem in found] == ["require", "judgement"]
    assert all("declare training_data" in problem for problem in found)


def test_shares_are_shares() -> None:
    found = mistakes(judgement={"distance": 1.5, "min_rows": 0, "unsen": 0.1})
    assert len(found) == 3
    assert any("did you mean 'unseen'" in problem for problem in found)
