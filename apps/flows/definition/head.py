"""The head of a definition: everything in it but its steps."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apps.engine.plan import MAX_RECORDS, MOST_PARALLEL_PAGES
from apps.flows.definition.texts import Cron, Key, Name, PayloadTemplate, TimeZone

Text = Annotated[str, Field(max_length=10_000)]


class Part(BaseModel):
    """Base of everything in a definition: unknown fields are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IntegrationPart(Part):
    """Which integration a flow belongs to; made when it is named for the first time."""

    key: Key
    name: Name | None = None
    environment: Literal["production", "sandbox"] | None = None
    description: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_key(cls, given: Any) -> Any:
        return {"key": given} if isinstance(given, str) else given


class SchedulePart(Part):
    """When a flow is run by itself."""

    cron: Cron
    time_zone: TimeZone = "UTC"

    @model_validator(mode="before")
    @classmethod
    def _from_cron(cls, given: Any) -> Any:
        return {"cron": given} if isinstance(given, str) else given


class WorkflowRetryPart(Part):
    """How often a run that failed is run again; no attempts: never."""

    attempts: int = Field(ge=0, le=10, description="how often a failed run is run again, 0 to 10")
    minutes: float = Field(5.0, ge=1, le=1440)
    backoff: bool = False
    unique_id: PayloadTemplate | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_attempts(cls, given: Any) -> Any:
        return {"attempts": given} if isinstance(given, int) and not isinstance(given, bool) else given


class Head(Part):
    """Everything in a definition but its steps."""

    flow: Key = Field(description="the flow's key, such as load-orders")
    name: Name | None = None
    integration: IntegrationPart = Field(description="the key of the integration that the flow belongs to")
    description: Text = ""
    enabled: bool | None = None
    schedule: SchedulePart | None = None
    run_after: Key | None = None
    overlap: Literal["skip", "queue", "allow"] = "queue"
    auto_resolve: bool = True
    auto_retry: bool = True
    workflow_retry: WorkflowRetryPart | None = None
    scope: Literal["none", "record", "page", "run"] | None = None
    max_records: int | None = Field(None, ge=1, le=MAX_RECORDS)
    rethrow_keeps_changes: bool = True
    page_size: int = Field(1000, ge=1, le=10_000)
    page_order: Literal["kept", "free"] = "kept"
    parallel_pages: int = Field(
        1, ge=1, le=MOST_PARALLEL_PAGES, description="how many pages of a run are at work at once"
    )
    settings: dict[str, Any] = {}

    @property
    def shown_name(self) -> str:
        return self.name or name_of(self.flow)


def name_of(key: str) -> str:
    """A name made of a key: `load-orders` is "Load orders"."""
    words = key.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]
