"""A small site for the tests of the scripts: one page with a number that is kept live, and a switch for its answers."""

from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from config import urls


@dataclass
class Teller:
    """What `/live/` answers next, and the versions it has been asked for."""

    version: int = 1
    is_down: bool = False
    asked: list[str] = field(default_factory=list)


teller = Teller()


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "live_page.html", {"live_url": "/live/?t=run:1&v=1", "live_every": 1})


def live(request: HttpRequest) -> HttpResponse:
    teller.asked.append(request.GET["v"])
    if teller.is_down:
        return HttpResponse(status=503)
    if request.GET["v"] == str(teller.version):
        return HttpResponse(status=204)
    cell = f'<template><td id="number" hx-swap-oob="true">{teller.version}</td></template>'
    return HttpResponse(cell, headers={"Live-Version": str(teller.version)})


urlpatterns = [path("live-page/", page), path("live/", live), *urls.urlpatterns]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
