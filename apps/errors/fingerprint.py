"""The shape of an error message: what stays when numbers, quoted values, ids, addresses and dates are taken out.

Errors of a step with the same source, code and shape have the same root cause. `VERSION` is stored with each cause: a
change of these rules starts new causes and leaves the old ones as they are.
"""

import re
from functools import lru_cache
from hashlib import sha256

VERSION = 1
VARYING = "\N{HORIZONTAL ELLIPSIS}"
SHAPED_LENGTH = 500  # characters of a message that the shape is made of

# every alternative begins with a class of its own and has no nested repetition: linear in the length of the text
_VARYING_PARTS = re.compile(
    r"""
    (?P<kept>\b(?i:column|constraint|field|parameter|relation|table)\ "[^"\n]{0,200}")
    | "[^"\n]{0,200}" | '[^'\n]{0,200}' | `[^`\n]{0,200}`         # quoted values
    | =\([^()\n]{0,200}\)                                          # PostgreSQL's Key (id)=(5)
    | [\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}                      # e-mail addresses
    | \b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b                          # UUIDs
    | \b\d{4}-\d\d-\d\d(?:[T ][\d:.,Z+-]{1,32})?                   # dates and times
    | \b(?=[A-Za-z_-]{0,32}\d)[A-Za-z0-9_-]{1,64}\b                # words with a digit: numbers, ids, order numbers
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=4096)
def shape_of(message: str) -> str:
    """The message with its varying parts replaced, at most 500 characters."""
    return _VARYING_PARTS.sub(kept_or_varying, message[:SHAPED_LENGTH])


def kept_or_varying(part: re.Match[str]) -> str:
    """Names of columns and constraints stay: two broken rules are two causes, however alike their messages are."""
    return part["kept"] or VARYING


@lru_cache(maxsize=4096)
def fingerprint(source: str, code: str, shape: str) -> str:
    """64 hex digits that name the cause within its step."""
    return sha256("\0".join((source, code, shape)).encode("utf-8", "replace")).hexdigest()
