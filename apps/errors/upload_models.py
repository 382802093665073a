"""Files of edited retry data, kept between the look at what they would change and the change itself."""

from django.db import models

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.core.models import FIRM, LOOSE, AccountScoped


class Upload(AccountScoped):
    """A file as a member sent it, compressed. It goes when its act has ended, or a day later if none was begun."""

    member = models.ForeignKey(Member, **FIRM)
    name = models.CharField(max_length=120)
    content = models.BinaryField()
    act = models.ForeignKey("errors.BulkAct", null=True, blank=True, **LOOSE)
    at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "upload"
        indexes = [models.Index(fields=["account", "at"], name="uploads_by_age")]

    def __str__(self) -> str:
        return self.name
