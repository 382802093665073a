"""Path parts for ids: a plain integer, or the short form that people copy from a screen (`r-48213`)."""

import re

from apps.core.ids import Kind, WrongIdError, parse_short_id


class _ShortId:
    kind: Kind
    regex = r"[a-zA-Z0-9-]{1,24}"

    def to_python(self, value: str) -> int:
        """Raises ValueError (the address is not found) for what is no id of this kind."""
        try:
            return parse_short_id(value, self.kind)
        except WrongIdError as error:
            raise ValueError(str(error)) from error

    def to_url(self, value: int) -> str:
        return str(value)


class RunId(_ShortId):
    kind = Kind.RUN


class ErrorId(_ShortId):
    kind = Kind.ERROR


class FlowId(_ShortId):
    kind = Kind.FLOW


class CauseId(_ShortId):
    kind = Kind.CAUSE


class TraceKey:
    """A trace key as the last part of an address, slashes and all."""

    regex = r"(?s:.+)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


UNFIT = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]")


def fits_a_path(key: str) -> bool:
    """Whether a trace key survives as part of an address: no slashes that proxies fold, nothing that was replaced."""
    return bool(key.strip(".")) and key == key.strip() and UNFIT.search(key) is None
