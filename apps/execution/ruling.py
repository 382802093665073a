"""Hints at the rules that have something to look at."""

from django.db.models import Exists, OuterRef, Q

from apps.core.clock import database_now
from apps.core.queue import enqueue
from apps.errors.models import Error, Rule
from apps.errors.querysets import OPEN
from apps.errors.rule_models import RuleMode
from apps.errors.rules.looking import AGAIN

LOOK = "apps.execution.tasks.look_by_rule"
HINT_AGAIN_S = 10


def hint_rules() -> int:
    """Hint at the rules for which errors have opened, or whose time to look again has come; returns how many.

    One that has used up its hour waits until there is room, whatever opens meanwhile.
    """
    newer = Error.unscoped.filter(OPEN, account=OuterRef("account"), pk__gt=OuterRef("looked_to"))
    unhinted = Q(hinted_at__isnull=True) | Q(hinted_at__lt=database_now(seconds=-HINT_AGAIN_S))
    working = Rule.unscoped.filter(unhinted, removed_at__isnull=True).exclude(mode=RuleMode.OFF)
    has_room = Q(look_again_at__isnull=True) | Q(look_again_at__lte=database_now(seconds=AGAIN.total_seconds()))
    due = working.filter(Q(look_again_at__lte=database_now()) | has_room & Exists(newer))
    hinted = 0
    for account, key, at in list(due.order_by("pk").values_list("account_id", "pk", "hinted_at")):
        if Rule.objects.of(account).filter(pk=key, hinted_at=at).update(hinted_at=database_now()):
            enqueue(LOOK, account, key, queue="interactive")
            hinted += 1
    return hinted
