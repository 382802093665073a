"""Errors that no purge takes, for as long as somebody wants to keep them."""

from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.services import Actor, record_audit
from apps.errors.models import Error


@transaction.atomic
def keep_error(*, error: Error, member: Member, keep: bool) -> bool:
    """Keep an error with its run and retry data, or leave it to the retention again. False: it was so already."""
    if error.keep == keep:
        return False
    if not Error.objects.of(error.account_id).filter(pk=error.pk, keep=not keep).update(keep=keep):
        return False
    error.keep = keep
    record_audit(
        account=error.account_id, actor=Actor.member(member), act="error.keep", target=error,
        before={"keep": not keep}, after={"keep": keep},
    )  # fmt: skip
    return True
