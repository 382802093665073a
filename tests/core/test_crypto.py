"""Secrets at rest."""

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from apps.core.crypto import (
    SecretUnreadableError,
    current_key_id,
    decrypt,
    encrypt,
    open_json,
    rotate,
    seal_json,
)

ANY_TEXT = "correct horse battery staple"
FERNET = Fernet.generate_key().decode()


@pytest.mark.parametrize("key", [ANY_TEXT, FERNET, "x", "schlüssel"], ids=["words", "fernet", "short", "umlaut"])
def test_any_text_is_a_key(settings, key):
    settings.FIELD_KEYS = [key]
    sealed = encrypt(b"hunter2")
    assert b"hunter2" not in sealed
    assert decrypt(sealed) == b"hunter2"


def test_a_wrong_key_is_an_error_that_says_which_key_is_missing(settings):
    settings.FIELD_KEYS = [ANY_TEXT]
    sealed = seal_json({"password": "hunter2"})
    settings.FIELD_KEYS = [FERNET]
    with pytest.raises(SecretUnreadableError, match=rf"sealed with key {sealed.key_id}.*set the secret again"):
        open_json(sealed)


@pytest.mark.parametrize("damaged", [b"", b"nonsense", b"gAAAAA"])
def test_damaged_bytes_are_an_error(damaged):
    with pytest.raises(SecretUnreadableError):
        decrypt(damaged)


def test_an_older_key_still_opens_and_rotation_seals_with_the_newest(settings):
    settings.FIELD_KEYS = ["old"]
    sealed = seal_json({"password": "hunter2"})
    settings.FIELD_KEYS = ["new", "old"]
    assert open_json(sealed) == {"password": "hunter2"}
    again = rotate(sealed.data, sealed.key_id)
    assert again.key_id == current_key_id() != sealed.key_id
    settings.FIELD_KEYS = ["new"]
    assert open_json(again) == {"password": "hunter2"}


def test_a_sealed_value_never_shows_in_a_log():
    assert "gAAAA" not in repr(seal_json({"password": "hunter2"}))


def test_without_a_key_nothing_is_stored(settings):
    settings.FIELD_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="FIELD_KEYS is empty"):
        encrypt(b"hunter2")
