"""Installs the demo: sign-in, account, connections, data files, target database, flows; and starts the first runs."""

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import transaction

from apps.accounts.models import Account, Member, Profile
from apps.accounts.services import create_account
from apps.execution.demo import ACCOUNT, sightings
from apps.execution.demo.warehouse import Warehouse, prepare_warehouse
from apps.flows.models import Connection, Environment, Flow, Revision
from apps.flows.services import apply_definition, set_connection
from apps.runs.arrivals import send_test
from apps.runs.models import Run
from apps.runs.services import active_runs, start_run

HERE = Path(__file__).resolve().parent
USERNAME = PASSWORD = "demo"  # noqa: S105 (public on purpose: for loopback, with DEBUG=0 a random one)
FILES = {
    "airports.csv": "in",
    "birdstrikes.csv": "in",
    "earthquakes.json": "in",
    "orders.csv": "in/orders",
}
"""The folder that each file is put into."""
FLOWS = ("airports", "airports-file", "wildlife-strikes", "earthquakes")
"""In this order: a flow that runs after another one is applied after it."""
FIRST_FLOWS = ("airports", "earthquakes")
OVER_HTTP = ("earthquake-alarms",)
"""Flows that talk to the demo's own applications; only where those are served."""
OF_THE_SHOP = ("reserve-stock", "orders")
OUTBOX = "outbox"


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to get into the demo; `password` is a sentence where it is not known any more."""

    username: str
    password: str


def install_demo(*, applications_port: int | None = None, mail_port: int | None = None) -> SignIn:
    """Install the demo, or what is missing of it; what a user has changed since stays.

    With the ports of the demo's own applications and mail server also the flows that talk to them.
    Raises ImproperlyConfigured when DEMO_DATABASE_URL names a database that cannot be used.
    """
    with transaction.atomic():
        sign_in, user = ensure_user()
        account = ensure_account(user)
        copy_files(account)
        connect(account, prepare_warehouse(account))
        apply_flows(account, FLOWS)
        start_first_runs(account, user, FIRST_FLOWS)
        if applications_port is not None:
            connect_applications(account, applications_port)
            apply_flows(account, OVER_HTTP)
            start_first_runs(account, user, OVER_HTTP)
            install_sightings(account)
        if mail_port is not None:
            connect_mail_server(account, mail_port)
            apply_flows(account, OF_THE_SHOP)
            if not Run.objects.of(account).filter(flow__key=OF_THE_SHOP[-1]).exists():  # it reads its orders once
                start_first_runs(account, user, OF_THE_SHOP[-1:])
    return sign_in


def ensure_user() -> tuple[SignIn, User]:
    """The user `demo`, who may see the admin too. With DEBUG=0 its password is a random one, told once."""
    user = User.objects.filter(username=USERNAME).first()
    if user is not None:
        known = user.check_password(PASSWORD)
        return SignIn(USERNAME, PASSWORD if known else "that was told when the demo was installed"), user
    password = PASSWORD if settings.IS_NEWCOMER else secrets.token_urlsafe(12)
    user = User.objects.create_superuser(USERNAME, "demo@localhost", password)
    Profile.objects.get_or_create(user=user)
    return SignIn(USERNAME, password), user


def ensure_account(user: User) -> Account:
    present = Account.objects.filter(name=ACCOUNT, members__user=user).first()
    return present or create_account(name=ACCOUNT, owner=user)


def copy_files(account: Account) -> None:
    """Put the data where the flows read it. A file that is there stays: somebody may have mended a row in it."""
    for name, folder in FILES.items():
        into = Path(settings.FILES_ROOT) / str(account.pk) / folder
        into.mkdir(parents=True, exist_ok=True)
        if not (into / name).exists():
            shutil.copyfile(HERE / "data" / name, into / name)


def connect(account: Account, warehouse: Warehouse) -> None:
    """The connections that the definitions name, in both environments."""
    for environment in Environment.values:
        set_connection(account=account, environment=environment, name="Files", kind="file", config={})
        set_connection(
            account=account,
            environment=environment,
            name="Warehouse",
            kind="sql",
            config=warehouse.config,
            secrets=warehouse.secrets or None,
        )


def connect_applications(account: Account, port: int) -> None:
    """The demo's own applications, in the environment of the flow that uses them."""
    here = f"http://127.0.0.1:{port}"
    for name, address in (("Seismic service", f"{here}/seismic"), ("Alarm centre", here)):
        config = {"base_url": address}
        set_connection(account=account, environment=Environment.SANDBOX, name=name, kind="http", config=config)


def connect_mail_server(account: Account, port: int) -> None:
    """The shop's mail server, which is the demo's own."""
    config = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "Demo shop <shop@example.org>",
        "allowed_domains": ["example.org", "*.example.org"],
    }
    set_connection(account=account, name="Shop mail", kind="email", config=config)


def demo_outbox() -> Path:
    """Where the mail server keeps what it takes. Raises CommandError where no demo is installed."""
    account = Account.objects.filter(name=ACCOUNT, closed_at__isnull=True).first()
    if account is None:
        raise CommandError("There is no demo here yet: `up --demo` installs it.")
    return Path(settings.FILES_ROOT) / str(account.pk) / OUTBOX


def install_sightings(account: Account) -> None:
    """The flow that takes requests in, and the first request; its secret is made here once and told to nobody.

    `manage.py flow address sightings` tells its address; another secret can be set at the connection.
    """
    present = Connection.objects.of(account).filter(environment=Environment.PRODUCTION)
    if not present.filter(name=sightings.CONNECTION).exists():
        secret: dict[str, str | None] = {"secret": secrets.token_urlsafe(24)}
        set_connection(
            account=account,
            name=sightings.CONNECTION,
            kind="webhook",
            config={"verification": "hmac"},
            secrets=secret,
        )
    mail: dict[str, Any] = {"delivery": "folder", "sender": "Flowmend <flowmend@example.org>"}
    mail["allowed_domains"] = ["example.org"]
    if not present.filter(name="Mail").exists():
        set_connection(account=account, name="Mail", kind="email", config=mail)
    apply_flows(account, (sightings.FLOW,))
    flow = Flow.objects.of(account).get(key=sightings.FLOW)
    if flow.enabled and not Run.objects.of(account).for_flow(flow).exists():
        send_test(flow=flow, body=sightings.body_of(0))


def apply_flows(account: Account, keys: Iterable[str]) -> None:
    """Apply each definition that was not applied before, so that a definition that a user has edited stays."""
    for key in keys:
        text = (HERE / "flows" / f"{key}.yaml").read_text()
        if not Revision.objects.of(account).filter(flow__key=key, definition=text).exists():
            apply_definition(account=account, text=text)


def start_first_runs(account: Account, user: User, keys: Iterable[str]) -> None:
    """Run the flows now, whatever their schedules say; the others follow them."""
    member = Member.objects.of(account).get(user=user)
    for flow in Flow.objects.of(account).filter(key__in=keys, enabled=True, removed_at__isnull=True):
        if not active_runs(flow).exists():
            start_run(flow=flow, member=member)
