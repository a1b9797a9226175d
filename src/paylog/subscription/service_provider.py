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

    def __new__(cls, name: str, engine: str, layout: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.engine = engine
        member.layout = layout
        return member
