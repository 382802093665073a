"""What a member types about notifications: subscriptions, when he wants mails, and channels."""

from typing import Any

from django import forms

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may
from apps.accounts.reach import Reach
from apps.accounts.selectors import person
from apps.flows.models import Flow, Integration
from apps.notifications.channels import ChannelRefused
from apps.notifications.models import Channel, ChannelKind, Preference, Subscription
from apps.notifications.services import Coverage, SubscriptionRefused, Target

ACCOUNT = "account"
CHOICES = {
    "digest": "errors",  # a form has errors of its own
    "failed_runs": "failed_runs",
    "connections": "connections",
    "more_new": "more_new",
    "more_open": "more_open",
}
"""Field -> what it is called in a subscription."""


class ChoicesForm(forms.Form):
    """Which kinds of messages a subscription asks for."""

    digest = forms.BooleanField(
        required=False,
        initial=True,
        label="Digest of errors",
        help_text="Every 15 minutes, when there are new or newly resolved ones.",
    )
    failed_runs = forms.BooleanField(required=False, label="Run failed", help_text="At once, after its last attempt.")
    connections = forms.BooleanField(
        required=False, label="Connection offline, online again", help_text="At once; those that the flows use."
    )
    more_new = forms.IntegerField(
        required=False, min_value=1, label="More new errors than", help_text="Within 15 minutes. Empty: no limit."
    )
    more_open = forms.IntegerField(
        required=False, min_value=1, label="More open errors than", help_text="Told when it begins. Empty: no limit."
    )

    @property
    def choices(self) -> dict[str, Any]:
        return {name: self.cleaned_data.get(field) for field, name in CHOICES.items()}

    def tell(self, refused: SubscriptionRefused) -> None:
        fields = {name: field for field, name in CHOICES.items()}
        self.add_error(fields.get(refused.field), str(refused))


class ChangeForm(ChoicesForm):
    """The choices of a subscription that is there."""

    def __init__(self, data: Any, subscription: Subscription) -> None:
        initial = {field: getattr(subscription, name) for field, name in CHOICES.items()}
        super().__init__(data, label_suffix="", initial=initial)


class SubscribeForm(ChoicesForm):
    """A new subscription: for whom (asked of whoever may subscribe others) and about what."""

    taker = forms.ChoiceField(label="For")
    about = forms.ChoiceField(label="About")
    field_order = ("taker", "about", "digest", "failed_runs", "connections", "more_new", "more_open")

    def __init__(self, data: Any, own: Member, places: "Places", *, about: str = ACCOUNT) -> None:
        super().__init__(data, label_suffix="", initial={"taker": f"m{own.pk}", "about": about})
        self._own, self._places = own, places
        self._members, self._channels = {own.pk: own}, {}
        if may(own, Act.SUBSCRIBE_OTHERS):
            self._members |= {member.pk: member for member in active_members_of(own)}
            self._channels = {channel.pk: channel for channel in Channel.objects.of(own.account_id).order_by("name")}
        self.fields["taker"].choices = self._takers()  # type: ignore[attr-defined]
        self.fields["about"].choices = places.choices  # type: ignore[attr-defined]

    def _takers(self) -> list[tuple[str, Any]]:
        members = [(f"m{pk}", "me" if pk == self._own.pk else person(m)) for pk, m in self._members.items()]
        channels = [(f"c{pk}", channel.name) for pk, channel in self._channels.items()]
        return [("By e-mail", members), ("To a channel", channels)] if channels else members

    @property
    def target(self) -> Target:
        text = self.cleaned_data["taker"]
        key = int(text[1:])
        return Target(member=self._members[key]) if text[0] == "m" else Target(channel=self._channels[key])

    @property
    def coverage(self) -> Coverage:
        return self._places.coverage(self.cleaned_data["about"])


def active_members_of(own: Member) -> list[Member]:
    rows = Member.objects.of(own.account_id).filter(disabled_at__isnull=True, user__is_active=True)
    return list(rows.select_related("user").order_by("user__first_name", "user__username"))


class Places:
    """What a subscription can be about: what the member sees in the environment on screen; two queries."""

    def __init__(self, reach: Reach, *, within: Integration | None = None) -> None:
        self._environment = reach.environment
        groups = Integration.objects.of(reach.account_id).filter(**reach.where("")).order_by("name")
        flows = Flow.objects.of(reach.account_id).present().filter(**reach.where()).select_related("integration")
        self._integrations = {g.pk: g for g in groups if within is None or g.pk == within.pk}
        self._flows = {f.pk: f for f in flows.order_by("name") if f.integration_id in self._integrations}
        self._has_account = within is None

    @property
    def choices(self) -> list[tuple[str, Any]]:
        """The account, each integration, and below it its flows."""
        found: list[tuple[str, Any]] = [(ACCOUNT, "the whole account")] if self._has_account else []
        for group in self._integrations.values():
            flows = [(f"f{f.pk}", f.name) for f in self._flows.values() if f.integration_id == group.pk]
            found.append((group.name, [(f"i{group.pk}", f"{group.name}: all flows"), *flows]))
        return found

    def coverage(self, about: str) -> Coverage:
        if about == ACCOUNT:
            return Coverage(self._environment)
        key = int(about[1:])
        if about[0] == "i":
            return Coverage(self._environment, integration=self._integrations[key])
        return Coverage(self._environment, flow=self._flows[key])


class PreferenceForm(forms.Form):
    """When a member wants mails."""

    quiet_from = forms.TimeField(
        required=False, label="Quiet from", widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    quiet_to = forms.TimeField(
        required=False,
        label="Quiet to",
        help_text="Nothing is sent meanwhile: digests wait and come as one, messages at once come when it ends.",
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
    )
    daily_at = forms.TimeField(
        required=False,
        label="One digest a day at",
        help_text="Instead of one every 15 minutes. Empty: every 15 minutes.",
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
    )
    assigned = forms.BooleanField(
        required=False, label="Errors that others assign to me", help_text="Once, in the next digest."
    )

    def __init__(self, data: Any, preference: Preference) -> None:
        names = ("quiet_from", "quiet_to", "daily_at", "assigned")
        super().__init__(data, label_suffix="", initial={name: getattr(preference, name) for name in names})


class ChannelForm(forms.Form):
    """A new channel."""

    name = forms.CharField(
        max_length=120, label="Name", help_text="Such as: #operations.", widget=forms.TextInput({"autocomplete": "off"})
    )
    kind = forms.ChoiceField(
        choices=ChannelKind.choices,
        label="Kind",
        help_text="Slack-compatible: Slack, Mattermost, Rocket.Chat and others. Webhook: JSON that we sign.",
    )
    address = forms.CharField(
        max_length=2000,
        label="Address",
        help_text="Such as https://hooks.slack.com/services/… It is encrypted; only its host is shown later.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, label_suffix="")

    def tell(self, refused: ChannelRefused) -> None:
        self.add_error(refused.field, str(refused))
