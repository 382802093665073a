"""The client of the README does what its functions are called, against the product itself."""

import time
from typing import Any

import httpx
import pytest

from apps.accounts.models import Member, Role
from apps.accounts.tokens import issue_token
from apps.errors.models import Error
from apps.runs.models import Run
from config.wsgi import application
from tests.api.served import connection_stays
from tests.house.test_readme import section
from tests.scenarios.conftest import sqlite_scene  # noqa: F401 (a fixture)
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db


def client_of(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of the README. Their calls come to us without a socket; while they wait, a worker works."""

    def served(**facts: Any) -> httpx.Client:
        return made(transport=httpx.WSGITransport(app=application), **facts)

    def work(seconds: float) -> None:
        for run in Run.objects.of(scene.account).filter(ended_at=None):
            scene.work_to_the_end(run)

    made = httpx.Client
    _, token = issue_token(member=Member.objects.of(scene.account).get(role=Role.OWNER))
    monkeypatch.setenv("FLOWMEND_TOKEN", token)
    monkeypatch.setattr(httpx, "Client", served)
    monkeypatch.setattr(time, "sleep", work)
    names: dict[str, Any] = {}
    exec(section("REST API").split("```python\n", 1)[1].split("```", 1)[0], names)
    return names


def test_the_client_of_the_readme_lists_resolves_and_retries_until_it_is_done(
    sqlite_scene: Scene,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [f'{{"id": {number}, "amount": -{number}}}' for number in range(1, 4)]
    sqlite_scene.write("orders.jsonl", "\n".join(lines))
    sqlite_scene.run(sqlite_scene.flow_of_file("orders.jsonl"))
    client = client_of(sqlite_scene, monkeypatch)

    with connection_stays():
        listed = list(client["errors"](source="application", limit=2))
        assert sorted(error["traceKey"] for error in listed) == ["1", "2", "3"]
        assert client["resolve"](traceKey="1") == 1
        assert client["retry"](source="nothing") == []
        (job,) = client["retry"](source="application")
        assert (job["type"], job["status"], job["numError"]) == ("retry", "completed", 2)
        with pytest.raises(SystemExit, match="There is no filter sauce"):
            client["resolve"](sauce="application")

    states = Error.objects.of(sqlite_scene.account).values_list("key", "reason")
    assert sorted(states) == [("1", "manual"), ("2", ""), ("2", "retry_failed"), ("3", ""), ("3", "retry_failed")]
