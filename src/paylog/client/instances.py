"""Service provider instances, as ``bindings.add`` takes them (contract section 1.3)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from paylog.errors import ConfigurationError


class ServiceInstance:
    """An instance of a service provider.

    The credentials are checked and used to tell instances apart; they are not kept: what paylog reads
    is the storage that the engine logs to, through a connection of its own.

    :raises ConfigurationError: a credential is missing.
    """

    service_type: ClassVar[str]
    required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, service_credentials: Mapping[str, Any]) -> None:
        if not isinstance(service_credentials, Mapping):
            raise ConfigurationError(f"{type(self).__name__}: service_credentials are a dict")
        if missing := [key for key in self.required if not service_credentials.get(key)]:
            raise ConfigurationError(f"{type(self).__name__}: service_credentials lack {', '.join(missing)}")
        given = service_credentials.get("instance_id")
        self.source_uid = str(given) if given else self._derived(service_credentials)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(source_uid={self.source_uid!r})"

    def _derived(self, credentials: Mapping[str, Any]) -> str:
        """The same for the same instance, whatever its secrets are this year."""
        lasting = [str(credentials[key]) for key in sorted(credentials) if key in _LASTING]
        text = "\x1f".join((self.service_type, *lasting))
        return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))


_LASTING = {"url", "region", "access_key_id", "tenant", "subscription_id", "client_id", "username"}


class CustomMachineLearningInstance(ServiceInstance):
    """An engine of the user's own: ``url``, optionally ``username``, ``password``, ``request_headers``."""

    service_type = "custom_machine_learning"
    required = ("url",)


class SageMakerMachineLearningInstance(ServiceInstance):
    """Amazon SageMaker: ``access_key_id``, ``secret_access_key``, ``region``."""

    service_type = "amazon_sagemaker"
    required = ("access_key_id", "secret_access_key", "region")


class AzureMachineLearningServiceInstance(ServiceInstance):
    """Azure Machine Learning: ``tenant``, ``client_id``, ``client_secret``, ``subscription_id``."""

    service_type = "azure_machine_learning_service"
    required = ("tenant", "client_secret", "subscription_id", "client_id")


class AzureMachineLearningStudioInstance(AzureMachineLearningServiceInstance):
    """Azure ML Studio (classic)."""

    service_type = "azure_machine_learning"


AzureMachineLearningInstance = AzureMachineLearningStudioInstance


class SPSSMachineLearningInstance(ServiceInstance):
    """IBM SPSS Collaboration and Deployment Services: ``url``, ``username``, ``password``."""

    service_type = "spss_collaboration_and_deployment_services"
    required = ("url", "username", "password")


class WatsonMachineLearningInstance(ServiceInstance):
    """Watson Machine Learning: ``instance_id``, ``url``, ``apikey``."""

    service_type = "watson_machine_learning"
    required = ("instance_id", "url")
