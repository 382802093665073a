"""What is shown once, such as a new token: until then it waits in its maker's session, encrypted."""

from dataclasses import dataclass

from django.http import HttpRequest

from apps.core.crypto import Sealed, SecretUnreadableError, open_json, seal_json


@dataclass(frozen=True)
class Once:
    """A secret, and the key of what it belongs to."""

    key: int
    text: str


def show_once(request: HttpRequest, kind: str, key: int, text: str) -> None:
    """Keep it for the next page that asks for this kind; one that was not shown yet gives way."""
    sealed = seal_json({"key": key, "text": text})
    request.session[_name(kind)] = [sealed.data.decode(), sealed.key_id]


def taken(request: HttpRequest, kind: str) -> Once | None:
    """What waits, which is gone from then on; None where nothing does, or no key opens it any more."""
    kept = request.session.pop(_name(kind), None)
    if kept is None:
        return None
    try:
        found = open_json(Sealed(kept[0].encode(), kept[1]))
    except SecretUnreadableError:
        return None
    return Once(int(str(found["key"])), str(found["text"]))


def _name(kind: str) -> str:
    return f"once_{kind}"
