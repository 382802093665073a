"""How a user reads the console: the form of `/profile/`."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms import BoundField

from apps.accounts.models import Profile
from apps.core.clock import time_zones

SECTIONS = {
    "Times": ("times", "time_zone", "date_order", "default_range"),
    "Looks": ("theme", "density"),
    "Keys": ("shortcuts_on",),
}


class ProfileForm(forms.ModelForm):
    class Meta:
        model = Profile
        fields = tuple(name for names in SECTIONS.values() for name in names)
        labels = {
            "times": "Times",
            "time_zone": "Time zone",
            "date_order": "Order of dates",
            "default_range": "Range of dashboards and charts",
            "shortcuts_on": "Keyboard shortcuts of one letter",
        }
        help_texts = {
            "times": "Relative: 4 min ago. The other form stands in the title of each time.",
            "date_order": "The year is shown when it is not this one; year first always shows it.",
            "default_range": "Where the address names no other.",
            "density": "How high rows and buttons are. On a touch screen they are 44 px in either case.",
            "shortcuts_on": "Switch them off if they get in the way of speech input or of a screen reader. Tab, Enter "
            "and Esc always work.",
        }
        widgets = {
            "time_zone": forms.TextInput({"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, account_zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].help_text = f"Such as Europe/Berlin. Empty: that of the account, {account_zone}."

    def sections(self) -> Iterator[tuple[str, list[BoundField]]]:
        for title, names in SECTIONS.items():
            yield title, [self[name] for name in names]

    @property
    def zones(self) -> list[str]:
        return sorted(time_zones())
