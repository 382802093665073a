"""What the admin lends from the console: the way to an object's own page, and its acts."""

from typing import Any

from django.contrib import admin
from django.db.models import Model

from apps.console.admin_acts import CAUSE_ACTS, CONNECTION_ACTS, ERROR_ACTS, FLOW_ACTS, RUN_ACTS, HouseAct
from apps.console.admin_places import PLACES
from apps.errors import admin as errors_admin
from apps.errors.models import Cause, Error
from apps.flows import admin as flows_admin
from apps.flows.models import Connection, Flow
from apps.runs import admin as runs_admin
from apps.runs.models import Run

REGISTERED = (flows_admin, runs_admin, errors_admin)
"""Lower floors know no console, so what they registered is given its pages and acts from here."""

ACTS: dict[type[Model], list[HouseAct]] = {
    Flow: FLOW_ACTS,
    Run: RUN_ACTS,
    Error: ERROR_ACTS,
    Cause: CAUSE_ACTS,
    Connection: CONNECTION_ACTS,
}


def lend() -> None:
    for model, place in PLACES.items():
        page: Any = admin.site.get_model_admin(model)
        page.address_in_console = place.address
        page.list_select_related = tuple(dict.fromkeys((*(page.list_select_related or ()), *place.needs)))
    for model, acts in ACTS.items():
        page = admin.site.get_model_admin(model)
        page.actions = [act.as_action() for act in acts]


lend()
