"""Instances and assets by service provider, as ``ibm_ai_openscale.engines`` names them."""

from paylog.client.assets import (
    Asset,
    AzureMachineLearningAsset,
    AzureMachineLearningServiceAsset,
    AzureMachineLearningStudioAsset,
    CustomMachineLearningAsset,
    SageMakerMachineLearningAsset,
    SPSSMachineLearningAsset,
    WatsonMachineLearningAsset,
)
from paylog.client.instances import (
    AzureMachineLearningInstance,
    AzureMachineLearningServiceInstance,
    AzureMachineLearningStudioInstance,
    CustomMachineLearningInstance,
    SageMakerMachineLearningInstance,
    ServiceInstance,
    SPSSMachineLearningInstance,
    WatsonMachineLearningInstance,
)

__all__ = [
    "Asset",
    "AzureMachineLearningAsset",
    "AzureMachineLearningInstance",
    "AzureMachineLearningServiceAsset",
    "AzureMachineLearningServiceInstance",
    "AzureMachineLearningStudioAsset",
    "AzureMachineLearningStudioInstance",
    "CustomMachineLearningAsset",
    "CustomMachineLearningInstance",
    "SPSSMachineLearningAsset",
    "SPSSMachineLearningInstance",
    "SageMakerMachineLearningAsset",
    "SageMakerMachineLearningInstance",
    "ServiceInstance",
    "WatsonMachineLearningAsset",
    "WatsonMachineLearningInstance",
]
