"""`manage.py token`: make, list and revoke API tokens."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from apps.accounts.models import Account, Member, Role, Token
from apps.accounts.tokens import SCOPES, Scope, issue_token, revoke_token
from apps.core.clock import wall_now
from apps.execution.cli import AccountCommand, Options, table


class Command(AccountCommand):
    help = "Makes, lists and revokes API tokens. A token is shown once, when it is made."

    def subcommands(self) -> Mapping[str, Any]:
        return {"create": self.create, "list": self.list_tokens, "revoke": self.revoke}

    def fill(self, name: str, parser: CommandParser) -> None:
        if name == "create":
            create_arguments(parser)
        elif name == "revoke":
            parser.add_argument("prefix", metavar="PREFIX", help="How the token begins, as token list shows it.")

    def create(self, account: Account, options: Options) -> None:
        """Make a token; it stands alone on the last line, and nowhere else."""
        days = options["days"]
        expires_at = wall_now() + timedelta(days=days) if days else None
        member = chosen_member(account, options["member"])
        scopes = [Scope(name) for name in options["scope"] or [Scope.FULL]]
        token, text = issue_token(member=member, name=options["name"], scopes=scopes, expires_at=expires_at)
        until = f", good until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else ""
        about = f"A token of {member} in {account.name} for {', '.join(token.scopes)}{until}. It is shown only now:"
        self.answer(row_of(token) | {"token": text}, [about, text])

    def list_tokens(self, account: Account, options: Options) -> None:
        """List the account's tokens, which themselves are kept nowhere."""
        tokens = Token.objects.of(account).select_related("member__user").order_by("pk")
        rows = [row_of(token) for token in tokens]
        head = ["TOKEN", "NAME", "MEMBER", "SCOPES", "STATE", "LAST USED"]
        lines = table([head, *map(cells_of, rows)]) if rows else ["There is no token yet: manage.py token create"]
        self.answer(rows, lines)

    def revoke(self, account: Account, options: Options) -> None:
        """Revoke a token: from now on it opens nothing."""
        token = Token.objects.of(account).filter(prefix=options["prefix"].replace("\x00", "")).first()
        if token is None:
            raise CommandError(f"There is no token that begins with {options['prefix']}: see manage.py token list.")
        word = "is revoked" if revoke_token(token=token) else "was revoked before"
        self.answer({"prefix": token.prefix, "revoked": True}, [f"{token.prefix} {word}."])


def create_arguments(parser: CommandParser) -> None:
    parser.add_argument("--member", metavar="EMAIL", help="Whose token it is; the account's first owner unless told.")
    parser.add_argument("--scope", action="append", choices=[scope.value for scope in Scope],
                        help="What it is for; may be repeated; full unless told. "
                        + " ".join(f"{name}: {about}." for name, about in SCOPES.items()))  # fmt: skip
    parser.add_argument("--name", default="", help="What it is called in lists.")
    parser.add_argument("--days", type=int, default=0, help="How long it is good; for ever unless told.")


def chosen_member(account: Account, email: str | None) -> Member:
    """The member with this e-mail address or user name, else the first owner. Raises CommandError."""
    members = Member.objects.of(account).filter(disabled_at__isnull=True, user__is_active=True)
    members = members.select_related("user", "account").order_by("pk")
    if email is None:
        found = members.filter(role=Role.OWNER).first()
    else:
        found = members.filter(Q(user__email__iexact=email) | Q(user__username=email)).first()
    if found is None:
        raise CommandError(f"There is no active {'owner' if email is None else f'member {email}'} in {account.name}.")
    return found


def row_of(token: Token) -> dict[str, Any]:
    """What may be told about a token."""
    return {
        "prefix": token.prefix,
        "name": token.name,
        "member": str(token.member),
        "scopes": token.scopes,
        "state": state_of(token),
        "last_used_at": token.last_used_at,
        "expires_at": token.expires_at,
    }


def state_of(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= wall_now() else "good"


def cells_of(row: Mapping[str, Any]) -> list[str]:
    used: datetime | None = row["last_used_at"]
    when = f"{used:%Y-%m-%d %H:%M} UTC" if used else "never"
    return [row["prefix"] + "…", row["name"] or "-", row["member"], ", ".join(row["scopes"]), row["state"], when]
