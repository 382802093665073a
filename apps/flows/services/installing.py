"""Templates: flows that come with Flowmend, installed with what they need."""

from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import Actor
from apps.accounts.tokens import Scope, issue_token
from apps.flows.models import Connection, Environment, Flow, Integration
from apps.flows.services.applying import apply_definition
from apps.flows.services.connecting import set_connection

LIBRARY = Path(__file__).resolve().parents[1] / "library"
ERROR_AUTOMATION = ("retry-errors", "resolve-errors")
OWN_API = "Flowmend API"


def lacks_error_automation(account: Account) -> bool:
    """Whether one of its flows is missing."""
    return Flow.objects.of(account).present().filter(key__in=ERROR_AUTOMATION).count() < len(ERROR_AUTOMATION)


@transaction.atomic
def install_error_automation(*, account: Account, member: Member) -> Integration:
    """Two disabled flows that retry, or resolve, the errors that match, and a connection to our own API for them.

    Its token is the member's and may do no more than look after errors. What is there already stays as it is.
    Raises DefinitionError where the key of a flow or of the integration stands for something else.
    """
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    connect_to_ourselves(account, member)
    present = set(Flow.objects.of(account).present().filter(key__in=ERROR_AUTOMATION).values_list("key", flat=True))
    for key in ERROR_AUTOMATION:
        if key not in present:
            apply_definition(account=account, member=member, text=template(key))
    flow = Flow.objects.of(account).select_related("integration").get(key=ERROR_AUTOMATION[0])
    integration: Integration = flow.integration
    return integration


def template(key: str) -> str:
    return (LIBRARY / f"{key}.yaml").read_text(encoding="utf-8")


def connect_to_ourselves(account: Account, member: Member) -> None:
    """The token stands in the connection's secrets and nowhere else."""
    environment = Environment.PRODUCTION.value
    if Connection.objects.of(account).filter(environment=environment, name=OWN_API).exists():
        return
    _, text = issue_token(member=member, scopes=[Scope.ERRORS], name="Error automation", actor=Actor.member(member))
    config = {"base_url": f"{settings.PUBLIC_URL.rstrip('/')}/v1", "auth": "bearer", "ping_path": "/tokenInfo"}
    set_connection(
        account=account, member=member, environment=environment, name=OWN_API, kind="http", config=config,
        secrets={"bearer_token": text},
    )  # fmt: skip
