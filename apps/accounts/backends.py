"""Who is signed in, read together with what they are a member of: every page needs both."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

from apps.accounts.selectors import active_members


class MemberBackend(ModelBackend):
    """Django's own sign-in; the user of a session comes with `active_members`, in one query."""

    def get_user(self, user_id: Any) -> User | None:
        members = active_members(User(pk=user_id))
        user = members[0].user if members else super().get_user(user_id)
        if user is None or not self.user_can_authenticate(user):
            return None
        user.active_members = members  # type: ignore[attr-defined]
        return user
