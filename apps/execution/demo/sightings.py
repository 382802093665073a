"""The observers of the demo: every few minutes they send what they have seen, signed, to the flow Sightings.

What they see is made of real reports. One sighting in ten is wrong in one of three ways, as people write things.
"""

import csv
import hmac
import json
import logging
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.db import close_old_connections

from apps.accounts.models import Account
from apps.core.crypto import SecretUnreadableError
from apps.execution.demo import ACCOUNT
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Connection, Flow, Hook
from apps.flows.secrets import read_secrets

logger = logging.getLogger(__name__)

DATA = Path(__file__).resolve().parent / "data" / "birdstrikes.csv"
FLOW, CONNECTION = "sightings", "Observers"
PER_REQUEST = 30
EVERY_S = 180.0
MOST_S = 10.0  # of one request
FAULTY_EVERY, DRILL_EVERY = 10, 15


def sightings(first: int, count: int = PER_REQUEST) -> list[dict[str, Any]]:
    """`count` sightings from the number `first` on; the same numbers make the same sightings."""
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = list(islice(csv.DictReader(file), first, first + count))
    return [sighting(number, row) for number, row in enumerate(rows, first)]


def sighting(number: int, row: dict[str, str]) -> dict[str, Any]:
    seen = {"on": row["Flight Date"], "at": row["Airport Name"], "time_of_day": row["Time of day"]}
    animal: dict[str, Any] = {
        "species": row["Wildlife Species"],
        "size": row["Wildlife Size"],
        "count": 1 + number % 7,
    }
    if number % FAULTY_EVERY == FAULTY_EVERY - 1:
        spoil(number // FAULTY_EVERY, seen, animal)
    return {"id": f"S-{number:05}", "seen": seen, "animal": animal, "drill": number % DRILL_EVERY == 2}


def spoil(turn: int, seen: dict[str, Any], animal: dict[str, Any]) -> None:
    """A day that no calendar has, no species, or fewer than no animals."""
    if turn % 3 == 0:
        seen["on"] = f"{seen['on'][:4]}-02-30"
    elif turn % 3 == 1:
        animal["species"] = ""
    else:
        animal["count"] = -1


def body_of(first: int, count: int = PER_REQUEST) -> bytes:
    return json.dumps({"sightings": sightings(first, count)}).encode()


def send_signed(address: str, secret: str, body: bytes) -> int:
    """The status of the answer. Raises OSError where nobody answers, URLError (one of them) for a refusal."""
    signature = hmac.new(secret.encode(), body, sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature": signature}
    request = Request(address, data=body, headers=headers, method="POST")  # noqa: S310 (the product's own address)
    with urlopen(request, timeout=MOST_S) as answer:  # noqa: S310
        return int(answer.status)


def send_next(first: int) -> bool:
    """Send the sightings from `first` on. False where the flow is gone or nobody took them in."""
    hook = hook_of_demo()
    if hook is None:
        return False
    connection = Connection.objects.of(hook.account_id).get(steps=hook.step_id)
    try:
        return send_signed(hook_address(hook), read_secrets(connection)["secret"], body_of(first)) == 202
    except (SecretUnreadableError, KeyError, URLError, OSError) as error:
        logger.warning("The demo's sightings were not taken in: %s", error)
        return False


def hook_of_demo() -> Hook | None:
    account = Account.objects.filter(name=ACCOUNT, closed_at__isnull=True).first()
    if account is None:
        return None
    flow: Flow | None = Flow.objects.of(account).present().filter(key=FLOW, enabled=True).first()
    return hook_of(flow) if flow is not None else None


def keep_sending() -> None:
    """For as long as the process lives. The sightings that the installation sent come first, so these go on."""
    first = PER_REQUEST
    while True:
        time.sleep(EVERY_S)
        close_old_connections()
        if send_next(first):
            first = first + PER_REQUEST if first < 9_000 else 0


def start_sending() -> None:
    Thread(target=keep_sending, name="observers", daemon=True).start()
