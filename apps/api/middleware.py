"""Every route of the API works with and without a slash at its end, without a redirect."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class TrailingSlashMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/v1":
            request.path_info = "/v1/"
        elif request.path_info.startswith("/v1/"):
            request.path_info = "/v1/" + request.path_info[4:].removesuffix("/")
        return self.get_response(request)
