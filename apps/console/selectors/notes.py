"""Tags and comments of one error, and who it may be assigned to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from apps.accounts.models import Member
from apps.errors.models import Comment, Error, ErrorTag, Tag

MOST_COMMENTS = 200


@dataclass(frozen=True)
class Notes:
    """What members noted on an error; each part is read when it is shown."""

    error: Error
    may_define: bool = False

    @cached_property
    def _all_tags(self) -> list[tuple[Tag, bool]]:
        on_it = set(
            ErrorTag.objects.of(self.error.account_id).filter(error=self.error).values_list("tag_id", flat=True)
            if self.error.has_notes
            else ()
        )
        rows = Tag.objects.of(self.error.account_id).order_by("name")
        return [(tag, tag.pk in on_it) for tag in rows]

    @property
    def tags(self) -> Sequence[Tag]:
        return [tag for tag, is_on in self._all_tags if is_on]

    @property
    def other_tags(self) -> Sequence[Tag]:
        return [tag for tag, is_on in self._all_tags if not is_on]

    @cached_property
    def comments(self) -> Sequence[Comment]:
        if not self.error.has_notes:
            return []
        rows = Comment.objects.of(self.error.account_id).filter(error=self.error)
        return list(rows.select_related("member__user").order_by("id")[:MOST_COMMENTS])

    @cached_property
    def assignees(self) -> Sequence[Member]:
        rows = Member.objects.of(self.error.account_id).filter(disabled_at__isnull=True)
        return list(rows.select_related("user").order_by("user__first_name", "user__username"))
