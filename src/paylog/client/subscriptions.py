"""``client.data_mart.subscriptions``: the deployments that a data mart keeps payload records of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from paylog.client.assets import Asset
from paylog.client.subscription import SubscriptionClient
from paylog.client.table_view import matching, print_table
from paylog.errors import ConfigurationError
from paylog.subscription import Subscription, load_subscriptions

if TYPE_CHECKING:
    from paylog.client.data_mart import DataMartClient

_Rows: TypeAlias = list[tuple[str, str, str, str, str]]
_COLUMNS = ("uid", "name", "type", "service_provider", "created")


class Subscriptions:
    """Subscriptions of one data mart, made in Python or loaded by a DAG."""

    def __init__(self, client: DataMartClient) -> None:
        self._client = client

    def add(
        self,
        asset: Asset | Subscription | str | Path,
        deployment_uids: str | Sequence[str] | None = None,
        *,
        training_data_schema: Mapping[str, Any] | None = None,
    ) -> SubscriptionClient:
        """Subscribe a deployment; the same one again gives the subscription that is there.

        :param asset: what is served; or a subscription, or its YAML file, as a DAG uses it.
        :param deployment_uids: id of the one deployment, by default the asset's.
        :param training_data_schema: types of the columns (a struct, contract section 2.4). Left out: those
            of the first records stored.
        :raises ConfigurationError: no binding fits, several deployments, a wrong file.
        """
        if isinstance(asset, str | Path):
            asset = _only(load_subscriptions(asset), asset)
        if isinstance(asset, Subscription):
            self._client.mart.ensure(asset)
            return self.get(asset.id)
        binding_uid = self._binding_of(asset)
        deployment = _deployment(asset, deployment_uids)
        seed = f"{self._client.data_mart_id}/{binding_uid}/{asset.source_uid}/{deployment}"
        uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:subscription/{seed}"))
        properties = dict(asset.properties)
        if training_data_schema is not None:
            properties["training_data_schema"] = dict(training_data_schema)
        described = {"asset_id": asset.source_uid, "name": asset.name, "asset_type": asset.asset_type}
        named = {"deployment_id": deployment, "name": deployment, "deployment_type": "online"}
        self._client.mart.registry.add_asset(uid, binding_uid, described, properties, named)
        subscription = self.get(uid)
        subscription.payload_logging.enable()
        return subscription

    def get(self, subscription_uid: str | None = None, **kwargs: Any) -> SubscriptionClient:
        """The subscription of that id, or the only one that matches: ``get(name="credit-risk")``.

        :raises ConfigurationError: none, or more than one, matches.
        """
        wanted = kwargs if subscription_uid is None else {"uid": subscription_uid}
        if subscription_uid is not None:
            found = [uid for uid in self.get_uids() if uid == subscription_uid]
        else:
            found = [row[0] for row in matching(_COLUMNS, self._rows(), wanted)]
        if len(found) != 1:
            raise ConfigurationError(
                f"{len(found) or 'no'} subscriptions match {wanted}; see data_mart.subscriptions.list()"
            )
        return SubscriptionClient(self._client, found[0])

    def get_uids(self) -> list[str]:
        """Ids of all subscriptions."""
        return self._client.mart.registry.subscription_ids()

    def get_details(self, subscription_uid: str | None = None) -> dict[str, Any]:
        """One subscription, or ``{"subscriptions": […]}``."""
        if subscription_uid is not None:
            return self.get(subscription_uid).get_details()
        registry = self._client.mart.registry
        assets, documents = {a.subscription_id: a for a in registry.assets()}, registry.documents()
        found = [
            SubscriptionClient(self._client, uid).details(assets.get(uid), documents.get(uid))
            for uid in sorted({*assets, *documents})
        ]
        return {"subscriptions": found}

    def list(self, **kwargs: Any) -> None:
        """Print the subscriptions, only those that match."""
        print_table("Subscriptions", _COLUMNS, matching(_COLUMNS, self._rows(), kwargs))

    def delete(self, subscription_uid: str, force: bool = True, background_mode: bool = False) -> None:
        """Forget a subscription. Its payload records, ledger and receipts stay in the data mart."""
        self.get(subscription_uid)
        self._client.mart.registry.forget(subscription_uid)

    def _rows(self) -> _Rows:
        registry = self._client.mart.registry
        providers = {b.binding_id: b.service_type for b in registry.bindings()}
        rows = [
            (
                a.subscription_id,
                str(a.asset["name"]),
                str(a.asset["asset_type"]),
                providers.get(a.binding_id, ""),
                f"{a.created_at:%Y-%m-%d %H:%M}",
            )
            for a in registry.assets()
        ]
        made_here = {row[0] for row in rows}
        for uid, document in registry.documents().items():
            if uid not in made_here:
                deployment = document["deployment"]
                name = deployment.get("name") or deployment["id"]
                rows.append((uid, name, "model", document["service_provider"], ""))
        return rows

    def _binding_of(self, asset: Asset) -> str:
        if asset.binding_uid is not None:
            return self._client.bindings.get(asset.binding_uid).binding_id
        fitting = [b for b in self._client.mart.registry.bindings() if b.service_type == asset.service_type]
        if len(fitting) != 1:
            raise ConfigurationError(
                f"{len(fitting) or 'no'} service bindings are of type {asset.service_type}: "
                "add one with bindings.add, or name it with binding_uid"
            )
        return fitting[0].binding_id


def _deployment(asset: Asset, deployment_uids: str | Sequence[str] | None) -> str:
    if deployment_uids is None:
        return asset.source_uid
    given = [deployment_uids] if isinstance(deployment_uids, str) else list(deployment_uids)
    if len(given) != 1:
        raise ConfigurationError(f"a subscription is of one deployment, not {len(given)}; add one for each")
    return given[0]


def _only(subscriptions: list[Subscription], path: str | Path) -> Subscription:
    if len(subscriptions) != 1:
        raise ConfigurationError(f"{path} holds {len(subscriptions)} subscriptions; name the file of one")
    return subscriptions[0]
