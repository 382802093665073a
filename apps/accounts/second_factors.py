"""Second factors of a user: an authenticator app, passkeys, and codes for the day on which they are lost."""

import hashlib
import re
import secrets

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.authenticator import matching_step, new_secret
from apps.accounts.models import AuthenticatorApp, Passkey, RecoveryCode
from apps.accounts.selectors import active_members
from apps.accounts.sign_in_changes import record_of_user
from apps.core.clock import read_now
from apps.core.crypto import Sealed, open_json, rotate, seal_json

RECOVERY_CODES = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP = 4, 4
"""A code has 79 bits: nobody tries them all, even with the hashes at hand."""


class SecondFactorRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """What cannot be done with a second factor; the message says why."""


def has_second_factor(user: User) -> bool:
    """Two queries at most."""
    return confirmed_apps().filter(user=user).exists() or Passkey.objects.filter(user=user).exists()


def confirmed_apps() -> "QuerySet[AuthenticatorApp]":
    return AuthenticatorApp.objects.filter(confirmed_at__isnull=False)


def requiring_accounts(user: User) -> list[str]:
    """The names of the user's accounts that want a second factor."""
    return [member.account.name for member in active_members(user) if member.account.second_factor_required]


# --- the authenticator app -------------------------------------------------------------------------------------------
@transaction.atomic
def begin_app(user: User) -> AuthenticatorApp:
    """A new secret that is not confirmed yet. Raises SecondFactorRefused where an app is confirmed already."""
    if confirmed_apps().filter(user=user).exists():
        raise SecondFactorRefused("An authenticator app is set up already: remove it first, then set up the other one.")
    sealed = seal_json({"secret": new_secret()})
    values = {"secret": sealed.data, "secret_key_id": sealed.key_id, "last_step": 0, "created_at": read_now()}
    return AuthenticatorApp.objects.update_or_create(user=user, defaults=values)[0]


def secret_of(app: AuthenticatorApp) -> str:
    """Raises `SecretUnreadableError`."""
    return str(open_json(Sealed(bytes(app.secret), app.secret_key_id))["secret"])


@transaction.atomic
def confirm_app(user: User, code: str) -> bool:
    """From now on the app's codes are asked for. False: this was not its code."""
    app = AuthenticatorApp.objects.filter(user=user, confirmed_at__isnull=True).first()
    if app is None or not _takes(app, code):
        return False
    AuthenticatorApp.objects.filter(pk=app.pk).update(confirmed_at=read_now())
    record_of_user(user, "second_factor.add", {"kind": "authenticator app"})
    return True


@transaction.atomic
def remove_app(user: User) -> None:
    """Raises SecondFactorRefused where an account of the user wants a second factor and this is the last one."""
    removed = confirmed_apps().filter(user=user).delete()[0]
    if removed:
        after_removal(user, "authenticator app")


def after_removal(user: User, kind: str) -> None:
    """Codes for recovery stand in for a factor: they go with the last one."""
    if not has_second_factor(user):
        wanted_by = requiring_accounts(user)
        if wanted_by:
            names = " and ".join(wanted_by)
            raise SecondFactorRefused(f"{names} requires a second factor: set up another one before you remove this.")
        RecoveryCode.objects.filter(user=user).delete()
    record_of_user(user, "second_factor.remove", {"kind": kind})


# --- codes ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def take_code(user: User, text: str) -> bool:
    """Is this a code of the user's app, or one for recovery? Each is taken once."""
    app = confirmed_apps().filter(user=user).first()
    if app is not None and _takes(app, text):
        return True
    unused = RecoveryCode.objects.filter(user=user, sha256=hash_of_code(text), used_at__isnull=True)
    if not unused.update(used_at=read_now()):
        return False
    record_of_user(user, "recovery_code.use", {"left": codes_left(user)})
    return True


def _takes(app: AuthenticatorApp, text: str) -> bool:
    step = matching_step(secret_of(app), re.sub(r"\s", "", text), read_now())
    if step is None:
        return False
    return AuthenticatorApp.objects.filter(pk=app.pk, last_step__lt=step).update(last_step=step) == 1


@transaction.atomic
def renew_recovery_codes(user: User) -> list[str]:
    """New codes in place of the old ones. Their text is kept nowhere."""
    RecoveryCode.objects.filter(user=user).delete()
    texts = [_new_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, sha256=hash_of_code(text)) for text in texts)
    record_of_user(user, "recovery_code.renew", {"codes": len(texts)})
    return texts


def codes_left(user: User) -> int:
    return RecoveryCode.objects.filter(user=user, used_at__isnull=True).count()


def _new_code() -> str:
    groups = ["".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS)]
    return "-".join(groups)


def hash_of_code(text: str) -> str:
    """Blanks, dashes and capitals make no difference."""
    return hashlib.sha256(re.sub(r"[\s-]", "", text).casefold().encode()).hexdigest()


# --- around them ----------------------------------------------------------------------------------------------------
def rotate_app(app: AuthenticatorApp) -> bool:
    """Seal the secret with the newest key. Raises `SecretUnreadableError`."""
    sealed = rotate(bytes(app.secret), app.secret_key_id)
    same = AuthenticatorApp.objects.filter(pk=app.pk, secret_key_id=app.secret_key_id)
    return same.update(secret=sealed.data, secret_key_id=sealed.key_id) == 1
