"""Who calls, for what is written down in the course of a request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.accounts.client_address import calling_from, client_address


class ClientAddressMiddleware:
    """The audit log tells from where something was done, however deep below the view that is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with calling_from(client_address(request)):
            return self.get_response(request)
