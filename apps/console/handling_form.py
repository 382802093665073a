"""The form of a step's error handling: what happens to a record that fails there."""

from collections.abc import Mapping
from typing import Any, get_args

from django import forms
from django.forms import BoundField

from apps.console import setting_stories as stories
from apps.console.setting_forms import Changes, SettingForm, as_fields, kept, plain, shortened, unless_usual
from apps.engine.plan import OnError, Policy
from apps.flows.definition.models import ErrorClass
from apps.flows.definition.rewriting import REMOVED
from apps.flows.models import Scope

POLICIES = [("set_aside", "Set aside"), ("fail", "Fail"), ("ignore", "Ignore"), ("retry", "Retry")]
HANDLINGS = [
    ("rollback", "Roll back"),
    ("custom_with_rollback", "Roll back, then run the handler"),
    ("custom_without_rollback", "Undo this step only, then run the handler"),
    ("continue", "Undo this step only, then go on"),
]
ENDS = [("error_end", "Raise the error again"), ("end", "End there: the error is handled")]
CLASSES: tuple[str, ...] = get_args(ErrorClass)
CLASS = "class_"
RETRY_FIELDS = ("seconds", "attempts", "backoff", "then")
POLICY_FIELDS = ("policy", *RETRY_FIELDS[:3], "then", "ignore_final", "continue_on_error")
CUSTOM = ("custom_with_rollback", "custom_without_rollback")


class HandlingForm(SettingForm):
    """Of one step: `subject.path` is its place in the definition, `subject.step` what stands there."""

    name, title = "handling", "Error handling"

    policy = forms.ChoiceField(
        choices=POLICIES, label="Error handler type", help_text="What happens to a record that fails at this step."
    )
    seconds = forms.FloatField(
        min_value=1, max_value=3600, label="Seconds between attempts", help_text="With Retry: 1 to 3,600."
    )
    attempts = forms.IntegerField(
        min_value=1, max_value=10, label="Retry attempts", help_text="With Retry: how often it is tried again, 1 to 10."
    )
    backoff = forms.BooleanField(required=False, label="Wait twice as long each time")
    ignore_final = forms.BooleanField(
        required=False,
        label="Ignore final error",
        help_text="With Retry: after the last attempt the record goes on, and the error is noted as handled.",
    )
    then = forms.ChoiceField(
        choices=[("fail", "Fail"), ("set_aside", "Set aside")],
        label="After the last attempt",
        help_text="With Retry, unless the final error is ignored.",
    )
    continue_on_error = forms.BooleanField(
        required=False,
        label="A failed record still goes on to later steps",
        help_text="Its error stays open.",
    )
    handling = forms.ChoiceField(
        choices=HANDLINGS, label="What is undone", help_text="When the step fails, inside a transaction of its target."
    )
    ends = forms.ChoiceField(choices=ENDS, label="The handler's end", help_text="With a handler only.")
    handler_log = forms.BooleanField(
        required=False, label="The handler begins with a line of the log", help_text="Message and trace of the error."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_locked = bool(kwargs.get("is_locked"))
        for name in CLASSES:
            choices = [("", "the same"), *POLICIES]
            label = f"Class {name.replace('_', ' ')}"
            field = forms.ChoiceField(choices=choices, required=False, label=label, disabled=is_locked)
            self.fields[CLASS + name] = field
        if "import" not in self.subject.step:
            del self.fields["continue_on_error"]

    @property
    def policy_fields(self) -> list[BoundField]:
        return [self[name] for name in POLICY_FIELDS if name in self.fields]

    @property
    def class_fields(self) -> list[BoundField]:
        return [self[CLASS + name] for name in CLASSES]

    @property
    def handling_fields(self) -> list[BoundField]:
        return [self[name] for name in ("handling", "ends", "handler_log")]

    @property
    def has_exceptions(self) -> bool:
        """Whether a class has a handler of its own, or a mistake."""
        return any(self[CLASS + name].value() or self.errors.get(CLASS + name) for name in CLASSES)

    @property
    def rule(self) -> dict[str, Any]:
        return as_fields(self.subject.step.get("on_error"), "policy")

    def shown(self) -> dict[str, Any]:
        step, rule = self.subject.step, self.rule
        policy = rule.get("policy", "set_aside")
        final = rule.get("then", "fail" if policy == "retry" else policy)
        exceptions = as_fields(rule.get("exceptions"), "none")
        return {
            "policy": policy,
            "seconds": rule.get("seconds", 10),
            "attempts": rule.get("attempts", 3),
            "backoff": rule.get("backoff", False),
            "ignore_final": final == "ignore",
            "then": final if final in {"fail", "set_aside"} else "fail",
            "continue_on_error": step.get("continue_on_error", False),
            "handling": step.get("handling", "rollback"),
            "ends": step.get("ends", "error_end"),
            "handler_log": step.get("handler_log", True),
            **{CLASS + name: value for name, value in exceptions.items()},
        }

    def field_of(self, place: str) -> str | None:
        last = place.rpartition(".")[2]
        return CLASS + last if ".exceptions." in place and last in CLASSES else super().field_of(place)

    # --- what it changes ---------------------------------------------------------------------------------------------
    def changes(self) -> Changes:
        values, step, path = self.cleaned_data, self.subject.step, self.subject.path
        is_custom = values["handling"] in CUSTOM
        fields = {
            "on_error": self.new_rule(values),
            "continue_on_error": unless_usual(step, "continue_on_error", values.get("continue_on_error", False), False),
            "handling": unless_usual(step, "handling", values["handling"], "rollback"),
            "ends": values["ends"] if is_custom else REMOVED,
            "handler_log": unless_usual(step, "handler_log", values["handler_log"], True) if is_custom else REMOVED,
        }
        if not is_custom:
            fields["handler"] = REMOVED
        return {(*path, name): value for name, value in fields.items()}

    def new_rule(self, values: Mapping[str, Any]) -> Any:
        given, rule = self.subject.step.get("on_error"), self.rule
        exceptions = exceptions_in(values)
        policy = values["policy"]
        found = {"policy": policy, "exceptions": exceptions or REMOVED, "substitute": rule.get("substitute", REMOVED)}
        if "retry" in {policy, *exceptions.values()}:
            usual = "fail" if policy == "retry" else policy
            found |= {
                "seconds": unless_usual(rule, "seconds", plain(values["seconds"]), 10),
                "attempts": unless_usual(rule, "attempts", values["attempts"], 3),
                "backoff": unless_usual(rule, "backoff", values["backoff"], False),
                "then": unless_usual(rule, "then", final_of(values), usual),
            }
        fields = kept(found)
        if given is None and fields == {"policy": "set_aside"}:
            return REMOVED
        order = [*rule, *(name for name in ("policy", *RETRY_FIELDS, "exceptions", "substitute") if name not in rule)]
        return shortened({name: fields[name] for name in order if name in fields}, "policy", given)

    # --- what it says ------------------------------------------------------------------------------------------------
    def told(self, values: Mapping[str, Any]) -> list[str]:
        step = self.subject.step
        exceptions = exceptions_in(values)
        policy = Policy(
            OnError(values["policy"]),
            float(values["seconds"]),
            int(values["attempts"]),
            bool(values["backoff"]),
            OnError(final_of(values)),
        )
        found = stories.of_policy(str(step.get("name") or step.get("key")), policy, exceptions)
        is_scoped = self.subject.flow.scope != Scope.NONE
        found.append(stories.of_handling(values["handling"], values["ends"], is_scoped=is_scoped))
        handler = step.get("handler")
        if handler and values["handling"] not in CUSTOM:
            found.append(f"The {stories.times(len(handler), 'step')} of its handler are taken out of the definition.")
        if self.subject.open_errors:
            found.append(f"The {stories.times(self.subject.open_errors, 'open error')} of this step stay as they are.")
        return found


def exceptions_in(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: values[CLASS + name] for name in CLASSES if values.get(CLASS + name)}


def final_of(values: Mapping[str, Any]) -> str:
    return "ignore" if values["ignore_final"] else str(values["then"])
