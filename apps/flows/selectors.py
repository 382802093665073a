"""What an account has that a definition may name."""

from collections import defaultdict

from apps.accounts.models import Account
from apps.connectors.registry import CONNECTORS
from apps.flows.definition import Known
from apps.flows.models import Connection, Flow, Integration, Step


def known_to(account: Account | int) -> Known:
    """Connectors, connections, integrations and flows of an account; three queries, and one per flow whose steps are
    asked for, or that is called."""

    def step_kinds(flow_key: str) -> dict[str, str]:
        if "\x00" in flow_key:
            return {}
        return dict(Step.objects.of(account).filter(flow__key=flow_key).values_list("key", "kind"))

    def callee(flow_key: str) -> str | None:
        called = Flow.objects.of(account).filter(key=flow_key, removed_at__isnull=True)
        return called.values_list("revision__definition", flat=True).first() if "\x00" not in flow_key else None

    connections: dict[str, dict[str, str]] = defaultdict(dict)
    for environment, name, kind in Connection.objects.of(account).values_list("environment", "name", "kind"):
        connections[environment][name] = kind
    flows = Flow.objects.of(account).filter(removed_at__isnull=True).values_list("key", "run_after__key")
    return Known(
        connectors=CONNECTORS,
        connections=dict(connections),
        integrations=dict(Integration.objects.of(account).values_list("slug", "environment")),
        flows={key: before or "" for key, before in flows},
        step_kinds=step_kinds,
        callee=callee,
    )
