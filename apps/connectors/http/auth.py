"""Signs requests in: by what the connection's config says, and only towards the connection's own origin."""

import asyncio
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson
from multidict import CIMultiDict
from yarl import URL

from apps.connectors.http.config import HttpConfig
from apps.connectors.http.faults import not_sent, place_of
from apps.connectors.http.loop import in_caller
from apps.connectors.http.wire import Answer, FaultError, Request
from apps.connectors.redaction import HIDDEN, Redactor
from apps.connectors.shared import Shared, Token

MARGIN_S = 30.0
"""A token is renewed so long before it expires (a tenth of its life if that is less)."""


class Credentials:
    """What the config itself holds; access tokens come from `Tokens`."""

    def __init__(self, config: HttpConfig) -> None:
        self.home = URL(config.base_url).origin()
        self.is_oauth = config.auth.startswith("oauth2")
        secrets = config.secrets()
        self._header: tuple[str, str] | None = None
        self.parameter: tuple[str, str] | None = None
        if config.auth == "basic":
            self._header = ("Authorization", basic(config.user, secrets["password"]))
        elif config.auth == "bearer":
            self._header = ("Authorization", f"Bearer {secrets['bearer_token']}")
        elif config.auth == "api_key" and config.key_in == "header":
            self._header = (config.key_name, secrets["api_key"])
        elif config.auth == "api_key":
            self.parameter = (config.key_name, secrets["api_key"])

    def is_home(self, url: URL) -> bool:
        """Whether an address belongs to the connection itself: scheme, host and port."""
        return url.origin() == self.home

    def sign(self, url: URL, headers: CIMultiDict[str], access: str) -> URL:
        """Put the credentials in; the headers are changed, the address is returned."""
        if access:
            headers["Authorization"] = f"Bearer {access}"
        if self._header is not None:
            headers[self._header[0]] = self._header[1]
        if self.parameter is None:
            return url
        return url.update_query({self.parameter[0]: self.parameter[1]})

    def shown(self) -> dict[str, str]:
        """The header that signs in, as people may see it."""
        name = "Authorization" if self.is_oauth else (self._header or ("",))[0]
        return {name: HIDDEN} if name else {}

    def strip(self, url: URL) -> URL:
        """An address as the application gave it, without our key, if it says that back."""
        if self.parameter is None or self.parameter[0] not in url.query:
            return url
        return url.without_query_params(self.parameter[0])


class Tokens:
    """The access token of OAuth 2, got when it is first needed and renewed once for all who wait for it."""

    def __init__(self, config: HttpConfig, shared: Shared, key: str, redactor: Redactor, fetcher: Any) -> None:
        self._config = config
        self._shared = shared
        self._key = key
        self._redactor = redactor
        self._fetcher = fetcher
        self._token: Token | None = None
        self._renewing = asyncio.Lock()

    async def access(self, stale: str = "") -> str:
        """An access token that is not `stale`. Raises FaultError: the request itself was not sent."""
        async with self._renewing:
            token = self._token
            if token is None or token.access == stale or not token.is_fresh(time.time()):
                loop = asyncio.get_running_loop()

                def renew(last: Token | None) -> Token:
                    return asyncio.run_coroutine_threadsafe(self._fetch(last), loop).result()

                token = self._token = await in_caller(lambda: self._shared.token(self._key, renew, stale))
                for secret in (token.access, token.refresh):
                    self._redactor.add(secret)
            return token.access

    async def _fetch(self, last: Token | None) -> Token:
        url = URL(self._config.oauth_url, encoded=True)
        try:
            answer: Answer = await self._fetcher(self._request(url, last))
        except FaultError as fault:
            raise not_sent("auth", f"No access token could be got: {fault.message}") from None
        given = as_object(answer.body)
        if not answer.is_good or not isinstance(given.get("access_token"), str):
            raise not_sent("auth", refused(url, answer, given))
        return token_of(given, last)

    def _request(self, url: URL, last: Token | None) -> Request:
        config, secrets = self._config, self._config.secrets()
        fields = {"grant_type": "client_credentials"}
        if config.auth == "oauth2_refresh":
            refresh = (last.refresh if last else "") or secrets["refresh_token"]
            fields = {"grant_type": "refresh_token", "refresh_token": refresh}
        if config.oauth_scope:
            fields["scope"] = config.oauth_scope
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        secret = secrets.get("client_secret", "")
        if config.client_in == "header" and secret:
            headers["Authorization"] = basic(quote_plus(config.client_id), quote_plus(secret))
        else:
            fields["client_id"] = config.client_id
            fields |= {"client_secret": secret} if secret else {}
        return Request("POST", url, headers, urlencode(fields).encode())


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def token_of(given: dict[str, Any], last: Token | None) -> Token:
    life = given.get("expires_in")
    life_s = float(life) if isinstance(life, int | float | str) and str(life).replace(".", "", 1).isdigit() else 0.0
    expires_at = time.time() + life_s - min(MARGIN_S, life_s / 10) if life_s else 0.0
    refresh = given.get("refresh_token")
    kept = last.refresh if last else ""
    return Token(given["access_token"], expires_at, refresh if isinstance(refresh, str) else kept)


def refused(url: URL, answer: Answer, given: dict[str, Any]) -> str:
    why = given.get("error_description") or given.get("error")
    words = f": {str(why)[:200]}" if isinstance(why, str) and why else ""
    what = f"answered {answer.status}{words}" if not answer.is_good else "gave none in its answer"
    return f"No access token could be got: {place_of(url)} {what}."


def as_object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
