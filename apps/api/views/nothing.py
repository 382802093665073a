"""Whatever else is asked for below /v1/: nothing is there, for a caller with a good token."""

from typing import Any, NoReturn

from django.http import Http404
from drf_spectacular.utils import extend_schema

from apps.api.operations import ApiView


@extend_schema(exclude=True)
class Nothing(ApiView):
    def nothing(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise Http404

    get = post = put = patch = delete = options = nothing
