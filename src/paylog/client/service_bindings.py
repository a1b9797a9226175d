"""``client.data_mart.bindings``: the service providers bound to a data mart."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from paylog.client.instances import ServiceInstance
from paylog.client.table_view import matching, print_table
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.client.data_mart import DataMartClient
    from paylog.data_mart.registry import ServiceBinding

_COLUMNS = ("uid", "name", "service_type", "created")


class ServiceBindings:
    """Service bindings of one data mart."""

    def __init__(self, client: DataMartClient) -> None:
        self._client = client

    def add(self, name: str, instance: ServiceInstance) -> str:
        """Bind a service provider; the same instance again gives the binding that is there.

        :returns: the binding's id, the same in every data mart of this instance.
        :raises ConfigurationError: ``instance`` is none of ``paylog.client.engines``.
        """
        if not isinstance(instance, ServiceInstance):
            raise ConfigurationError(
                "bindings.add(name, instance): instance is a CustomMachineLearningInstance, "
                "SageMakerMachineLearningInstance, … of paylog.client.engines"
            )
        seed = f"{self._client.data_mart_id}/{instance.service_type}/{instance.source_uid}"
        binding_uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:binding/{seed}"))
        registry = self._client.mart.registry
        if not registry.add_binding(binding_uid, name, instance.service_type, instance.source_uid):
            print(f"The service provider is already bound, as {binding_uid}.")
        return binding_uid

    def get_details(self, binding_uid: str | None = None) -> dict[str, Any]:
        """One binding, or ``{"service_bindings": […]}``; without credentials.

        :raises ConfigurationError: there is no such binding.
        """
        if binding_uid is None:
            return {"service_bindings": [self._details(b) for b in self._client.mart.registry.bindings()]}
        return self._details(self.get(binding_uid))

    def get(self, binding_uid: str) -> ServiceBinding:
        """The binding of that id.

        :raises ConfigurationError: there is none.
        """
        found = [b for b in self._client.mart.registry.bindings() if b.binding_id == binding_uid]
        if not found:
            raise ConfigurationError(f"there is no service binding {binding_uid!r}; see bindings.list()")
        return found[0]

    def get_uids(self) -> list[str]:
        """Ids of all bindings, the oldest first."""
        return [b.binding_id for b in self._client.mart.registry.bindings()]

    def list(self, **kwargs: Any) -> None:
        """Print the bindings, only those that match: ``list(service_type="amazon_sagemaker")``."""
        bindings = self._client.mart.registry.bindings()
        rows = [(b.binding_id, b.name, b.service_type, f"{b.created_at:%Y-%m-%d %H:%M}") for b in bindings]
        print_table("Service bindings", _COLUMNS, matching(_COLUMNS, rows, kwargs))

    def delete(self, binding_uid: str, force: bool = True, background_mode: bool = False) -> None:
        """Forget a binding. Its subscriptions must be deleted first, unless ``force``; records stay."""
        in_use = [a for a in self._client.mart.registry.assets() if a.binding_id == binding_uid]
        if in_use and not force:
            raise ConfigurationError(
                f"binding {binding_uid!r} has {len(in_use)} subscriptions: delete those first, or force=True"
            )
        self._client.mart.registry.delete_binding(binding_uid)

    def _details(self, binding: ServiceBinding) -> dict[str, Any]:
        mart = self._client.data_mart_id
        return {
            "metadata": {
                "guid": binding.binding_id,
                "url": f"/v1/data_marts/{mart}/service_bindings/{binding.binding_id}",
                "created_at": binding.created_at.isoformat(),
            },
            "entity": {
                "name": binding.name,
                "service_type": binding.service_type,
                "instance_id": binding.instance_id,
                "credentials": {},
                "status": {"state": "active"},
            },
        }
