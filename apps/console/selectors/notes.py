"""Tags and comments of errors, and who they may be assigned to."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.models import User
from django.db.models import BigIntegerField, Case, CharField, Count, F, Q, Value, When
from django.db.models.functions import Cast

from apps.accounts.models import Member
from apps.console.access import Reach
from apps.errors.models import Comment, Error, ErrorTag, SavedView, Tag
from apps.errors.querysets import OPEN
from apps.errors.services.views import views_of
from apps.errors.states import ErrorState
from apps.flows.models import Flow, Integration

MOST_COMMENTS = 200


@dataclass(frozen=True)
class Notable:
    """What may be noted on the errors of an account: its tags, and who is there to be assigned.

    For a list also the tags of its rows, the viewer's saved views and the integrations within reach. One query for all.
    """

    account: int
    rows: Sequence[Error] = ()
    viewer: Member | None = None
    reach: Reach | None = None

    @cached_property
    def _facts(self) -> list[tuple[int, int, int, str, str, str]]:
        """(kind, id, id of a tag or of who saved, and up to three texts)."""
        none, blank = Value(0, BigIntegerField()), Value("", CharField())
        members = Member.objects.of(self.account).filter(disabled_at__isnull=True).order_by()
        names = (Cast(F(f"user__{name}"), CharField()) for name in ("username", "first_name", "last_name"))
        tags = Tag.objects.of(self.account).order_by()
        own = tags.values_list(Value(0), "pk", none, Cast("name", CharField()), blank, blank)
        found = own.union(members.values_list(Value(1), "pk", none, *names), all=True)
        noted = [row.pk for row in self.rows if row.has_notes]
        if noted:
            on_rows = ErrorTag.objects.of(self.account).filter(error_id__in=noted).order_by()
            found = found.union(on_rows.values_list(Value(2), "error_id", "tag_id", blank, blank, blank), all=True)
        if self.viewer is not None:
            views = views_of(self.viewer).select_related(None).order_by()
            is_shared = Case(When(is_shared=True, then=Value("yes")), default=Value(""), output_field=CharField())
            texts = (Cast("name", CharField()), Cast("query", CharField()), is_shared)
            found = found.union(views.values_list(Value(3), "pk", "member_id", *texts), all=True)
        if self.reach is not None:
            integrations = Integration.objects.of(self.account).filter(**self.reach.where("")).order_by()
            named = (Cast("slug", CharField()), Cast("name", CharField()), blank)
            found = found.union(integrations.values_list(Value(4), "pk", none, *named), all=True)
        return list(found)

    @cached_property
    def views(self) -> Sequence[SavedView]:
        """The viewer's own views and those that others share, by name; who saved one, if he is active."""
        by_key = {member.pk: member for member in self.members}
        found = [
            SavedView(pk=key, member=by_key.get(saver), name=name, query=query, is_shared=bool(shared))
            for kind, key, saver, name, query, shared in self._facts
            if kind == 3
        ]
        return sorted(found, key=lambda view: (view.name, view.pk))

    @cached_property
    def integrations(self) -> Sequence[tuple[str, str]]:
        """(slug, name), by name."""
        found = [(slug, name) for kind, _, _, slug, name, _ in self._facts if kind == 4]
        return sorted(found, key=lambda pair: (pair[1], pair[0]))

    @cached_property
    def tags(self) -> Sequence[Tag]:
        """By name."""
        found = [Tag(pk=key, account_id=self.account, name=name) for kind, key, _, name, *_ in self._facts if kind == 0]
        return sorted(found, key=lambda tag: (tag.name.casefold(), tag.pk))

    @cached_property
    def members(self) -> Sequence[Member]:
        """The active members of the account, by name."""
        found = [
            Member(pk=key, account_id=self.account, user=User(username=name, first_name=first, last_name=last))
            for kind, key, _, name, first, last in self._facts
            if kind == 1
        ]
        return sorted(found, key=lambda member: (member.user.first_name.casefold(), member.user.username))

    def tags_on(self, error: Error) -> Sequence[str]:
        """The names of the tags of one of the rows."""
        return self._by_row.get(error.pk, [])

    @cached_property
    def _by_row(self) -> dict[int, list[str]]:
        pairs = {(key, tag) for kind, key, tag, *_ in self._facts if kind == 2}
        found: dict[int, list[str]] = defaultdict(list)
        for error in {key for key, _ in pairs}:
            found[error] = [tag.name for tag in self.tags if (error, tag.pk) in pairs]
        return found


@dataclass(frozen=True)
class TagRow:
    """A tag, and the errors within reach that have it: open ones, and in every state."""

    tag: Tag
    open_errors: int
    errors: int


def tag_rows(reach: Reach) -> list[TagRow]:
    """All tags by name; three queries."""
    flows = list(Flow.objects.of(reach.account_id).filter(**reach.where()).values_list("pk", flat=True))
    noted = {"error__account": reach.account_id, "error__has_notes": True}  # all of it is in one index
    rows = ErrorTag.objects.of(reach.account_id).filter(**noted, error__flow__pk__among=flows).order_by()
    is_open = Q(error__state=ErrorState.OPEN, error__retry_run__isnull=True)
    counted = rows.values_list("tag_id").annotate(opened=Count("pk", filter=is_open), number=Count("pk"))
    counts = {tag: (opened, number) for tag, opened, number in counted}
    tags = Tag.objects.of(reach.account_id).order_by("name")
    return [TagRow(tag, *counts.get(tag.pk, (0, 0))) for tag in tags]


def error_count(tag: Tag) -> int:
    """How many errors have a tag, in both environments and all integrations."""
    return ErrorTag.objects.of(tag.account_id).filter(tag=tag).count()


def tag_counts(reach: Reach, causes: Sequence[int]) -> list[tuple[Tag, int]]:
    """(tag, open errors of these root causes that have it), most first; two queries."""
    errors = Error.objects.of(reach.account_id).filter(OPEN, cause__in=causes, has_notes=True)
    rows = ErrorTag.objects.of(reach.account_id).filter(error_id__in=errors.values("pk")).order_by()
    counts = dict(rows.values_list("tag_id").annotate(number=Count("pk")))
    tags = Tag.objects.of(reach.account_id).in_bulk(list(counts)) if counts else {}
    return sorted(((tag, counts[key]) for key, tag in tags.items()), key=lambda pair: (-pair[1], pair[0].name))


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
        return [(tag, tag.pk in on_it) for tag in self.notable.tags]

    @cached_property
    def notable(self) -> Notable:
        return Notable(self.error.account_id)

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
