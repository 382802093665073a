"""One click in a mail ends it: the page needs no sign-in, for the address itself proves whose mails they are."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.notifications.unsubscribing import read_token, unsubscribe


@csrf_exempt  # mail programs send the one click (RFC 8058) without a cookie of ours
@require_http_methods(["GET", "POST"])
def unsubscribe_page(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks, so that what only looks at links changes nothing; POST ends these mails."""
    unwanted = read_token(token)
    if unwanted is None:
        raise Http404("This link ends no mails.")
    is_done = request.method == "POST"
    if is_done:
        unsubscribe(unwanted)
    context = {"unwanted": unwanted, "is_done": is_done}
    return render(request, "notification/unsubscribe.html", context)
