"""Whatever a call changes is in the audit log: watched on every unsafe call that a test makes by a browser."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test.client import ClientHandler

from apps.core.models import AccountScoped

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
RECEIVING = "/hooks/"
"""What others send to a flow is nobody's act."""
NOT_RECORDED = {
    "audit",
    "kept_answer",  # what a repeated call of the API is answered
    "saved_view",  # a member's own; one that is shared is recorded
    "test_run",  # recorded when it begins; canceling or reading it changes nothing else
    "upload",  # a file that is looked at; what is stored of it is an act
}
_WRITE = re.compile(r'(INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)"?\s*(.*)', re.DOTALL)
_LAST_USED = re.compile(r'SET "last_used_')


def recorded_tables() -> set[str]:
    """The tables of whatever belongs to an account, but for what is nobody's act."""
    owned = {model._meta.db_table for model in apps.get_models() if issubclass(model, AccountScoped)}
    return owned - NOT_RECORDED


class Writes:
    """The tables of which statements change rows; a change that a savepoint took back counts too."""

    def __init__(self) -> None:
        self.tables: set[str] = set()

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        found = _WRITE.match(str(sql).lstrip())
        if found is None or (found[2] == "token" and _LAST_USED.match(found[3])):
            return answer
        if found[1] == "INSERT INTO" or context["cursor"].rowcount != 0:  # SQLite counts what is inserted later
            self.tables.add(found[2])
        return answer


@contextmanager
def every_change_recorded() -> Iterator[None]:
    """Fails a test whose browser changed something of an account without an entry in the audit log."""
    answer = ClientHandler.__call__

    def watched(handler: ClientHandler, environ: dict[str, Any]) -> HttpResponse:
        if environ["REQUEST_METHOD"] not in UNSAFE or environ["PATH_INFO"].startswith(RECEIVING):
            return answer(handler, environ)
        writes = Writes()
        with connection.execute_wrapper(writes):
            response = answer(handler, environ)
        refuse_unrecorded(writes, response)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientHandler, "__call__", watched)
        yield


def refuse_unrecorded(writes: Writes, response: Any) -> None:
    """A call that was refused has taken back whatever it wrote."""
    changed = writes.tables & recorded_tables()
    request: HttpRequest = response.wsgi_request
    told = f"{request.method} {request.path} changed {', '.join(sorted(changed))} but is not in the audit log."
    assert response.status_code >= 400 or not changed or "audit" in writes.tables, told
