"""One act on many errors: how far it has got, what came of the errors, and the retry runs that it started."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from apps.accounts.models import Member
from apps.errors.models import BulkAct, BulkItem
from apps.errors.services.planning import RETRIED_ALREADY
from apps.errors.states import BulkKind
from apps.runs.models import Run

TAKEN = {
    BulkKind.RETRY.value: "retrying",
    BulkKind.RESOLVE.value: "resolved",
    BulkKind.SENT.value: "marked as sent",
    BulkKind.REOPEN.value: "reopened",
    BulkKind.EDIT.value: "changed",
    BulkKind.UPLOAD.value: "changed",
    BulkKind.TAG.value: "tagged",
    BulkKind.ASSIGN.value: "assigned",
    BulkKind.CLASSIFY.value: "attempts begin",
}
UNDONE = {"untagged": "tagged", "unassigned": "assigned"}  # the same acts, the other way round
DONE_WORDS = {"retrying": "sent for retry"}


@dataclass(frozen=True)
class ActView:
    """`results` counts by what came of the errors, most first; those that are still waiting are not among them."""

    act: BulkAct
    results: Sequence[tuple[str, int]]
    runs: Sequence[Run]

    @property
    def title(self) -> str:
        return f"{self.act.get_act_display()} {self.act.count:,} error{'' if self.act.count == 1 else 's'}"

    @property
    def taken(self) -> int:
        """How many errors the act was done to."""
        return sum(count for words, count in self.results if self._is_taken(words))

    @property
    def left_alone(self) -> list[tuple[str, int]]:
        return [(words, count) for words, count in self.results if not self._is_taken(words)]

    def _is_taken(self, words: str) -> bool:
        return UNDONE.get(words, words) == TAKEN.get(self.act.act)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """The results as people read them."""
        return [(DONE_WORDS.get(words, words), count) for words, count in self.results]

    @property
    def is_at_work(self) -> bool:
        return self.act.ended_at is None or any(not run.is_ended for run in self.runs)

    @property
    def can_be_undone(self) -> bool:
        if self.act.ended_at is None or not self.taken:
            return False
        if self.act.act == BulkKind.RETRY:
            return any(not run.is_ended and run.cancel_requested_at is None for run in self.runs)
        return self.act.act in (BulkKind.RESOLVE, BulkKind.SENT)


def act_view(act: BulkAct) -> ActView:
    """Two queries at most."""
    items = BulkItem.objects.of(act.account_id).filter(act=act).exclude(result="").order_by()
    sums: Counter[str] = Counter()
    for words, count in items.values_list("result").annotate(count=Count("pk")):
        sums[RETRIED_ALREADY if words.startswith(RETRIED_ALREADY) else words] += count
    return ActView(act, sums.most_common(), _runs_of(act))


def _runs_of(act: BulkAct) -> list[Run]:
    ids = list(act.options.get("runs", {}).values())
    if not ids:
        return []
    return list(Run.objects.of(act.account_id).filter(pk__in=ids).select_related("flow", "start_step").order_by("pk"))


def may_see(member: Member, act: BulkAct) -> bool:
    """Whoever did it sees an act, and members of the whole account."""
    return bool(member.role) or act.member_id == member.pk
