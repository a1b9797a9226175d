"""The service providers: the one list of the engines whose logs paylog reads."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class ServiceProvider(StrEnum):
    """The engines whose logs paylog reads; ``engines/`` has one module for each."""

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
    MLFLOW = ("mlflow", "paylog.engines.mlflow:InferenceTable", "")
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
