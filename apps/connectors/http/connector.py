"""The connector of an HTTP API."""

from time import perf_counter
from typing import Any, ClassVar

from yarl import URL

from apps.connectors.base import ConnectionConfig, Connector, Options, Ping, Surroundings
from apps.connectors.http.client import HttpClient
from apps.connectors.http.config import HttpConfig
from apps.connectors.http.export import HttpSource
from apps.connectors.http.gate import GateClosedError
from apps.connectors.http.lookup import HttpLookup
from apps.connectors.http.options import HttpExportOptions, HttpImportOptions, HttpLookupOptions
from apps.connectors.http.reading import status_sentence, status_words
from apps.connectors.http.requests import Parts, RequestMaker
from apps.connectors.http.target import HttpTarget
from apps.connectors.http.wire import Answer, FaultError, Request
from apps.engine.ports import Batch, Built, Lookup, Scope, Source, Target, Window

CREDENTIALS_REFUSED = frozenset({401, 403, 407})


class HttpConnector(Connector):
    """JSON over HTTP: one pool of connections, used by all steps of a flow that name the connection."""

    kind = "http"
    label = "HTTP API"
    Config: ClassVar[type[ConnectionConfig]] = HttpConfig
    ExportOptions: ClassVar[type[Options] | None] = HttpExportOptions
    LookupOptions: ClassVar[type[Options] | None] = HttpLookupOptions
    ImportOptions: ClassVar[type[Options] | None] = HttpImportOptions

    def __init__(self, config: HttpConfig, surroundings: Surroundings) -> None:
        super().__init__(config, surroundings)
        self._client = HttpClient(config, surroundings)

    def ping(self) -> Ping:
        begun = perf_counter()
        request = self._ping_request()
        is_ok, found = self._try(request)
        ms = round((perf_counter() - begun) * 1000)
        tried = self._client.redactor.text(f"{request.method} {request.url}")
        return Ping(is_ok, tried, self._client.redactor.text(found), ms)

    def open_export(self, options: Any, window: Window) -> Source:
        return HttpSource(self._client, options, window)

    def open_lookup(self, options: Any) -> Lookup:
        return HttpLookup(self._client, options)

    def open_import(self, options: Any) -> Target:
        return HttpTarget(self._client, options)

    def build(self, options: Any, batch: Batch) -> Built:
        return HttpTarget(self._client, options).build(batch)

    def close(self) -> None:
        self._client.close()

    def _ping_request(self) -> Request:
        path, _, query = self.config.ping_path.partition("?")
        maker = RequestMaker(self.config.base_url, Parts("GET", "", {}, {}, is_read=True))
        request = maker.make({}, Scope(now=None))  # type: ignore[arg-type]
        if not path and not query:
            return request
        url = URL(f"{self.config.base_url.rstrip('/')}/{path.lstrip('/')}").with_query(query or None)
        return Request("GET", url, request.headers, is_read=True)

    def _try(self, request: Request) -> tuple[bool, str]:
        try:
            answer = self._client.run(self._client.send(request))
        except FaultError as fault:
            return False, fault.message
        except GateClosedError as closed:
            return False, f"The application asked to wait; {closed.seconds:.0f} seconds are left."
        return self._judged(request, answer)

    def _judged(self, request: Request, answer: Answer) -> tuple[bool, str]:
        if answer.is_good:
            return True, f"The application answers with {answer.status} {status_words(answer.status, answer.reason)}."
        is_refused = answer.status in CREDENTIALS_REFUSED or answer.status >= 500 or answer.status == 429
        if self.config.ping_path or is_refused:
            return False, status_sentence(request, answer)
        hint = "Name a path of the test that answers, to have the credentials checked too."
        return True, f"The application is there ({answer.status} at its address). {hint}"
