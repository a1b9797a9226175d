"""The rules of which monitors a subscription can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from credit_training import FIELDS, subscription

from paylog.capabilities import FACTS, capabilities, declared_facts, refusals
from paylog.errors import ConfigurationError
from paylog.subscription.monitors import Monitor

# Everything in order: each monitor can be had.
GOOD = {
    "asset_type": "model",
    "input_data_type": "structured",
    "problem_type": "binary",
    "service_provider": "custom_machine_learning",
    "probability": "declared",
    "label": "declared",
    "training_data": "db2",
    "training_data_status": "passed",
    "fairness_attributes": "declared",
    "payload": "loaded",
}


def answers(**facts: str) -> dict[str, str]:
    return {v.monitor.value: v.answer for v in capabilities().verdicts(GOOD | facts) if v.answer != "yes"}


def test_everything_in_order_has_every_monitor() -> None:
    assert answers() == {}
    assert answers(training_data="cos", training_data_status="warning") == {}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"asset_type": "function"}, {"quality": "no", "explainability": "no", "drift": "no"}),
        ({"training_data": "none"}, {"fairness": "no", "explainability": "no", "drift": "no"}),
        ({"training_data_status": "unchecked"}, {"fairness": "no", "explainability": "no", "drift": "no"}),
        ({"training_data_status": "error"}, {"fairness": "no", "explainability": "no", "drift": "no"}),
        ({"fairness_attributes": "missing"}, {"fairness": "no"}),
        ({"fairness_attributes": "boolean", "training_data": "cos"}, {"fairness": "no"}),
        ({"fairness_attributes": "boolean"}, {}),
        ({"input_data_type": "unstructured_text"}, {"fairness": "no", "drift": "no"}),
        ({"problem_type": "regression", "probability": "missing"}, {"drift": "limited"}),
        ({"framework": "keras"}, {"fairness": "no"}),
        ({"framework": "keras", "probability": "missing"}, {"fairness": "no", "explainability": "no"}),
        (
            {"framework": "spss", "problem_type": "multiclass", "probability": "missing"},
            {"explainability": "no"},
        ),
        ({"service_provider": "amazon_sagemaker", "framework": "blazingtext"}, dict.fromkeys(Monitor, "no")),
        ({"label": "missing"}, {"quality": "no"}),
        ({"payload": "none"}, dict.fromkeys(Monitor, "no")),
    ],
)
def test_what_each_fact_costs(facts: dict[str, str], expected: dict[str, str]) -> None:
    assert answers(**facts) == expected


def test_every_rule_is_needed_once_and_has_its_source() -> None:
    """Each rule counts in some case above and says why, what to do and where it is from."""
    rules = capabilities().rules
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        facts = GOOD | {fact: values[0] for fact, values in rule.when.items()}
        assert rule.counts(facts)
        assert not rule.counts(GOOD)
        assert rule.because
        assert rule.remedy
        assert rule.source


def test_facts_of_a_subscription_are_known_to_the_rules() -> None:
    fairness = {
        "favourable": ["No Risk"],
        "unfavourable": ["Risk"],
        "attributes": [{"feature": "purpose", "majority": ["car"], "minority": ["repairs"]}],
    }
    facts = declared_facts(subscription(fairness=fairness, deployment={"id": "x", "framework": "Keras"}))
    assert facts["training_data"] == "cos"
    assert facts["label"] == "declared"
    assert facts["probability"] == "missing"
    assert facts["fairness_attributes"] == "declared"
    assert facts["framework"] == "keras"
    for fact, value in facts.items():
        assert value in (FACTS[fact] or (value,))


def test_a_boolean_fairness_attribute_is_told_apart() -> None:
    fairness = {
        "favourable": ["No Risk"],
        "unfavourable": ["Risk"],
        "attributes": [{"feature": "owner", "majority": ["true"], "minority": ["false"]}],
    }
    assert declared_facts(subscription(fairness=fairness))["fairness_attributes"] == "boolean"


def test_a_wanted_monitor_is_refused_with_rule_and_source() -> None:
    function = subscription(
        deployment={"id": "x", "asset_type": "function"}, monitors=["quality", "explainability", "fairness"]
    )
    lines = refusals(function, capabilities())
    assert len(lines) == 3
    assert "quality cannot be had. A Python function" in lines[1]
    assert "wos-connect-ml.md" in lines[1]
    assert refusals(subscription(monitors=["quality"]), capabilities()) == []


def test_other_rules_by_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rules.yaml"
    rule: dict[str, Any] = {
        "id": "mine", "monitors": "[quality]", "when": "{problem_type: [multiclass]}",
        "effect": "unavailable", "because": "We do not.", "remedy": "None.", "source": "us",
    }  # fmt: skip
    file.write_text("rules:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in rule.items()))
    monkeypatch.setenv("PAYLOG_CAPABILITIES", str(file))
    assert answers(asset_type="function", problem_type="multiclass") == {"quality": "no"}
    file.write_text(file.read_text().replace("problem_type:", "problem_typ:").replace("quality", "bias"))
    with pytest.raises(ConfigurationError) as error:
        capabilities()
    assert len(error.value.problems) == 2, error.value.problems
    assert "did you mean 'problem_type'?" in str(error.value)
    assert all(f"{file}:" in problem for problem in error.value.problems)


def test_the_shipped_rules_name_no_unknown_fact() -> None:
    assert {fact for rule in capabilities().rules for fact in rule.when} <= set(FACTS)
    assert len(FIELDS) == len(subscription().model_schema.fields)
