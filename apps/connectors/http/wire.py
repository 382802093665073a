"""A request, its answer, and a fault: what went wrong before there was a complete answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


class Stage(StrEnum):
    """How far a request got, as far as can be known."""

    NOT_SENT = "not_sent"  # no connection: the application saw nothing
    UNKNOWN = "unknown"  # sent, but the answer was lost
    DEFINITE = "definite"  # refused by ourselves, or answered


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, without credentials.

    `is_read`: it changes nothing, so it may follow redirects and be repeated. `is_alone`: no other is under way beside
    it, so its answer may take all the memory that answers may have.
    """

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None
    is_read: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `body` is unpacked; `fault` tells why the body of a refusal could not be read to its end."""

    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL
    sent_at: datetime
    ms: int
    fault: "FaultError | None" = None

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class FaultError(Exception):
    """No complete answer. The message is a sentence; `code` a word of the classification; `answer` what there was."""

    def __init__(self, code: str, message: str, stage: Stage, classification: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.stage = stage
        self.classification = classification
        self.request: Request | None = None
        self.sent_at: datetime | None = None
        self.ms = 0
        self.status: int | None = None
        self.headers: CIMultiDictProxy[str] = NO_HEADERS
        self.body = b""
