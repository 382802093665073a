"""The log on the error output: for people and for machines, with the ids of what it is about, without secrets."""

import json
import logging
from typing import Any

import pytest
from django.test import Client

from apps.core.logs import FORMATTERS, JsonFormatter, LineFormatter, logged_with


def line(formatter: logging.Formatter, text: str, *, fault: bool = False) -> str:
    record = logging.LogRecord("apps.x", logging.WARNING, __file__, 1, text, (), None)
    if fault:
        try:
            raise ValueError("no")
        except ValueError as error:
            record.exc_info = (ValueError, error, error.__traceback__)
    return formatter.format(record)


def test_a_line_for_people_tells_the_request_and_the_run() -> None:
    with logged_with(request="0123456789abcdef"), logged_with(run="r-7"):
        told = line(LineFormatter(), "It broke")
    assert told.endswith("WARNING apps.x It broke [request 0123456789abcdef, run r-7]")
    assert line(LineFormatter(), "It broke").endswith("apps.x It broke")


def test_a_line_for_machines_is_one_object_with_the_trace() -> None:
    with logged_with(run="r-7"):
        told = line(JsonFormatter(), "It broke", fault=True)
    assert "\n" not in told
    facts = json.loads(told)
    assert (facts["level"], facts["logger"], facts["message"], facts["run"]) == ("WARNING", "apps.x", "It broke", "r-7")
    assert facts["trace"].endswith("ValueError: no")
    assert set(facts) == {"at", "level", "logger", "message", "machine", "process", "run", "trace"}
    assert facts["at"].endswith("+00:00")


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()], ids=FORMATTERS)
def test_what_looks_like_a_secret_is_hidden_in_the_log(formatter: logging.Formatter) -> None:
    told = line(formatter, 'Asked /a?api_key=hunter22 with {"password": "hunter22"} and Bearer hunter22hunter22')
    assert "hunter22" not in told
    assert told.count("[hidden]") == 3


@pytest.mark.django_db
def test_what_a_request_logs_carries_its_id(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(self.format(record))

    handler = Keeping()
    handler.setFormatter(JsonFormatter())
    logger: Any = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        client.get("/nowhere/", headers={"X-Request-Id": "from-the-proxy-1"})
    finally:
        logger.removeHandler(handler)
    assert [json.loads(one)["request"] for one in told] == ["from-the-proxy-1"]
