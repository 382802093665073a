"""What members note beside the errors: tags, comments, who was given what, and the views that they saved."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped, HotScoped


class Tag(AccountScoped):
    name = models.CharField(max_length=64)

    class Meta:
        db_table = "tag"
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="tags_by_name")]

    def __str__(self) -> str:
        return self.name


class ErrorTag(HotScoped):
    error = models.ForeignKey("errors.Error", **LOOSE)
    tag = models.ForeignKey(Tag, **LOOSE)

    class Meta:
        db_table = "error_tag"
        constraints = [models.UniqueConstraint(fields=["error", "tag"], name="error_tags_one_each")]
        indexes = [models.Index(fields=["tag", "-error"], name="error_tags_by_tag")]

    def __str__(self) -> str:
        return f"{self.tag_id} on e-{self.error_id}"


class Comment(AccountScoped):
    """What a member wrote about an error, or about a root cause."""

    error = models.ForeignKey("errors.Error", null=True, blank=True, **LOOSE)
    cause = models.ForeignKey("errors.Cause", null=True, blank=True, **FIRM)
    member = models.ForeignKey(Member, null=True, blank=True, **FIRM)
    text = models.TextField()
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "comment"
        constraints = [
            models.CheckConstraint(
                condition=Q(error__isnull=True) ^ Q(cause__isnull=True), name="comments_on_one_thing"
            )
        ]
        indexes = [
            models.Index(fields=["error", "id"], name="comments_of_error"),
            models.Index(fields=["cause", "id"], name="comments_of_cause", condition=Q(cause__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Assignment(HotScoped):
    """A member was given an error, or a root cause, by somebody else: what a digest tells him, once.

    One that waits holds only while he is still the assignee. Who takes something himself is not told.
    """

    error = models.ForeignKey("errors.Error", null=True, blank=True, **LOOSE)
    cause = models.ForeignKey("errors.Cause", null=True, blank=True, **LOOSE)
    assignee = models.ForeignKey(Member, **LOOSE)
    assigned_by = models.ForeignKey(Member, null=True, blank=True, **LOOSE)
    at = models.DateTimeField(default=wall_now)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "assignment"
        constraints = [
            models.CheckConstraint(
                condition=Q(error__isnull=True) ^ Q(cause__isnull=True), name="assignments_of_one_thing"
            )
        ]
        indexes = [
            models.Index(fields=["assignee", "id"], name="assignments_to_mail", condition=Q(mailed_at__isnull=True)),
            models.Index(fields=["error"], name="assignments_of_error", condition=Q(error__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"e-{self.error_id}" if self.error_id else f"c-{self.cause_id}"


class SavedView(AccountScoped):
    """The filters of a list of errors under a name: the query of its address, which says all of it."""

    member = models.ForeignKey(Member, **FIRM)
    name = models.CharField(max_length=64)
    query = models.TextField()
    is_shared = models.BooleanField(default=False)

    class Meta:
        db_table = "saved_view"
        constraints = [models.UniqueConstraint(fields=["member", "name"], name="saved_views_by_name")]
        indexes = [models.Index(fields=["account"], name="saved_views_shared", condition=Q(is_shared=True))]

    def __str__(self) -> str:
        return self.name
