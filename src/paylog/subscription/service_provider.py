"""The service providers: the one list of the engines whose logs paylog reads.

Other packages add engines through the entry point group ``paylog.engines``: the entry point's name is
the service provider's, its object the engine's class, whose ``layout`` is the one here.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from paylog.errors import MissingExtra

ENTRY_POINTS = "paylog.engines"


class ServiceProvider(StrEnum):
    """The engines whose logs paylog reads; ``engines/`` has one module for each of those named here."""

    engine: str
    """``module:class`` of the decoder; imported only when something is decoded."""
    layout: str
    """How the engine files its logs by itself, below the prefix; empty: all in one folder."""

    CUSTOM_MACHINE_LEARNING = (
        "custom_machine_learning",
        "paylog.engines.custom_machine_learning:CustomMachineLearning",
        "",
    )
    AMAZON_SAGEMAKER = (
        "amazon_sagemaker",
        "paylog.engines.amazon_sagemaker:AmazonSageMaker",
        "%Y/%m/%d/%H/",
    )
    AZURE_MACHINE_LEARNING = (
        "azure_machine_learning_service",
        "paylog.engines.azure_machine_learning:AzureMachineLearning",
        "{model_inputs,model_outputs,model_inputs_outputs}/%Y/%m/%d/%H/",
    )
    KSERVE = ("kserve", "paylog.engines.kserve:KServe", "")
    SELDON = ("seldon", "paylog.engines.seldon:Seldon", "")
    BENTOML = ("bentoml", "paylog.engines.bentoml:BentoML", "")
    WATSON_MACHINE_LEARNING = (
        "watson_machine_learning",
        "paylog.engines.watson_machine_learning:WatsonMachineLearning",
        "",
    )
    FILES = ("files", "paylog.engines.files:Files", "")
    DATABRICKS = ("databricks", "paylog.engines.mlflow:InferenceTable", "")
    MLFLOW = ("mlflow", "paylog.engines.mlflow:ScoringLog", "")
    VERTEX_AI = ("vertex_ai", "paylog.engines.vertex_ai:VertexAI", "")
    SPSS = (
        "spss_collaboration_and_deployment_services",
        "paylog.engines.spss:SPSS",
        "",
    )
    AMAZON_SAGEMAKER_BATCH = (
        "amazon_sagemaker_batch",
        "paylog.engines.amazon_sagemaker_batch:AmazonSageMakerBatch",
        "",
    )

    def __new__(cls, name: str, engine: str, layout: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.engine = engine
        member.layout = layout
        return member

    @classmethod
    def _missing_(cls, value: object) -> ServiceProvider | None:
        """The engine of another package, where one is installed under that name."""
        found = _installed().get(str(value))
        if found is None:
            return None
        member = str.__new__(cls, found.name)
        member._name_, member._value_ = found.name.upper(), found.name
        member.engine, member.layout = found.value, getattr(_class(found), "layout", "")
        return cls._value2member_map_.setdefault(found.name, member)  # type: ignore[return-value]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        handler.resolve_ref_schema(described)["enum"] = [provider.value for provider in service_providers()]
        return described


def service_providers() -> list[ServiceProvider]:
    """paylog's own, then those of other packages, by name."""
    return [*ServiceProvider, *(_named(name) for name in sorted(_installed()))]


def _named(name: str) -> ServiceProvider:
    found: ServiceProvider = ServiceProvider(name)  # type: ignore[call-arg]
    return found


@cache
def _installed() -> dict[str, EntryPoint]:
    own = ServiceProvider._value2member_map_
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in own}


def _class(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        package = point.dist.name if point.dist else point.module
        raise MissingExtra(
            f"service provider {point.name!r} comes from package {package!r}, whose {point.value} cannot be "
            f"imported ({type(error).__name__}): install that package anew, or remove it"
        ) from error
