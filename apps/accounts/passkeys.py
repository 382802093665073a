"""Passkeys (WebAuthn): what a browser or a key of its user signs, and this house verifies.

A passkey asks its user (by finger, face or PIN) each time and stays on its device, so it is two factors at once: it
signs in alone, and it is taken where a second factor is asked for.
"""

import hashlib
import struct
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.http.request import split_domain_port
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from apps.accounts.models import Passkey
from apps.accounts.second_factors import SecondFactorRefused, after_removal
from apps.accounts.sign_in_changes import record_of_user
from apps.core.clock import read_now

CHALLENGE = "passkey_challenge"
GOOD_FOR = timedelta(minutes=10)
MOST = 20
FAILED = "This passkey could not be verified. Try again, or use another way."
Answer = Mapping[str, Any]
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError, struct.error)
"""What the library raises, beside its own refusals, for bytes that are cut, nested too deep or of another shape."""


def registration_options(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser is to make a passkey for; the challenge stays in the session."""
    known = [_credential(row) for row in user.passkeys.all()]
    entity = PublicKeyCredentialUserEntity(
        id=str(user.pk).encode(), name=user.email or user.get_username(), display_name=user.get_full_name()
    )
    options, state = _server(request).register_begin(
        entity,
        known,
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    request.session[CHALLENGE] = state
    return dict(options)


def add_passkey(request: HttpRequest, user: User, answer: Answer, *, name: str) -> Passkey:
    """Keep the passkey that the browser made. Raises SecondFactorRefused."""
    if Passkey.objects.filter(user=user).count() >= MOST:
        raise SecondFactorRefused(f"You have {MOST} passkeys: remove one first.")
    try:
        made = _server(request).register_complete(_challenge(request), answer)
    except MALFORMED as error:
        raise SecondFactorRefused("This passkey could not be verified. Try again.") from error
    credential = made.credential_data
    assert credential is not None
    passkey = Passkey(
        user=user,
        name=name.strip()[:64] or "Passkey",
        credential_sha256=_hash_of(credential.credential_id),
        credential=bytes(credential),
        sign_count=made.counter,
    )
    try:
        with transaction.atomic():
            passkey.save(force_insert=True)
            record_of_user(user, "second_factor.add", {"kind": "passkey", "name": passkey.name})
    except IntegrityError as error:
        raise SecondFactorRefused("This passkey is registered already.") from error
    return passkey


@transaction.atomic
def remove_passkey(user: User, passkey_id: int) -> None:
    """Raises SecondFactorRefused where it is the last second factor and an account wants one."""
    found = Passkey.objects.filter(user=user, pk=passkey_id).first()
    if found is not None:
        found.delete()
        after_removal(user, f"passkey {found.name}")


def sign_in_options(request: HttpRequest) -> dict[str, Any]:
    """Any passkey of this house will do: the browser offers those that it has, so nothing is told of any user."""
    options, state = _server(request).authenticate_begin(user_verification=UserVerificationRequirement.REQUIRED)
    request.session[CHALLENGE] = state
    if not request.user.is_authenticated:
        request.session.set_expiry(GOOD_FOR)
    return dict(options)


def user_of_passkey(request: HttpRequest, answer: Answer) -> User:
    """Whose passkey signed the challenge. Raises SecondFactorRefused."""
    state = _challenge(request)
    try:
        signed = AuthenticationResponse.from_dict(answer)
        passkey = Passkey.objects.select_related("user").get(credential_sha256=_hash_of(signed.raw_id))
        _server(request).authenticate_complete(state, [_credential(passkey)], signed)
    except (*MALFORMED, Passkey.DoesNotExist) as error:
        raise SecondFactorRefused(FAILED) from error
    if not passkey.user.is_active or not _note_use(passkey, signed.response.authenticator_data.counter):
        raise SecondFactorRefused(FAILED)
    return passkey.user


def _note_use(passkey: Passkey, counter: int) -> bool:
    """A counter that does not move on is that of a copy; those that count nothing stay at 0 (WebAuthn 6.1.1)."""
    moves_on = Q(sign_count__lt=counter) if counter else Q(sign_count=0)
    used = Passkey.objects.filter(moves_on, pk=passkey.pk)
    return used.update(sign_count=counter, last_used_at=read_now()) == 1


def _server(request: HttpRequest) -> Fido2Server:
    host = request.get_host()
    origin = f"{request.scheme}://{host}"
    entity = PublicKeyCredentialRpEntity(id=split_domain_port(host)[0], name="Flowmend")
    return Fido2Server(entity, verify_origin=lambda told: told == origin)


def _challenge(request: HttpRequest) -> Any:
    """It is good once. Raises SecondFactorRefused where none was asked for."""
    state = request.session.pop(CHALLENGE, None)
    if state is None:
        raise SecondFactorRefused("This page is out of date: reload it and try again.")
    return state


def _credential(passkey: Passkey) -> AttestedCredentialData:
    return AttestedCredentialData(bytes(passkey.credential))


def _hash_of(credential_id: bytes) -> str:
    return hashlib.sha256(credential_id).hexdigest()


def no_passkeys_here(request: HttpRequest) -> str:
    """Why passkeys cannot work at the address that the browser shows; empty if they can (WebAuthn 5.1.2)."""
    host = split_domain_port(request.get_host())[0]
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        return "Passkeys need a host name in the address, such as localhost, not a number."
    if request.is_secure() or host == "localhost":
        return ""
    return "Passkeys work over HTTPS only."
