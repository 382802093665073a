"""Takes secrets out of what people may see: by the names of fields, and by the exact secrets of a connection.

One rule for logs, errors, captured requests and answers, audit entries and bundles. Plain Python, no state but the
secrets that were told.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SHORTEST = 4
"""A shorter secret is hidden by the name of its field only: cutting it out of texts would tear them to pieces."""
LONG_LINE = 16

SECRET_NAMES = frozenset(
    {
        "access_key", "access_token", "api_key", "apikey", "auth_token", "authorization", "bearer_token",
        "client_assertion", "client_secret", "cookie", "credential", "credentials", "csrf_token", "id_token",
        "passphrase", "passwd", "password", "private_key", "proxy_authorization", "pwd", "refresh_token", "secret",
        "secret_key", "session_id", "sessionid", "set_cookie", "sig", "signature", "token", "x_api_key",
        "x_auth_token", "x_csrf_token",
    }
)  # fmt: skip
SECRET_ENDINGS = ("_password", "_secret", "_api_key", "_apikey", "_access_token", "_private_key", "_secret_key")

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARAMETER = re.compile(r"([?&;]|\b)([A-Za-z0-9_.\-]{2,40})=([^&\s\"'<>#;,]+)")
_NAME = r"([A-Za-z0-9_.\-]{2,40})"
_IN_JSON = re.compile(rf'("{_NAME}"\s*:\s*")(?:[^"\\]|\\.)+(?=")')
_IN_PYTHON = re.compile(rf"('{_NAME}'\s*:\s*')(?:[^'\\]|\\.)+(?=')")
_IN_JSON_TEXT = re.compile(rf'(\\"{_NAME}\\"\s*:\s*\\")[^"]{{1,2000}}?(?=\\")')  # JSON within a text of JSON
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest|ApiKey|Token)(\s+)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^/\s:@]{0,200}):[^/\s@]{1,500}@")


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """The value (a text, or JSON) with every secret replaced by `[hidden]`."""
    return Redactor(secrets).value(value)


def is_secret_name(name: str) -> bool:
    """Whether a field, header or parameter of this name holds a secret."""
    plain = _SEPARATORS.sub("_", _CAMEL.sub("_", name).lower()).strip("_")
    return plain in SECRET_NAMES or plain.endswith(SECRET_ENDINGS)


class Redactor:
    """Knows the secrets of one connection. `add` tells it those that come up later (access tokens)."""

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        if len(secret) >= SHORTEST and secret not in self._secrets:
            self._secrets.add(secret)
            self._pattern = None

    def hides(self, name: str) -> bool:
        return name.lower() in self._names or is_secret_name(name)

    def text(self, text: str) -> str:
        """A text without the secrets, their encoded forms, and values that follow a telling name."""
        if self._secrets:
            text = self._known().sub(HIDDEN, text)
        text = _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
        text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
        if ":" in text:
            for pattern in (_IN_JSON_TEXT, _IN_JSON, _IN_PYTHON):
                text = pattern.sub(self._quoted, text)
        return _PARAMETER.sub(self._parameter, text) if "=" in text else text

    def value(self, value: Any) -> Any:
        """JSON of any depth; the names of fields are texts too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.field(str(name), part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return HIDDEN if str(value) in self._secrets else value
        return value

    def field(self, name: str, value: Any) -> Any:
        if self.hides(name) and value not in (None, "") and not isinstance(value, bool | dict | list):
            return HIDDEN
        return self.value(value)

    def _parameter(self, found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}={HIDDEN}" if self.hides(found[2]) else found[0]

    def _quoted(self, found: re.Match[str]) -> str:
        return f"{found[1]}{HIDDEN}" if self.hides(found[2]) else found[0]

    def _known(self) -> re.Pattern[str]:
        if self._pattern is None:
            forms = {form for secret in self._secrets for form in forms_of(secret) if len(form) >= SHORTEST}
            self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
        return self._pattern


def forms_of(secret: str) -> Iterator[str]:
    """The secret as it may turn up: itself, in an address, in JSON, in HTML, in hexadecimal, in base 64."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield escape(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield from base64_forms(raw)
    yield from (line for line in secret.splitlines() if len(line) >= LONG_LINE)


def base64_forms(raw: bytes) -> Iterator[str]:
    """What base 64 makes of the secret wherever it stands in a longer text: three alignments, their edges cut off."""
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + raw).decode()
        begin = -(-shift * 8 // 6)
        end = (shift + len(raw)) * 8 // 6
        middle = encoded[begin:end]
        if len(middle) >= 2 * SHORTEST or shift == 0:
            yield middle
            yield middle.translate(URL_SAFE)
            yield quote(middle, safe="")


URL_SAFE = str.maketrans("+/", "-_")
