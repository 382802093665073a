"""A validated definition: frozen models, one per kind of step."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, InstanceOf, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from apps.connectors.base import Connector
from apps.engine.plan import ScopeKind, StepKind
from apps.flows.definition.head import Head, Part, Text, name_of
from apps.flows.definition.texts import (
    AnswerMapped,
    Condition,
    FieldName,
    Key,
    KeyTemplate,
    Mapped,
    Message,
    Name,
    Substituted,
)

# --- what steps are made of -------------------------------------------------------------------------------------------
ErrorClass = Literal[
    "connection", "intermittent", "rate_limit", "too_large", "duplicate", "missing", "parse", "value", "none"
]
"""The classes of errors as `apps.engine.ports.Classification` has them; `none` is what no rule knows."""


class OnErrorPart(Part):
    """What happens to a record that fails at a step; `exceptions` say what else does, class by class."""

    policy: Literal["set_aside", "fail", "ignore", "retry"]
    seconds: float = Field(10.0, ge=1, le=3600)
    attempts: int = Field(3, ge=1, le=10)
    backoff: bool = False
    then: Literal["fail", "set_aside", "ignore"] = "fail"
    exceptions: dict[ErrorClass, Literal["set_aside", "fail", "ignore", "retry"]] = {}
    substitute: Substituted | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_policy(cls, given: Any) -> Any:
        return {"policy": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        extra = sorted(self.model_fields_set & {"seconds", "attempts", "backoff", "then"})
        if extra and not self.is_trying_again:
            raise ValueError(f"{', '.join(extra)}: only the policy retry takes these.")
        if self.substitute is not None and "ignore" not in self.outcomes:
            raise ValueError("substitute: only a record that is ignored goes on with substitute values.")
        return self

    @property
    def is_trying_again(self) -> bool:
        return "retry" in {self.policy, *self.exceptions.values()}

    @property
    def final(self) -> str:
        """What happens after the last attempt: what is written, else what the step's policy says anyway."""
        return self.then if self.policy == "retry" or "then" in self.model_fields_set else self.policy

    @property
    def outcomes(self) -> frozenset[str]:
        """What can become of a record in the end."""
        given = {self.policy, *self.exceptions.values()}
        return frozenset(given - {"retry"} | ({self.final} if self.is_trying_again else set()))


@dataclass(frozen=True, slots=True)
class Use:
    """A step's connection, the connector behind it and its validated options."""

    connection: str = ""
    connector: type[Connector] | None = None
    options: Any = None


class LookupHead(Part):
    """What a lookup step does with what it found; stands beside the connector's options."""

    into: FieldName = Field(description="the field of the record that takes what was found")
    required: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class LookupUse(Use):
    """A connection that is looked in; the rows go `into` a field: the first one, or with `is_many` all of them."""

    into: str = ""
    is_required: bool = False
    is_many: bool = False


class StepPart(Part):
    """What every step has."""

    kind: ClassVar[StepKind]

    key: Key = Field(description="the step's key, which its errors and counts hang on")
    name: Name | None = None
    description: Text = ""

    @property
    def shown_name(self) -> str:
        return self.name or name_of(self.key)


class HandlerSteps(tuple["AnyStep", ...]):
    """The steps of a handler."""


class Handled(StepPart):
    """A step that can fail a record: its policy, what is undone then, and the handler that answers."""

    handling: Literal["rollback", "custom_with_rollback", "custom_without_rollback", "continue"] | None = None
    handler: InstanceOf[HandlerSteps] = HandlerSteps()
    handler_log: bool = True
    ends: Literal["end", "error_end"] | None = None
    on_error: OnErrorPart = OnErrorPart(policy="set_aside")

    @property
    def has_handler(self) -> bool:
        return self.handling in {"custom_with_rollback", "custom_without_rollback"}

    @model_validator(mode="after")
    def _check_handling(self) -> Self:
        given = sorted({"handler", "handler_log", "ends"} & self.model_fields_set)
        if given and not self.has_handler:
            raise ValueError(f"{', '.join(given)}: only a custom handling has a handler.")
        if self.has_handler and self.ends is None:
            raise ValueError(f"ends: the handling {self.handling} needs it, either end or error_end.")
        if self.handling not in {None, "continue"} and "ignore" in self.on_error.outcomes:
            raise ValueError(f"on_error: ignore lets the record go on, the handling {self.handling} does not.")
        if self.handling is not None and getattr(self, "continue_on_error", False):
            raise ValueError("handling: with continue_on_error the record goes on and nothing is undone.")
        return self


class MappedStep(Handled):
    """A step whose mapping may mark fields as required."""

    @field_validator("required", check_fields=False)
    @classmethod
    def _check_required(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        fields = info.data.get("map", info.data.get("mapping"))
        if names and fields is None and ("map" in info.data or "mapping" in info.data):
            raise ValueError("Required fields are fields of a mapping, and there is none.")
        if fields is not None and (unknown := [name for name in names if name not in fields]):
            raise ValueError(f"The mapping does not fill {', '.join(unknown)}.")
        return names


# --- the kinds of steps -----------------------------------------------------------------------------------------------
class ExportStep(StepPart):
    kind = StepKind.EXPORT
    export: InstanceOf[Use]
    trace_key: KeyTemplate | None = None
    output_filter: Condition | None = None


class LookupStep(Handled):
    kind = StepKind.LOOKUP
    lookup: InstanceOf[LookupUse]
    input_filter: Condition | None = None
    output_filter: Condition | None = None


class MapStep(MappedStep):
    kind = StepKind.MAP
    map: Mapped
    keep: bool = False
    required: tuple[str, ...] = ()
    input_filter: Condition | None = None
    output_filter: Condition | None = None


class FilterStep(Handled):
    kind = StepKind.FILTER
    filter: Condition


@dataclass(frozen=True, slots=True)
class WayPart:
    """One way out of a branch; without `when` it is always open."""

    name: str
    when: str | None
    steps: "tuple[AnyStep, ...]"


@dataclass(frozen=True, slots=True)
class BranchPart:
    takes_all: bool = False
    ways: tuple[WayPart, ...] = ()


class BranchStep(Handled):
    kind = StepKind.BRANCH
    branch: InstanceOf[BranchPart]


class ImportStep(MappedStep):
    kind = StepKind.IMPORT
    use: InstanceOf[Use] = Field(alias="import")
    mapping: Mapped | None = None
    required: tuple[str, ...] = ()
    response_mapping: AnswerMapped | None = None
    input_filter: Condition | None = None
    output_filter: Condition | None = None
    continue_on_error: bool = False
    when: Literal["now", "after_commit"] | None = None


class LogStep(Handled):
    kind = StepKind.LOG
    log: Message
    level: Literal["debug", "info", "warning", "error"] = "info"
    input_filter: Condition | None = None


class CallHead(Part):
    """A call as it is written."""

    flow: Key = Field(description="the key of the flow whose steps are run")
    parameters: Mapped | None = None
    result: AnswerMapped | None = None


@dataclass(frozen=True, slots=True)
class CallPart:
    """A call of another flow: its definition as it is now, what goes in, and what its record puts into the caller's."""

    definition: "Definition"
    parameters: dict[str, str] | None = None
    result: dict[str, str] | None = None


class CallStep(Handled):
    kind = StepKind.CALL
    call: InstanceOf[CallPart]
    input_filter: Condition | None = None
    output_filter: Condition | None = None


AnyStep = ExportStep | LookupStep | MapStep | FilterStep | BranchStep | ImportStep | CallStep | LogStep
STEP_MODELS: dict[StepKind, type[StepPart]] = {
    model.kind: model
    for model in (ExportStep, LookupStep, MapStep, FilterStep, BranchStep, ImportStep, CallStep, LogStep)
}


class WayHead(Part):
    """A way as it is written, its steps aside."""

    name: Name
    when: Condition | None = None


class BranchHead(Part):
    """A branch as it is written, its ways aside."""

    take: Literal["first", "all"] = "first"


# --- the whole --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Definition:
    """A definition without a mistake, and the text it was read from."""

    head: Head
    steps: tuple[AnyStep, ...]
    text: str
    environment: str
    scope: ScopeKind
    has_transactional_import: bool = False
    inlined_count: int = 0

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()
