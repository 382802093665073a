"""`/healthz`: is the database there, and does anybody work? `/readyz`: can all of it be done? For load balancers and
monitors, without signing in."""

import logging

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.console.selectors.pulse import take_health
from apps.console.selectors.readiness import take_readiness

logger = logging.getLogger(__name__)
NO_DATABASE = "The database does not answer."


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 while the database answers and a worker lives, else 503 with the reason; never an address or a secret."""
    try:
        found = take_health()
    except DatabaseError:
        logger.exception("The health check could not ask the database.")
        return JsonResponse({"status": "failing", "database": "down", "reason": NO_DATABASE}, status=503)
    facts = {"status": "ok", "database": "ok", "workers": found.workers, "machines": found.machines}
    if found.reason:
        return JsonResponse({**facts, "status": "failing", "reason": found.reason}, status=503)
    return JsonResponse(facts)


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 while the database answers with the tables of this code, a worker and a dispatcher live; else 503 with the
    reasons."""
    try:
        found = take_readiness()
    except DatabaseError:
        logger.exception("The readiness check could not ask the database.")
        return JsonResponse({"status": "failing", "database": "down", "reasons": [NO_DATABASE]}, status=503)
    facts = {"database": "ok", "migrations": found.migrations, "workers": found.workers}
    facts["dispatchers"] = found.dispatchers
    if found.reasons:
        return JsonResponse({"status": "failing", **facts, "reasons": list(found.reasons)}, status=503)
    return JsonResponse({"status": "ok", **facts})
