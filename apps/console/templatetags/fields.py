"""A form's field with its label, hint and errors, tied together for a screen reader."""

from typing import Any

from django import forms, template
from django.forms import BoundField

register = template.Library()


@register.inclusion_tag("_field.html")
def field(bound: BoundField, **attributes: str) -> dict[str, Any]:
    """The whole field; further keywords become attributes of its input, `_` written for `-`."""
    widget = bound.field.widget
    attrs: dict[str, str | bool] = {name.replace("_", "-"): value for name, value in attributes.items()}
    return {
        "bound": bound,
        "is_check": isinstance(widget, forms.CheckboxInput),
        "control": bound.as_widget(attrs=_class_of(widget) | attrs),
    }


def _class_of(widget: forms.Widget) -> dict[str, str | bool]:
    if isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
        return {}
    if isinstance(widget, forms.Textarea):
        return {"class": "input area"}
    return {"class": "select" if isinstance(widget, forms.Select) else "input"}
