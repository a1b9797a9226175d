"""Which monitors a subscription can have: rules that are configuration, applied to facts.

The rules that ship are in ``capabilities.yaml``; ``PAYLOG_CAPABILITIES`` names a file of other ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from paylog.errors import ConfigurationError
from paylog.field import FieldType, Role
from paylog.subscription.monitors import Monitor
from paylog.subscription.names import Text
from paylog.subscription.section import Problem, Section, did_you_mean, problems_of
from paylog.subscription.yaml_document import YamlDocument

if TYPE_CHECKING:
    from paylog.subscription import Subscription

RULES_VARIABLE = "PAYLOG_CAPABILITIES"
DEFAULT_RULES = Path(__file__).with_suffix(".yaml")

FACTS: Mapping[str, tuple[str, ...] | None] = {
    "asset_type": ("model", "function"),
    "framework": None,
    "input_data_type": ("structured", "unstructured_text", "unstructured_image"),
    "problem_type": ("binary", "multiclass", "regression"),
    "service_provider": None,
    "probability": ("declared", "missing"),
    "label": ("declared", "missing"),
    "training_data": ("none", "db2", "cos"),
    "training_data_status": ("unchecked", "error", "warning", "passed"),
    "fairness_attributes": ("declared", "boolean", "missing"),
    "payload": ("loaded", "none"),
}
"""What a rule may ask for, and the values that are possible (None: any)."""


class Effect(StrEnum):
    """What a rule says of a monitor."""

    UNAVAILABLE = "unavailable"
    LIMITED = "limited"


class Rule(Section):
    """One reason why some monitors cannot be had, or only in part."""

    id: Text
    monitors: tuple[Monitor, ...]
    when: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]
    effect: Effect
    because: Text
    remedy: Text
    source: Text

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        conditions = data.get("when")
        for fact, values in conditions.items() if isinstance(conditions, Mapping) else ():
            if fact not in FACTS:
                hint = did_you_mean(fact, FACTS) or f"; there are {', '.join(FACTS)}"
                yield Problem(("when", str(fact)), f"{fact!r} is no fact{hint}")
                continue
            known = FACTS[fact] or ()
            wrong = (
                [v for v in values if v not in known] if known and isinstance(values, list | tuple) else []
            )
            for value in wrong:
                yield Problem(("when", fact), f"{value!r} is no value of it; there are {', '.join(known)}")

    def counts(self, facts: Mapping[str, str]) -> bool:
        """Whether every fact has one of the values listed; an unknown fact never has."""
        return all(facts.get(fact) in values for fact, values in self.when.items())


class Capabilities(Section):
    """The table of rules."""

    monitors: tuple[Monitor, ...] = tuple(Monitor)
    rules: tuple[Rule, ...] = ()

    def verdicts(self, facts: Mapping[str, str]) -> list[Verdict]:
        """One verdict a monitor, in the order of the table.

        :param facts: fact → value, see ``FACTS``.
        """
        found = [rule for rule in self.rules if rule.counts(facts)]
        return [Verdict(m, tuple(rule for rule in found if m in rule.monitors)) for m in self.monitors]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a subscription can have a monitor, and the rules that say no or only in part."""

    monitor: Monitor
    rules: tuple[Rule, ...] = ()

    @property
    def answer(self) -> str:
        """``yes``, ``limited`` or ``no``."""
        effects = {rule.effect for rule in self.rules}
        return "no" if Effect.UNAVAILABLE in effects else "limited" if effects else "yes"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        names = ("id", "effect", "because", "remedy", "source")
        return {
            "monitor": self.monitor.value,
            "answer": self.answer,
            "rules": [{name: str(getattr(rule, name)) for name in names} for rule in self.rules],
        }


def capabilities(path: Path | None = None) -> Capabilities:
    """The rules of a file; by default those that ``PAYLOG_CAPABILITIES`` names, else the ones that ship.

    :raises ConfigurationError: every mistake of the file, with its line.
    """
    document = YamlDocument.read(path or Path(os.environ.get(RULES_VARIABLE) or DEFAULT_RULES))
    mistakes = document.problems
    if document.content is not None and not mistakes:
        try:
            return Capabilities.model_validate(document.content)
        except ValidationError as error:
            mistakes = document.describe(problems_of(error))
    raise ConfigurationError(mistakes)


def declared_facts(subscription: Subscription) -> dict[str, str]:
    """What a subscription says of itself; ``training_data_status`` and ``payload`` are not among it."""
    deployment, schema = subscription.deployment, subscription.declared_schema
    reference, fairness = subscription.training_data, subscription.fairness
    compared = {attribute.feature for attribute in fairness.attributes} if fairness else set()
    boolean = any(f.type is FieldType.BOOLEAN for f in schema.fields if f.name in compared)
    roles = {f.role for f in schema.fields}
    facts = {
        "asset_type": deployment.asset_type.value,
        "input_data_type": deployment.input_data_type.value,
        "problem_type": schema.problem_type.value,
        "service_provider": subscription.service_provider.value,
        "probability": "declared" if Role.PROBABILITY in roles else "missing",
        "label": "declared" if Role.TARGET in roles else "missing",
        "training_data": reference.type if reference else "none",
        "fairness_attributes": "boolean" if boolean else "declared" if compared else "missing",
    }
    return facts | ({"framework": deployment.framework.lower()} if deployment.framework else {})


def refusals(subscription: Subscription, rules: Capabilities) -> list[str]:
    """Why monitors that the subscription wants cannot be had, whatever its training data is like."""
    verdicts = rules.verdicts(declared_facts(subscription))
    return [
        f"{subscription.id}: monitors: {verdict.monitor.value} cannot be had. {rule.because} {rule.remedy} "
        f"(rule {rule.id}; {rule.source})"
        for verdict in verdicts
        if verdict.monitor in subscription.monitors
        for rule in verdict.rules
        if rule.effect is Effect.UNAVAILABLE
    ]
