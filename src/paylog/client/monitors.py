"""``subscription.fairness_monitoring`` and the other monitors: kept as configuration, held against the rules.

paylog computes no monitor. What it does: refuse what cannot be had, with the rule and its source
(``paylog.capabilities``), keep what is enabled, and prepare the feedback table for quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from paylog.capabilities import Effect, Rule, capabilities, declared_facts
from paylog.errors import ConfigurationError
from paylog.model_schema import FieldType
from paylog.subscription.monitors import Monitor
from paylog.training_status import UNCHECKED, TrainingStatus

if TYPE_CHECKING:
    from paylog.client.subscription import SubscriptionClient
    from paylog.client.supporting_classes.feature import Feature
    from paylog.data_mart.registry import SubscribedAsset

CONFIGURATIONS: Mapping[Monitor, str] = {
    Monitor.FAIRNESS: "fairness_monitoring",
    Monitor.QUALITY: "quality_monitoring",
    Monitor.EXPLAINABILITY: "explainability",
    Monitor.DRIFT: "drift_monitoring",
}
"""Names of the monitors' configurations, as v1 calls them."""
_STORES = {"db2": "db2", "cos": "cos", "cloudobjectstorage": "cos", "cloud_object_storage": "cos"}


class MonitorClient:
    """One monitor of a subscription."""

    monitor: ClassVar[Monitor]

    def __init__(self, subscription: SubscriptionClient) -> None:
        self._subscription = subscription

    def get_details(self) -> dict[str, Any]:
        """Whether it is enabled, its ``parameters``, and the ``override`` that it was enabled by, if any."""
        asset = self._subscription.asset
        kept = asset.configurations.get(CONFIGURATIONS[self.monitor]) if asset else None
        return dict(kept) if kept else {"enabled": False, "parameters": {}}

    def disable(self) -> None:
        """Disable it; its parameters stay."""
        _keep(self._subscription, self.monitor, {**self.get_details(), "enabled": False})


class FairnessMonitoring(MonitorClient):
    """The bias monitor."""

    monitor = Monitor.FAIRNESS

    def enable(
        self,
        features: Sequence[Feature] | None = None,
        deployment_uid: str | None = None,
        favourable_classes: Sequence[Any] | None = None,
        unfavourable_classes: Sequence[Any] | None = None,
        min_records: int | None = None,
        *,
        override_reason: str | None = None,
    ) -> None:
        """Enable it. :raises ConfigurationError: a rule says that it cannot be had; names rule and source."""
        parameters = {
            "features": [feature.as_dict() for feature in features or ()],
            "favourable_class": list(favourable_classes or ()),
            "unfavourable_class": list(unfavourable_classes or ()),
            "min_records": min_records,
        }
        enable(self._subscription, self.monitor, parameters, override_reason)


class QualityMonitoring(MonitorClient):
    """The quality (accuracy) monitor."""

    monitor = Monitor.QUALITY

    def enable(
        self,
        threshold: float,
        min_records: int,
        max_records: int | None = None,
        *,
        override_reason: str | None = None,
    ) -> None:
        """Enable it, and make the feedback table. :raises ConfigurationError: as the other monitors'."""
        parameters: dict[str, Any] = {
            "evaluation_definition": {"threshold": threshold},
            "min_feedback_data_size": min_records,
        }
        if max_records is not None:
            parameters["max_rows_per_evaluation"] = max_records
        enable(self._subscription, self.monitor, parameters, override_reason)


class Explainability(MonitorClient):
    """Explanations of single predictions."""

    monitor = Monitor.EXPLAINABILITY

    def enable(
        self,
        training_data_statistics: Mapping[str, Any] | None = None,
        *,
        override_reason: str | None = None,
    ) -> None:
        """Enable it. :raises ConfigurationError: a rule says that it cannot be had; names rule and source."""
        parameters = {"training_statistics": dict(training_data_statistics or {})}
        enable(self._subscription, self.monitor, parameters, override_reason)


class DriftMonitoring(MonitorClient):
    """The drift monitor."""

    monitor = Monitor.DRIFT

    def enable(self, threshold: float, min_records: int, *, override_reason: str | None = None) -> None:
        """Enable it. :raises ConfigurationError: a rule says that it cannot be had; names rule and source."""
        parameters = {"drift_threshold": threshold, "min_samples": min_records}
        enable(self._subscription, self.monitor, parameters, override_reason)


def enable(
    subscription: SubscriptionClient, monitor: Monitor, parameters: Mapping[str, Any], reason: str | None
) -> None:
    """Enable a monitor that the rules allow, or for a reason that is kept with it.

    :raises ConfigurationError: a rule says that it cannot be had, and no reason overrides it.
    """
    refused = _refused(subscription, monitor, parameters)
    kept: dict[str, Any] = {"enabled": True, "parameters": dict(parameters)}
    if refused:
        if not reason or not reason.strip():
            raise ConfigurationError([_refusal(subscription.uid, monitor, rule) for rule in refused])
        kept["override"] = {
            "reason": reason.strip(),
            "rules": [{"id": r.id, "because": r.because, "source": r.source} for r in refused],
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    _keep(subscription, monitor, kept)
    if monitor is Monitor.QUALITY:
        subscription.feedback_logging.prepare()


def _refused(subscription: SubscriptionClient, monitor: Monitor, parameters: Mapping[str, Any]) -> list[Rule]:
    facts = _facts(subscription)
    if monitor is Monitor.FAIRNESS and (names := _compared(parameters)):
        boolean = names & _boolean_fields(subscription)
        facts["fairness_attributes"] = "boolean" if boolean else "declared"
    (verdict,) = [v for v in capabilities().verdicts(facts) if v.monitor is monitor]
    return [rule for rule in verdict.rules if rule.effect is Effect.UNAVAILABLE]


def _refusal(uid: str, monitor: Monitor, rule: Rule) -> str:
    return (
        f"subscription {uid}: {monitor.value} cannot be enabled. {rule.because} {rule.remedy} "
        f"(rule {rule.id}; {rule.source}). To enable it all the same, give override_reason."
    )


def _facts(subscription: SubscriptionClient) -> dict[str, str]:
    """What the rules ask for; of training data that nothing can check, no status is among it."""
    mart, asset = subscription.client.mart, subscription.asset
    payload = {"payload": "loaded" if mart.has_payload(subscription.uid) else "none"}
    if asset is None:
        declared = subscription.declared()
        status = TrainingStatus.of(declared, mart)
        state = {"training_data_status": status.state if status else UNCHECKED}
        return declared_facts(declared) | state | payload
    check = next(iter(mart.training.checks(subscription.uid)), None)
    state = {"training_data_status": check.status.value} if check else {}
    provider = subscription.client.bindings.get(asset.binding_id).service_type
    return {**_described(asset), "service_provider": provider, **state, **payload}


def _described(asset: SubscribedAsset) -> dict[str, str]:
    properties = asset.properties
    reference = properties.get("training_data_reference") or {}
    framework = asset.asset.get("model_type") or properties.get("model_type")
    facts = {
        "asset_type": str(asset.asset.get("asset_type") or "model"),
        "input_data_type": str(properties.get("input_data_type") or "structured"),
        "probability": "declared" if properties.get("probability_fields") else "missing",
        "label": "declared" if properties.get("label_column") else "missing",
        "training_data": _STORES.get(str(reference.get("type")).lower(), "none"),
        "fairness_attributes": "missing",
    }
    if properties.get("problem_type"):
        facts["problem_type"] = str(properties["problem_type"])
    return facts | ({"framework": str(framework).lower()} if framework else {})


def _compared(parameters: Mapping[str, Any]) -> set[str]:
    features = parameters.get("features")
    listed = features if isinstance(features, list) else []
    return {str(one.get("feature")) if isinstance(one, Mapping) else str(one) for one in listed}


def _boolean_fields(subscription: SubscriptionClient) -> set[str]:
    if subscription.client.mart.registry.document(subscription.uid) is None:
        return set()
    fields = subscription.declared().model_schema.fields
    return {field.name for field in fields if field.type is FieldType.BOOLEAN}


def _keep(subscription: SubscriptionClient, monitor: Monitor, configuration: dict[str, Any]) -> None:
    if subscription.asset is None:
        raise ConfigurationError(
            f"subscription {subscription.uid} is declared in a file: name it there, under monitors"
        )
    subscription.client.mart.registry.configure(subscription.uid, CONFIGURATIONS[monitor], configuration)
