"""A second factor: set up, asked for at the sign-in, recovered, removed, and required by an account."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from fido2 import cbor
from fido2.utils import websafe_encode

from apps.accounts.authenticator import code_of, matching_step, step_at
from apps.accounts.models import Account, AuditEntry, AuthenticatorApp, Member, Passkey, RecoveryCode, Role
from apps.core.clock import frozen
from tests.console.screens import html_of, signed_in
from tests.console.signing import HERE, PASSWORD, browser_of, code_now, codes_in, is_signed_in, set_up_app, sign_in
from tests.factories import make_account, make_member, make_user
from tests.fakes.passkey import SoftPasskey

pytestmark = pytest.mark.django_db
NEXT = "/errors/?view=list"


@pytest.fixture
def ana(account: Account) -> User:
    return make_member(account, user=make_user("ana", password=PASSWORD), role=Role.ADMINISTRATOR).user


@pytest.fixture
def browser(ana: User) -> Client:
    return browser_of(ana)


# --- the authenticator app -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("moment", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(moment: int, code: str) -> None:
    assert code_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", moment // 30) == code  # RFC 6238, appendix B


def test_wide_digits_are_digits_and_other_letters_are_no_code(noon: datetime) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    code = code_of(secret, step_at(noon))
    assert matching_step(secret, "".join(chr(ord(digit) + 0xFEE0) for digit in code), noon) == step_at(noon)
    assert matching_step(secret, "٣" * 6, noon) is None


def test_an_app_is_set_up_by_its_picture_and_its_first_code(browser: Client, ana: User) -> None:
    browser.post(f"{HERE}app/begin")
    page = html_of(browser, f"{HERE}app/")
    assert 'src="data:image/png;base64,' in page
    assert bytes(AuthenticatorApp.objects.get().secret).startswith(b"gAAAA")  # encrypted
    refused = browser.post(f"{HERE}app/", {"code": "000000"}).content.decode()
    assert "This is not the code that the app shows now" in refused
    assert AuthenticatorApp.objects.get().confirmed_at is None
    done = browser.post(f"{HERE}app/", {"code": code_now(ana)}, follow=True).content.decode()
    assert "The authenticator app is set up." in done
    codes = codes_in(done)
    assert len(codes) == 10
    assert not codes_in(html_of(browser, HERE))  # shown once
    assert not RecoveryCode.objects.filter(sha256__in=codes).exists()
    assert AuditEntry.objects.of(ana.memberships.get().account).filter(act="second_factor.add").count() == 1


def test_after_the_password_the_code_is_asked_for_and_taken_once(
    browser: Client, ana: User, noon: datetime, client: Client
) -> None:
    set_up_app(browser, ana)
    with frozen(noon + timedelta(minutes=1)):
        code = code_now(ana)
        answer = sign_in(client, "ana", next=NEXT, stay="on")
        assert (answer.url, is_signed_in(client)) == ("/login/code/", False)
        assert client.get("/errors/").status_code == 302
        assert client.post("/login/code/", {"code": f"{code[:3]} {code[3:]}"}).url == NEXT
        assert is_signed_in(client)
        assert client.session.get_expiry_age() == 14 * 86400
        again = Client()
        sign_in(again, "ana")
        assert "was used already" in again.post("/login/code/", {"code": code}).content.decode()
        assert not is_signed_in(again)


def test_codes_cannot_be_tried_without_end(browser: Client, ana: User, noon: datetime, client: Client) -> None:
    set_up_app(browser, ana)
    sign_in(client, "ana")
    answers = [client.post("/login/code/", {"code": "000000"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429, 429]
    assert "the next one is possible at 12:15:00 UTC" in answers[-1].content.decode()
    with frozen(noon + timedelta(minutes=1)):
        assert client.post("/login/code/", {"code": code_now(ana)}).status_code == 429
    with frozen(noon + timedelta(minutes=15)):
        sign_in(client, "ana")
        assert client.post("/login/code/", {"code": code_now(ana)}).status_code == 302


def test_the_second_step_is_there_for_ten_minutes_and_for_this_password(
    browser: Client, ana: User, noon: datetime, client: Client
) -> None:
    set_up_app(browser, ana)
    assert client.get("/login/code/").url == "/login/"
    sign_in(client, "ana")
    with frozen(noon + timedelta(minutes=10)):
        assert client.post("/login/code/", {"code": code_now(ana)}).url == "/login/"
    sign_in(client, "ana")
    ana.set_password("another password")
    ana.save()
    with frozen(noon + timedelta(minutes=1)):
        assert client.post("/login/code/", {"code": code_now(ana)}).url == "/login/"
    assert not is_signed_in(client)


def test_a_recovery_code_signs_in_once_and_new_ones_make_the_old_ones_useless(
    browser: Client, ana: User, client: Client
) -> None:
    code, other = set_up_app(browser, ana)[:2]
    sign_in(client, "ana")
    page = client.post("/login/code/", {"code": code.upper().replace("-", " ")}, follow=True).content.decode()
    assert "This recovery code is used up: 9 are left." in page
    client.logout()
    sign_in(client, "ana")
    assert client.post("/login/code/", {"code": code}).status_code == 200
    new = codes_in(browser.post(f"{HERE}recovery-codes/renew", follow=True).content.decode())
    assert client.post("/login/code/", {"code": other}).status_code == 200
    assert client.post("/login/code/", {"code": new[0]}).status_code == 302


def test_removing_the_last_factor_asks_for_it_no_more(browser: Client, ana: User, client: Client) -> None:
    set_up_app(browser, ana)
    browser.post(f"{HERE}app/remove")
    assert not RecoveryCode.objects.exists()
    assert sign_in(client, "ana").url == "/"


def test_changing_how_one_signs_in_asks_who_one_is_after_a_quarter_of_an_hour(
    ana: User, noon: datetime, client: Client
) -> None:
    browser = browser_of(ana)
    assert browser.get(HERE).status_code == 200
    with frozen(noon + timedelta(minutes=15)):
        assert browser.get(HERE).url == "/login/confirm/?next=%2Fprofile%2Fsign-in%2F"
        assert browser.post(f"{HERE}app/begin").url == "/login/confirm/?next=%2Fprofile%2Fsign-in%2F"
        assert not AuthenticatorApp.objects.exists()
        wrong = browser.post("/login/confirm/", {"password": "wrong", "next": HERE})
        assert "This is not your password." in wrong.content.decode()
        assert browser.post("/login/confirm/", {"password": PASSWORD, "next": "https://evil.example/"}).url == HERE
        assert browser.get(HERE).status_code == 200


# --- passkeys --------------------------------------------------------------------------------------------------------
def register(browser: Client, passkey: SoftPasskey) -> Any:
    options = browser.post(f"{HERE}passkeys/options").json()
    assert options["publicKey"]["authenticatorSelection"]["userVerification"] == "required"
    answer = {"answer": passkey.make(options), "name": "Phone"}
    return browser.post(f"{HERE}passkeys/add", answer, follow=True).content.decode()


def use(client: Client, passkey: SoftPasskey, **more: str) -> Any:
    options = client.post("/login/passkey/options").json()
    return client.post("/login/passkey/sign-in", {"answer": passkey.sign(options), **more})


@pytest.fixture
def newcomer() -> Client:
    """A browser in which nobody is signed in, at an address where passkeys work."""
    return Client(SERVER_NAME="localhost")


def test_a_passkey_signs_in_without_a_password_and_counts_as_second_factor(
    browser: Client, ana: User, newcomer: Client
) -> None:
    passkey = SoftPasskey()
    page = register(browser, passkey)
    assert "The passkey Phone is registered." in page
    assert len(codes_in(page)) == 10
    assert use(newcomer, passkey, next=NEXT).url == NEXT
    assert newcomer.session["_auth_user_id"] == str(ana.pk)
    assert newcomer.session["second_factor"] is True
    assert Passkey.objects.get().last_used_at is not None


def test_after_a_password_the_passkey_is_the_second_step(browser: Client, newcomer: Client) -> None:
    passkey = SoftPasskey()
    register(browser, passkey)
    assert sign_in(newcomer, "ana", next=NEXT).url == "/login/code/"
    assert "Use a passkey" in html_of(newcomer, "/login/code/")
    assert use(newcomer, passkey).url == NEXT
    assert is_signed_in(newcomer)


def test_an_answer_that_is_not_right_signs_nobody_in(browser: Client, ana: User, newcomer: Client) -> None:
    passkey = SoftPasskey()
    register(browser, passkey)
    options = newcomer.post("/login/passkey/options").json()
    kept = passkey.sign(options)
    newcomer.post("/login/passkey/options")
    elsewhere, unverified = SoftPasskey("http://evil.example"), SoftPasskey(verifies=False)
    for copy in (elsewhere, unverified):
        copy.id, copy.key, copy.counter = passkey.id, passkey.key, passkey.counter
    answers = [
        newcomer.post("/login/passkey/sign-in", {"answer": kept}),  # of an older challenge
        newcomer.post("/login/passkey/sign-in", {"answer": kept}),  # of none
        use(newcomer, SoftPasskey()),  # unknown
        use(newcomer, elsewhere),
        use(newcomer, unverified),
        newcomer.post("/login/passkey/sign-in", {"answer": "[1]"}),
        newcomer.post("/login/passkey/sign-in", {"answer": "no JSON"}),
    ]
    assert [answer.url for answer in answers] == ["/login/"] * 7
    assert use(newcomer, passkey).url == "/"
    newcomer.logout()
    passkey.counter -= 1  # a copy of it, made before
    assert use(newcomer, passkey).url == "/login/"
    ana.is_active = False
    ana.save()
    passkey.counter += 5
    assert use(newcomer, passkey).url == "/login/"


EXTENSIONS = 0x80
"""In the flags of what a passkey signed: something follows."""


@pytest.mark.parametrize(
    "attestation",
    [b"", b"\x81" * 5000, b"\x1a", b"\xa1\x81\x00\x00", "no credential"],
    ids=["empty", "deep", "cut", "odd key", "no credential"],
)
def test_a_malformed_passkey_is_refused_in_words(browser: Client, attestation: Any) -> None:
    passkey = SoftPasskey()
    options = browser.post(f"{HERE}passkeys/options").json()
    answer = json.loads(passkey.make(options))
    if attestation == "no credential":
        data = passkey._data(options["publicKey"]["rp"]["id"])
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
    answer["response"]["attestationObject"] = websafe_encode(attestation)
    page = browser.post(f"{HERE}passkeys/add", {"answer": json.dumps(answer)}, follow=True)
    assert "This passkey could not be verified. Try again." in page.content.decode()


@pytest.mark.parametrize("extensions", [b"", b"\x81" * 5000, b"\x1a"], ids=["empty", "deep", "cut"])
def test_a_malformed_answer_of_a_passkey_signs_nobody_in(newcomer: Client, extensions: bytes) -> None:
    passkey = SoftPasskey()
    options = newcomer.post("/login/passkey/options").json()
    answer = json.loads(passkey.sign(options))
    data = passkey._data(options["publicKey"]["rpId"], EXTENSIONS) + extensions
    answer["response"]["authenticatorData"] = websafe_encode(data)
    assert newcomer.post("/login/passkey/sign-in", {"answer": json.dumps(answer)}).url == "/login/"


def test_a_passkey_is_registered_once_and_removed_by_its_user_only(browser: Client, account: Account) -> None:
    passkey = SoftPasskey()
    register(browser, passkey)
    assert "This passkey is registered already." in register(browser, passkey)
    other = browser_of(make_member(account, user=make_user("bo", password=PASSWORD)).user)
    other.post(f"{HERE}passkeys/{Passkey.objects.get().pk}/remove")
    assert Passkey.objects.count() == 1
    browser.post(f"{HERE}passkeys/{Passkey.objects.get().pk}/remove")
    assert not Passkey.objects.exists()


def test_where_the_address_is_a_number_passkeys_are_not_offered(ana: User) -> None:
    client = Client(SERVER_NAME="127.0.0.1")
    assert "Passkeys need a host name in the address" in html_of(client, "/login/")


# --- required by an account -------------------------------------------------------------------------------------------
@pytest.fixture
def strict(account: Account) -> Account:
    account.second_factor_required = True
    account.save()
    return account


def test_who_has_none_is_led_to_set_it_up_before_anything_else(strict: Account, browser: Client, ana: User) -> None:
    for path in ("/errors/", "/settings/users/", "/profile/", "/help/"):
        assert browser.get(path).url == HERE, path
    assert browser.get("/live/?t=shell&v=1").status_code == 401
    assert browser.post("/theme/choose/", {"theme": "dark"}).url == HERE
    assert f"{strict.name} requires a second factor" in html_of(browser, HERE)
    set_up_app(browser, ana)
    assert browser.get("/errors/").status_code == 200


def test_who_set_it_up_elsewhere_signs_in_with_it(strict: Account, browser: Client, ana: User) -> None:
    set_up_app(browser, ana)
    old = signed_in(ana)  # a session that has shown no second factor
    assert old.get("/errors/?view=list").url == "/login/?next=%2Ferrors%2F%3Fview%3Dlist"
    assert not is_signed_in(old)


def test_the_last_factor_stays_while_an_account_requires_it(strict: Account, browser: Client, ana: User) -> None:
    set_up_app(browser, ana)
    page = browser.post(f"{HERE}app/remove", follow=True).content.decode()
    assert f"{strict.name} requires a second factor: set up another one before you remove this." in page
    assert AuthenticatorApp.objects.exists()


def test_who_is_held_up_may_choose_another_account_and_sign_out(strict: Account, browser: Client, ana: User) -> None:
    other = make_member(make_account("Zoo"), user=ana).account
    assert browser.get("/errors/").url == HERE
    browser.post("/account/choose/", {"account": other.pk})
    assert browser.get("/errors/").status_code == 200
    assert browser.post("/logout/").url == "/login/"
    elsewhere = make_member().user
    assert signed_in(elsewhere).get("/errors/").status_code == 200


def test_an_administrator_requires_it_and_a_manager_does_not(
    browser: Client, account: Account, member: Member, page: Client
) -> None:
    assert page.post("/settings/users/second-factor", {"required": "1"}).status_code == 403
    browser.post("/settings/users/second-factor", {"required": "1"})
    account.refresh_from_db()
    assert account.second_factor_required
    entry = AuditEntry.objects.of(account).get(act="account.change")
    assert entry.after == {"second_factor_required": True}
