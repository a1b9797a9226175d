"""Assets: the deployed models that ``subscriptions.add`` takes (contract section 1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from paylog.client.supporting_classes.enums import InputDataType, ProblemType
from paylog.errors import ConfigurationError


class Asset:
    """A model that an engine serves.

    :param source_uid: the engine's id of the model; also the deployment's, unless ``add`` is told another.
    :param label_column: column of the training data with the right answers.
    :param prediction_column: column of the response with the prediction.
    :param probability_column: column of the response with the probabilities: vector, or positive class's.
    :param transaction_id_column: business key, a meta column of the request.
    :param feature_columns: left out: the columns of the first request that is stored.
    :param categorical_columns: the features whose values are categories.
    :param class_labels: in the order of the probabilities. Left out: seen from the first records stored.
    :param asset_type: ``model`` or ``function``.
    :raises ConfigurationError: something is missing or contradicts.
    """

    service_type: ClassVar[str]
    required: ClassVar[tuple[str, ...]] = ("input_data_type", "problem_type", "label_column")

    def __init__(
        self,
        source_uid: str,
        binding_uid: str | None = None,
        problem_type: str | None = None,
        input_data_type: str | None = None,
        training_data_reference: Any = None,
        label_column: str | None = None,
        prediction_column: str | None = None,
        probability_column: str | None = None,
        transaction_id_column: str | None = None,
        feature_columns: Sequence[str] | None = None,
        categorical_columns: Sequence[str] | None = None,
        *,
        class_labels: Sequence[str | int] | None = None,
        asset_type: str = "model",
        name: str | None = None,
    ) -> None:
        self.source_uid = source_uid
        self.binding_uid = binding_uid
        self.name = name or source_uid
        self.asset_type = asset_type
        self.properties: dict[str, Any] = {
            "problem_type": problem_type,
            "input_data_type": input_data_type,
            "training_data_reference": _reference(training_data_reference),
            "label_column": label_column,
            "prediction_field": prediction_column,
            "probability_fields": [probability_column] if probability_column else None,
            "transaction_id_field": transaction_id_column,
            "feature_fields": _names("feature_columns", feature_columns),
            "categorical_fields": _names("categorical_columns", categorical_columns),
            "class_labels": list(class_labels) if class_labels else None,
        }
        self.properties = {key: value for key, value in self.properties.items() if value is not None}
        self._check(input_data_type, problem_type, label_column, prediction_column)

    def _check(
        self, kind: str | None, problem: str | None, label: str | None, prediction: str | None
    ) -> None:
        name = type(self).__name__
        if not isinstance(self.source_uid, str) or not self.source_uid:
            raise ConfigurationError(f"{name}: source_uid is the engine's id of the model, a text")
        given = {"input_data_type": kind, "problem_type": problem, "label_column": label}
        if missing := [key for key in self.required if not given[key]]:
            raise ConfigurationError(f"{name}: {', '.join(missing)} missing")
        if not prediction:
            raise ConfigurationError(f"{name}: prediction_column missing: which response column predicts?")
        if problem is not None and problem not in set(ProblemType):
            raise ConfigurationError(f"{name}: problem_type is one of {', '.join(ProblemType)}")
        if kind is not None and kind not in set(InputDataType):
            raise ConfigurationError(f"{name}: input_data_type is one of {', '.join(InputDataType)}")
        features = self.properties.get("feature_fields")
        categorical = self.properties.get("categorical_fields", [])
        if features is not None and (strange := sorted(set(categorical) - set(features))):
            raise ConfigurationError(f"{name}: categorical_columns {strange} are not among feature_columns")
        if features is not None and label in features:
            raise ConfigurationError(f"{name}: label_column {label!r} must not be a feature")


class CustomMachineLearningAsset(Asset):
    """A model of an engine of the user's own; only ``source_uid`` and ``prediction_column`` are needed."""

    service_type = "custom_machine_learning"
    required = ()


class SageMakerMachineLearningAsset(Asset):
    """A SageMaker endpoint."""

    service_type = "amazon_sagemaker"


class AzureMachineLearningServiceAsset(Asset):
    """An Azure Machine Learning endpoint."""

    service_type = "azure_machine_learning_service"


class AzureMachineLearningStudioAsset(Asset):
    """An Azure ML Studio (classic) web service."""

    service_type = "azure_machine_learning"


AzureMachineLearningAsset = AzureMachineLearningStudioAsset


class SPSSMachineLearningAsset(Asset):
    """A scoring configuration of SPSS Collaboration and Deployment Services."""

    service_type = "spss_collaboration_and_deployment_services"


class WatsonMachineLearningAsset(Asset):
    """A Watson Machine Learning deployment."""

    service_type = "watson_machine_learning"
    required = ()


def _names(argument: str, names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{argument} is a list of column names")
    return list(names)


def _reference(reference: Any) -> dict[str, Any] | None:
    """A training data reference without its credentials: those belong in a connection."""
    if reference is None:
        return None
    if not isinstance(reference, Mapping):
        raise ConfigurationError('training_data_reference is a dict: {"type": "db2" or "cos", "location": …}')
    return {key: value for key, value in reference.items() if key != "connection"}
