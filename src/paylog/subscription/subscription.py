"""What a subscription declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictInt

from paylog.subscription.alerts import Alerts
from paylog.subscription.declared_schema import DeclaredSchema
from paylog.subscription.delivery import Delivery
from paylog.subscription.judgement import Judgement, unknown_columns, without_training_data
from paylog.subscription.logs import Logs, TimestampSource
from paylog.subscription.monitors import Fairness, Monitor, Requirement, unknown_in_fairness
from paylog.subscription.names import ConnectionId, SchemaName, SubscriptionId, Text
from paylog.subscription.quantities import Size
from paylog.subscription.retention import Retention, too_short
from paylog.subscription.schedule import Schedule
from paylog.subscription.section import Problem, Section
from paylog.subscription.service_provider import ServiceProvider
from paylog.subscription.training_data import TrainingDataReference

if TYPE_CHECKING:
    from paylog.model_schema import ModelSchema


class AssetType(StrEnum):
    """What is served, in OpenScale's words."""

    MODEL = "model"
    FUNCTION = "function"


class InputDataType(StrEnum):
    """What a request holds, in OpenScale's words."""

    STRUCTURED = "structured"
    UNSTRUCTURED_TEXT = "unstructured_text"
    UNSTRUCTURED_IMAGE = "unstructured_image"


class Deployment(Section):
    """The served endpoint of the model."""

    id: Text = Field(description="Id of the deployment, as the engine names it (SageMaker: the endpoint).")
    name: Text | None = Field(default=None, description="A name for people. Left out: the id.")
    asset_type: AssetType = Field(
        default=AssetType.MODEL, description="A model, or a Python function (which can have fewer monitors)."
    )
    input_data_type: InputDataType = Field(
        default=InputDataType.STRUCTURED,
        description="What a request holds: rows of features, text or images.",
    )
    framework: Text | None = Field(
        default=None, description="What the model is made with, like xgboost, keras or spss, in lower case."
    )


class DataMartTarget(Section):
    """The data mart that the payload records go to."""

    connection: ConnectionId = Field(
        default="postgres_default", description="Id of the connection (type postgres) to the data mart."
    )
    schema_name: SchemaName = Field(
        alias="schema", description="Schema in the database. Created if absent, never dropped."
    )
    owner_connection: ConnectionId | None = Field(
        default=None,
        description="Id of the connection whose role owns the tables: it creates, migrates and drops them. "
        "Left out: connection does.",
    )
    read_connection: ConnectionId | None = Field(
        default=None,
        description="Id of the connection of those who only read, paylog's page in Airflow among them. "
        "Left out: connection, in read-only sessions.",
    )


class BatchLimits(Section):
    """How the work is cut up."""

    bytes: Size = Field(
        default=64_000_000, description="Stored bytes of the objects in one batch, like 64MB."
    )
    max_parallel: Annotated[StrictInt, Field(ge=1, le=1000)] = Field(
        default=2, description="Batches of this subscription that load at the same time."
    )


class ErrorBudget(Section):
    """How many records of a batch may be rejected before the whole batch is rolled back."""

    count: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, description="Rejected rows a batch may have. Left out: no limit by count."
    )
    share: Annotated[float, Field(ge=0, le=1, strict=True)] | None = Field(
        default=0.05, description="Share of rejected rows a batch may have, 0 to 1. null: no limit by share."
    )


class Subscription(Section):
    """One monitored deployment in one data mart."""

    id: SubscriptionId = Field(description="Id of the subscription; names its DAG and its payload table.")
    service_provider: ServiceProvider = Field(description="The engine that serves the model.")
    deployment: Deployment = Field(description="The served endpoint of the model.")
    logs: Logs = Field(description="Where the engine drops its scoring logs.")
    declared_schema: DeclaredSchema = Field(
        alias="model_schema", description="What the model takes and gives: fields, types, modeling roles."
    )
    data_mart: DataMartTarget = Field(description="Where the payload records go.")
    retention: Retention | None = Field(
        default=None, description="What maintenance removes, and when. Left out: nothing is ever removed."
    )
    deliver: Delivery | None = Field(
        default=None, description="Watson OpenScale service that each batch is posted to after it was loaded."
    )
    schedule: Schedule = Field(default_factory=Schedule, description="When it runs.")
    batch: BatchLimits = Field(default_factory=BatchLimits, description="How the work is cut up.")
    error_budget: ErrorBudget = Field(
        default_factory=ErrorBudget, description="How many rejects are tolerable in a batch."
    )
    training_data: TrainingDataReference | None = Field(
        default=None, description="Where the model's training data lives, in Db2 or object storage."
    )
    judgement: Judgement = Field(
        default_factory=Judgement, description="How far payload records may be from the training data."
    )
    fairness: Fairness | None = Field(default=None, description="What the fairness monitor compares.")
    monitors: tuple[Monitor, ...] = Field(default=(), description="Monitors that this subscription wants.")
    alerts: Alerts | None = Field(default=None, description="Whom to tell when something is wrong.")
    require: tuple[Requirement, ...] = Field(
        default=(),
        description="What must be in order before payload records are loaded: [training_data] blocks "
        "loading while a check of severity error stands.",
    )

    @cached_property
    def model_schema(self) -> ModelSchema:
        """The model schema that decode, normalize and load work with."""
        return self.declared_schema.build()

    @property
    def layout(self) -> str:
        """strftime pattern of the folders below the prefix (UTC), the engine's own by default; '' is flat."""
        declared = self.logs.layout
        return self.service_provider.layout if declared is None else declared

    def document(self) -> dict[str, Any]:
        """The subscription as plain JSON values; ``Subscription.model_validate`` reads it back."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        logs, provider = data.get("logs"), data.get("service_provider")

        def of_logs(name: str) -> Any:
            return logs.get(name) if isinstance(logs, Mapping) else getattr(logs, name, None)

        sagemaker, bentoml = ServiceProvider.AMAZON_SAGEMAKER, ServiceProvider.BENTOML
        if of_logs("variant") is not None and provider in set(ServiceProvider) - {sagemaker}:
            yield Problem(("logs", "variant"), f"only {sagemaker} has variants; remove it")
        from_record = of_logs("timestamp") in (None, TimestampSource.RECORD)
        if provider == bentoml and from_record and of_logs("timezone") is None:
            message = f"{bentoml} writes local times without a zone; say the serving container's, mostly UTC"
            yield Problem(("logs", "timezone"), message)
        yield from too_short(data)
        yield from without_training_data(data)
        yield from unknown_columns(data)
        yield from unknown_in_fairness(data)
