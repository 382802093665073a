"""What all workers of a connection share, over processes and machines: the gate, the pace and the access token.

The rows decide, by compare-and-swap; no transaction is held while a token is renewed at the application.
"""

import time
from dataclasses import asdict, dataclass
from typing import TypeGuard

from django.db.models import F, Q
from django.db.models.functions import Greatest

from apps.connectors.shared import Renew, Token
from apps.core.crypto import Sealed, SecretUnreadableError, open_json, seal_json
from apps.core.transactions import repeated
from apps.flows.models import Share

RENEWAL_S = 90.0
"""A worker that renews a token for longer is taken for dead, and another one renews it."""
LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class DatabaseShared:
    """The `Shared` of one account's connections, in the table `share`."""

    account: int

    def gate(self, key: str) -> float:
        closed = Share.objects.of(self.account).filter(key=key).values_list("gate", flat=True).first()
        return closed or 0.0

    @repeated
    def close_gate(self, key: str, until: float) -> None:
        self._row(key)
        Share.objects.of(self.account).filter(key=key).update(gate=Greatest(F("gate"), until))

    @repeated
    def reserve(self, key: str, seconds: float) -> float:
        self._row(key)
        share = Share.objects.of(self.account).select_for_update().get(key=key)
        begin: float = max(share.booked, time.time())
        share.booked = begin + seconds
        share.save(update_fields=["booked"])
        return begin

    def token(self, key: str, renew: Renew, stale: str) -> Token:
        """The token, renewed by one worker while the others wait for it. What `renew` raises goes through."""
        share = self._row(key)
        while True:
            found = token_of(share)
            if is_good(found, stale):
                return found
            if self._claim(key):
                return self._renewed(key, renew, stale)
            time.sleep(LOOK_EVERY_S)
            share = self._row(key)

    @repeated
    def _claim(self, key: str) -> bool:
        free = Q(renewing_until__isnull=True) | Q(renewing_until__lt=time.time())
        mine = Share.objects.of(self.account).filter(free, key=key)
        return bool(mine.update(renewing_until=time.time() + RENEWAL_S))

    def _renewed(self, key: str, renew: Renew, stale: str) -> Token:
        try:
            last = token_of(self._row(key))
            token = last if is_good(last, stale) else renew(last)  # another worker may have been quicker
        except BaseException:
            self._set(key, renewing_until=None)
            raise
        sealed = seal_json(asdict(token))
        self._set(key, token=sealed.data, token_key_id=sealed.key_id, renewing_until=None)
        return token

    @repeated
    def _set(self, key: str, **values: object) -> None:
        Share.objects.of(self.account).filter(key=key).update(**values)

    @repeated
    def _row(self, key: str) -> Share:
        share: Share
        share, _ = Share.objects.of(self.account).get_or_create(key=key, defaults={"account_id": self.account})
        return share


def is_good(token: Token | None, stale: str) -> TypeGuard[Token]:
    return token is not None and token.access != stale and token.is_fresh(time.time())


def token_of(share: Share) -> Token | None:
    """The stored token; none if it cannot be read any more, then it is renewed."""
    if share.token is None:
        return None
    try:
        values = open_json(Sealed(bytes(share.token), share.token_key_id))
    except SecretUnreadableError:
        return None
    return Token(str(values["access"]), float(str(values["expires_at"])), str(values["refresh"]))
