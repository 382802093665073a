"""Keys and names that are free."""

from collections.abc import Collection

from apps.accounts.models import Account
from apps.flows.models import Flow

LONGEST_KEY = 64


def free_key(account: Account | int, wanted: str) -> str:
    """A key that no flow of the account has."""
    base = (wanted or "flow")[: LONGEST_KEY - 6]
    taken = set(Flow.objects.of(account).filter(key__startswith=base).values_list("key", flat=True))
    return free_name(base, taken)


def free_name(base: str, taken: Collection[str]) -> str:
    """`base`, or `base-2` and so on where it is taken."""
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
