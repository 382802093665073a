"""What every call of the API has in common: declared by `operation`, done by `ApiView`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.services import acting_by
from apps.accounts.tokens import SCOPES, Scope
from apps.api.authentication import BearerToken
from apps.api.caller import Caller
from apps.api.choosing import CHOOSING, chosen
from apps.api.failures import failure_answer, invalid
from apps.api.formats import AlwaysJson, JsonParser, JsonRenderer
from apps.api.kept_answers import answered_once
from apps.api.paging import Listed
from apps.api.patches import merged
from apps.api.queries import ENVIRONMENT, Parameter, read_query
from apps.api.serializers.base import Answer, Body
from apps.api.serializers.failures import FailureAnswer
from apps.api.throttling import AccountThrottle

FAILURES: dict[Any, Any] = dict.fromkeys((400, 401, 403, 404, 409, 422, 429, 500), FailureAnswer)
READING = frozenset({"get"})


@dataclass(frozen=True)
class Operation:
    """One call: what its query and body may say, what it answers, which scope its token needs."""

    query: tuple[Parameter, ...]
    body: type[Body] | None
    answer: type[Answer] | None
    many: bool
    status: int
    scope: Scope | None
    is_strict: bool
    is_kept: bool


def operation(
    *,
    query: Iterable[Parameter] = (),
    body: type[Body] | None = None,
    answer: type[Answer] | None = None,
    many: bool = False,
    status: int | None = None,
    scope: Scope | None = Scope.READ,
    is_strict: bool = False,
    is_kept: bool = True,
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a method of an `ApiView`: it is done by this, and the OpenAPI document is made from it.

    The method returns what `answer` is rendered from (`many`: the rows, or a `Listed`), None for 204, or a
    `Response` that is ready. `scope=None`: any token will do. `is_strict`: unknown names in the query are
    refused. `is_kept` is false for a call that may be repeated and has no use for an idempotency key. `name` is
    the operation's id where the one made from its path is another's too.
    """
    code = status or (200 if answer else 204)

    def declared(method: Callable[..., Any]) -> Callable[..., Any]:
        # what is named by its id is changed wherever it is; lists and acts on many may be narrowed to one environment
        narrowing = (ENVIRONMENT,) if method.__name__ in READING or is_strict else ()
        names = (*query, *(CHOOSING if many else ()), *narrowing)
        spec = Operation(names, body, answer, many, code, scope, is_strict, is_kept)

        @wraps(method)
        def call(view: "ApiView", request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return view.perform(spec, method, *args, **kwargs)

        call.operation = spec  # type: ignore[attr-defined]
        return extend_schema(operation_id=name, **documented(spec, method))(call)

    return declared


def documented(spec: Operation, method: Callable[..., Any]) -> dict[str, Any]:
    """The words of `extend_schema`; the first line of the method's docstring is the summary."""
    about = " ".join((method.__doc__ or "").split())
    good: Any = OpenApiResponse(description="Done.")
    if spec.answer is not None:
        good = spec.answer(many=True) if spec.many else spec.answer
    return {
        "summary": about.partition(".")[0],
        "description": about,
        "parameters": [parameter.documented() for parameter in spec.query],
        "request": spec.body,
        "responses": {spec.status: good, **FAILURES},
    }


class ApiView(APIView):
    """A resource. Its methods are declared by `operation`, and find `caller`, `query` and `body` at hand."""

    authentication_classes = (BearerToken,)
    permission_classes = ()
    throttle_classes = (AccountThrottle,)
    parser_classes = (JsonParser,)
    renderer_classes = (JsonRenderer,)
    content_negotiation_class = AlwaysJson

    spec: Operation
    caller: Caller
    query: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """What was sent, checked by the operation's body; what was not sent is absent. Raises what becomes 422."""
        sent = self.sent
        if self.spec.body is None:
            return {}
        serializer = self.spec.body(data=sent)
        serializer.is_valid(raise_exception=True)
        found: dict[str, Any] = serializer.validated_data
        return found

    @property
    def sent(self) -> dict[str, Any]:
        """The body as it was sent; raises a Refusal unless it is an object. A missing body is the same as `{}`."""
        data: Any = self.request.data
        if isinstance(data, list) and self.request.method == "PATCH":
            return merged(data)
        if not isinstance(data, dict):
            raise invalid("The body is a JSON object.")
        return data

    def get_exception_handler(self) -> Any:
        return failure_answer

    def perform(self, spec: Operation, method: Callable[..., Any], *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the scope, read the query, do it (once), render what it returned."""
        self.spec = spec
        caller: Any = self.request.auth
        require_scope(caller, spec.scope)
        self.query = read_query(self.request.query_params, spec.query, is_strict=spec.is_strict)
        self.caller = caller.within(self.query.get("environment", ""))

        def work() -> HttpResponseBase:
            return self.rendered(method(self, self.request, *args, **kwargs))

        with acting_by(caller.token):
            return answered_once(self, self.request, work) if spec.is_kept else work()

    def rendered(self, found: Any) -> HttpResponseBase:
        if isinstance(found, HttpResponseBase):
            return found
        if self.spec.answer is None or found is None:
            return Response(status=self.spec.status)
        if not self.spec.many:
            return Response(self.spec.answer.rendered(found), status=self.spec.status)
        listed = found if isinstance(found, Listed) else Listed(list(found))
        rows = chosen(self.spec.answer.rendered_list(listed.rows), self.query)
        return Response(rows, status=self.spec.status, headers=listed.headers)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Which methods there are; the schema tells the rest."""
        return Response(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


def require_scope(caller: Caller, scope: Scope | None) -> None:
    """Raises PermissionDenied for a token that is not meant for this."""
    if scope is not None and not caller.has_scope(scope):
        raise PermissionDenied(f"This token lacks the scope {scope.value}: {SCOPES[scope].lower()}.")
