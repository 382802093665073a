"""What the API says of itself: the OpenAPI document, and the same as a page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from apps.api.reference import chapters, document_bytes

KEPT = "public, max-age=300"


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3.1 as JSON; open to everyone, for it tells nothing of any account."""
    answer = HttpResponse(document_bytes(), content_type="application/json")
    answer["Cache-Control"] = KEPT
    return answer


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The readable page."""
    answer = render(request, "api/docs.html", {"chapters": chapters(), "base": request.build_absolute_uri("/")[:-1]})
    answer["Cache-Control"] = "private, max-age=300"
    return answer


urls = [path("schema", schema, name="schema"), path("docs", docs, name="docs")]
