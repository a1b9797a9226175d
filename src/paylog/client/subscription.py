"""One subscription in the client: its details, its payload and feedback records, its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from paylog.client.feedback_logging import FeedbackLogging
from paylog.client.monitors import DriftMonitoring, Explainability, FairnessMonitoring, QualityMonitoring
from paylog.client.payload_logging import PayloadLogging, struct_of
from paylog.client.proposal import model_schema
from paylog.errors import ConfigurationError
from paylog.subscription import Subscription
from paylog.subscription.section import problems_of

if TYPE_CHECKING:
    from paylog.client.data_mart import DataMartClient
    from paylog.data_mart.registry import SubscribedAsset

_NOT_YET = (
    "its schema is not known yet: store payload records first, "
    "or give subscriptions.add a training_data_schema"
)


def declared(document: Mapping[str, Any]) -> Subscription:
    """The subscription that a document declares; the same one for the same document.

    :raises ConfigurationError: everything that is wrong with it.
    """
    return _declared(msgspec.json.encode(document))


@lru_cache(maxsize=256)
def _declared(document: bytes) -> Subscription:
    content = msgspec.json.decode(document)
    try:
        return Subscription.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems_of(error)]
        raise ConfigurationError(f"subscription {content.get('id')}: {'; '.join(problems)}") from None


class SubscriptionClient:
    """A subscription of the data mart.

    :param uid: its id; names its payload table too.
    """

    def __init__(self, client: DataMartClient, uid: str) -> None:
        self.client = client
        self.uid = uid
        self.payload_logging = PayloadLogging(self)
        self.feedback_logging = FeedbackLogging(self)
        self.fairness_monitoring = FairnessMonitoring(self)
        self.quality_monitoring = QualityMonitoring(self)
        self.explainability = Explainability(self)
        self.drift_monitoring = DriftMonitoring(self)

    def __repr__(self) -> str:
        return f"SubscriptionClient(uid={self.uid!r})"

    @property
    def asset(self) -> SubscribedAsset | None:
        """What was subscribed in Python; None for a subscription that came from a YAML file."""
        return self.client.mart.registry.asset(self.uid)

    def declared(self) -> Subscription:
        """The subscription as a DAG would load it.

        :raises ConfigurationError: its model schema is not known yet.
        """
        return self._declared(self.client.mart.registry.document(self.uid))

    def _declared(self, document: Mapping[str, Any] | None) -> Subscription:
        if document is None:
            raise ConfigurationError(f"subscription {self.uid}: {_NOT_YET}")
        return declared(document)

    def declare(self, records: bytes) -> Subscription:
        """The subscription, with the model schema that the first records show if it has none.

        :raises ConfigurationError: they show none, or one that cannot be declared.
        """
        document = self.client.mart.registry.document(self.uid)
        if document is not None:
            return declared(document)
        if (asset := self.asset) is None:
            return self.declared()
        binding = self.client.bindings.get(asset.binding_id)
        mart = self.client.mart
        described = {
            "id": self.uid,
            "service_provider": binding.service_type,
            "deployment": {"id": asset.deployment["deployment_id"], "name": asset.deployment["name"]},
            "logs": {"prefix": f"{asset.deployment['deployment_id']}/"},
            "model_schema": model_schema(asset.properties, records),
            "data_mart": {"connection": self._connection(), "schema": mart.schema},
            "error_budget": {"share": None},
        }
        subscription = declared(described)
        mart.ensure(subscription)
        return subscription

    def get_details(self) -> dict[str, Any]:
        """The subscription in the words of IBM's client."""
        return self.details(self.asset, self.client.mart.registry.document(self.uid))

    def details(self, asset: SubscribedAsset | None, document: Mapping[str, Any] | None) -> dict[str, Any]:
        """``get_details`` of what was read already.

        :param document: None before it has a payload table.
        """
        if asset is None:
            return self._details_of(self._declared(document))
        mart, binding = self.client.data_mart_id, asset.binding_id
        schema = {"output_data_schema": struct_of(declared(document).model_schema)} if document else {}
        url = f"/v1/data_marts/{mart}/service_bindings/{binding}/subscriptions/{self.uid}"
        return {
            "metadata": {"guid": self.uid, "url": url, "created_at": asset.created_at.isoformat()},
            "entity": {
                "asset": {"url": "", "created_at": asset.created_at.isoformat(), **asset.asset},
                "asset_properties": {**asset.properties, **schema},
                "deployments": [asset.deployment],
                "service_binding_id": asset.binding_id,
                "configurations": asset.configurations,
                "status": {"state": "active"},
            },
        }

    def get_deployment_uids(self) -> list[str]:
        """Id of the deployment, in a list."""
        asset = self.asset
        return [self.declared().deployment.id if asset is None else asset.deployment["deployment_id"]]

    def to_yaml(self, path: Path | str | None = None) -> str:
        """The subscription as a file that a DAG can be scheduled from; written to ``path`` if given.

        Say in it where the engine drops its logs (``logs``) before you schedule it.

        :raises ConfigurationError: its model schema is not known yet.
        """
        import yaml

        document = self.declared().model_dump(mode="json", by_alias=True, exclude_defaults=True)
        head = "# Made by paylog.APIClient. Say under logs where the engine drops its scoring logs.\n"
        text = head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _details_of(self, subscription: Subscription) -> dict[str, Any]:
        deployment = subscription.deployment
        name = deployment.name or deployment.id
        return {
            "metadata": {"guid": self.uid},
            "entity": {
                "asset": {"asset_id": deployment.id, "name": name, "asset_type": "model"},
                "asset_properties": {"problem_type": subscription.model_schema.problem_type},
                "deployments": [{"deployment_id": deployment.id, "name": name}],
                "service_binding_id": None,
                "configurations": {"payload_logging": {"enabled": True}},
                "status": {"state": "active"},
            },
        }

    def _connection(self) -> str:
        """The connection that a DAG would use: the one the client was given by name, else the default."""
        from paylog.client.credentials import CONNECTION_ID

        connection = self.client.connection
        named = connection.conn_id if connection else CONNECTION_ID
        return "postgres_default" if named == CONNECTION_ID else named
