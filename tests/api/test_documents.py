"""What the API says of itself: the OpenAPI document is valid, and the page has command lines that run."""

import re
import shlex

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from apps.api.reference import chapters, document

pytestmark = pytest.mark.django_db


def test_the_document_is_openapi_3_1_and_open_to_everyone():
    answer = Client().get("/v1/schema/")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    found = answer.json()
    assert found["openapi"].startswith("3.1.")
    names = [call["operationId"] for methods in found["paths"].values() for call in methods.values()]
    assert len(names) == len(set(names)) > 100
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert found["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_each_call_says_what_it_does_and_which_failures_it_has():
    for path, methods in document()["paths"].items():
        for method, call in methods.items():
            assert call["description"], (method, path)
            assert {"400", "401", "403", "404", "429", "500"} <= set(call["responses"]), (method, path)


def test_the_page_tells_every_call_under_the_strict_policy():
    answer = Client().get("/v1/docs")
    page = answer.content.decode()
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert " style=" not in page
    assert "<script" not in page
    told = {(call.method, call.path) for chapter in chapters() for call in chapter.calls}
    short = {
        path for path in document()["paths"] if "/exports/{step_id}/" not in path and "/imports/{step_id}/" not in path
    }
    assert {path for _, path in told} == short
    assert all(f'id="{call.anchor}"' in page for chapter in chapters() for call in chapter.calls)


def test_the_examples_of_reading_run_as_they_stand(api):
    reading = [
        call for chapter in chapters() for call in chapter.calls if call.method == "GET" and "{" not in call.path
    ]
    assert len(reading) > 8
    for call in reading:
        command = shlex.split(call.example)
        assert command[:2] == ["curl", "-s"]
        assert "Authorization: Bearer $TOKEN" in command
        api.call("GET", re.sub(r"^\$BASE/v1/", "", command[-1]))
