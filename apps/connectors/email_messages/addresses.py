"""E-mail addresses: read strictly, written safely, and judged by their domain."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress

MOST_RECIPIENTS = 100
ANY_DOMAIN = "*"

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PARTS = re.compile(r'(?:"[^"]*"|<[^<>]*>|[^,;"<>])+')
_NAMED = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^"<>]*?))\s*<\s*(?P<address>[^<>]+?)\s*>\s*')


class AddressError(ValueError):
    """A text that is no address, or one that may not be written to; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. `domain` in small letters, in ASCII."""

    local: str
    domain: str
    name: str = ""

    @property
    def spec(self) -> str:
        return f"{self.local}@{self.domain}"

    def for_header(self) -> HeaderAddress:
        return HeaderAddress(self.name, self.local, self.domain)


def parse_addresses(text: str) -> list[Address]:
    """The addresses of a list by commas or semicolons: `a@x.org, Ann <ann@x.org>`. Raises AddressError."""
    found = [parse_address(part) for part in parts_of(text)]
    if len(found) > MOST_RECIPIENTS:
        raise AddressError(f"There are {len(found)} addresses; one message goes to at most {MOST_RECIPIENTS}.")
    return found


def parts_of(text: str) -> Iterator[str]:
    rest = _PARTS.sub("", text).translate({ord(","): None, ord(";"): None})
    if rest.strip():
        raise AddressError(f'"{shown(text)}" is no list of e-mail addresses: a quote or a bracket is left open.')
    for part in _PARTS.findall(text):
        if part.strip():
            yield part


def parse_address(text: str) -> Address:
    """One address, with a name or without. Raises AddressError."""
    match = _NAMED.fullmatch(text)
    spec = match["address"] if match else text.strip()
    name = ((match["quoted"] or match["plain"] or "") if match else "").strip()
    local, sign, domain = spec.rpartition("@")
    ascii_domain = in_ascii(domain)
    if not sign or len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(ascii_domain):
        raise AddressError(f'"{shown(text)}" is no e-mail address.')
    return Address(local, ascii_domain, name)


def in_ascii(domain: str) -> str:
    """A domain as it goes over the wire; "" for what is none."""
    try:
        return domain.lower().encode("idna").decode() if len(domain) <= 255 else ""
    except UnicodeError:
        return ""


def refuse_foreign(address: Address, allowed: Collection[str]) -> None:
    """Raises AddressError unless the domain is allowed, or lies below one that is allowed as `*.example.org`."""
    if ANY_DOMAIN in allowed or address.domain in allowed:
        return
    parents = address.domain.split(".")
    if any("*." + ".".join(parents[start:]) in allowed for start in range(1, len(parents))):
        return
    raise AddressError(
        f"{address.spec} may not be written to: the connection allows {', '.join(sorted(allowed)[:5])} only."
    )


def check_domain(text: str) -> str:
    """A domain of a connection's list: example.org, *.example.org or *."""
    if text == ANY_DOMAIN:
        return text
    domain = in_ascii(text.removeprefix("*."))
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f'"{shown(text)}" is no domain such as example.org or *.example.org.')
    return f"*.{domain}" if text.startswith("*.") else domain


def shown(text: str) -> str:
    return text.strip()[:80].encode("utf-8", "replace").decode()
