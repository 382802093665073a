"""`/healthz`: is the database there, and does anybody work? For load balancers and monitors, without signing in."""

import logging

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.console.selectors.pulse import take_health

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 while the database answers and a worker lives, else 503 with the reason; never an address or a secret."""
    try:
        found = take_health()
    except DatabaseError:
        logger.exception("The health check could not ask the database.")
        return JsonResponse(
            {"status": "failing", "database": "down", "reason": "The database does not answer."}, status=503
        )
    facts = {"status": "ok", "database": "ok", "workers": found.workers, "machines": found.machines}
    if found.reason:
        return JsonResponse({**facts, "status": "failing", "reason": found.reason}, status=503)
    return JsonResponse(facts)
