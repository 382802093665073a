"""A rule in the life of a flow: it retries what failed, leaves alone what goes on failing; the books stay right."""

from apps.accounts.models import Account
from apps.errors.models import Error, RuleHit
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services.rules import save_rule, switch_rule
from apps.execution.check_books import differences
from tests.factories import make_member
from tests.fakes.running import make_world
from tests.scenarios.retry_world import records, run_once, work_retries


def test_a_record_that_goes_on_failing_is_retried_as_often_as_the_rule_says(account: Account) -> None:
    world = make_world(account)
    member = make_member(account)
    definition = Definition(Conditions(flow=world.flow.pk), Acts(retry=True), most_retries=2)
    rule = save_rule(member=member, name="Again", definition=definition)
    switch_rule(rule=rule, member=member, mode="on")
    world.refuse(1, 2)
    run_once(world, records(1, 2, 3))
    look_by_rule(account.pk, rule.pk)
    world.refuse(2)
    work_retries(world)
    for _ in range(3):
        look_by_rule(account.pk, rule.pk)
        work_retries(world)
    (left,) = Error.objects.of(account).open()
    assert (left.key, left.retry_failed) == ("2", True)
    assert [hit.state for hit in RuleHit.unscoped.order_by("pk")] == ["acted", "acted", "acted", "guarded"]
    assert not list(differences())
