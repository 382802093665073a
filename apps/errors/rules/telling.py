"""A rule notifies: what it met together in a flow is announced once, and put into words for those whom it names."""

from collections import defaultdict
from collections.abc import Sequence

from apps.accounts.services import SYSTEM, record_audit
from apps.core.ids import Kind, wire_id
from apps.errors.announcing import ids
from apps.errors.models import Error, Rule
from apps.flows.models import Flow
from apps.webhooks.models import Event
from apps.webhooks.services import announce


def announce_met(rule: Rule, errors: Sequence[Error]) -> None:
    """Part of the look's transaction: what is announced is told once, whoever dies."""
    assert rule.revision is not None, "only a rule with a revision acts"
    met: dict[int, list[int]] = defaultdict(list)
    for error in errors:
        met[error.flow_id].append(error.pk)
    for flow in Flow.objects.of(rule.account_id).filter(pk__in=met).order_by("pk"):
        found = sorted(met[flow.pk], reverse=True)
        facts = {
            "_ruleRevisionId": wire_id(Kind.RULE_REVISION, rule.revision.pk),
            "rule": str(rule.revision),
            "_integrationId": wire_id(Kind.INTEGRATION, flow.integration_id),
            "_flowId": wire_id(Kind.FLOW, flow.pk),
            "numError": len(found),
            "errorIds": ids(Kind.ERROR, found),
        }
        announce(account=rule.account_id, event=Event.RULE_MET, facts=facts, integrations=[flow.integration_id])
        after = {"flow": flow.name, "errors": len(found)}
        record_audit(account=rule.account_id, actor=SYSTEM, act="rule.notify", target=rule, after=after)
