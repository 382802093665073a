"""The lookup: one request per record (equal ones only once, several at a time), or one for the keys of many."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from apps.connectors.http.client import HttpClient
from apps.connectors.http.crew import at_once
from apps.connectors.http.documents import MISSING, DocumentError, parse_path, row_of, rows_at, value_at
from apps.connectors.http.options import HttpLookupOptions
from apps.connectors.http.reading import document_error, document_of, read, refusal
from apps.connectors.http.requests import NOTHING, InputError, Parts, RequestMaker, as_text, input_error, set_at
from apps.connectors.http.wire import Request
from apps.engine.expressions import ExpressionError, compile_expression, to_json_value
from apps.engine.ports import BadRecord, Classification, ConnectorError, ErrorSource, Failure, Outage, Record, Scope

Found = list[Record] | Failure


class HttpLookup:
    """Finds what belongs to the records of a page."""

    def __init__(self, client: HttpClient, options: HttpLookupOptions) -> None:
        self._client = client
        self._options = options
        self._path = parse_path(options.record_path)
        self._match = parse_path(options.match_field)
        self._key = compile_expression(options.key) if options.key is not None else None
        parts = Parts(options.method, options.path, options.query, options.headers, options.body, is_read=True)
        self._maker = RequestMaker(client.config.base_url, parts)

    def find(self, records: Sequence[Record], scope: Scope) -> list[Found]:
        """What was found for each record, in order. Raises Outage if the application cannot be asked."""
        ask = self._find_each if self._key is None else self._find_keys
        return self._client.run(ask(records, scope))

    def words_for(self, record: Record, scope: Scope) -> str:
        if self._key is not None:
            return f'{self._options.method} {self._options.path} with the key "{as_text(self._key_of(record, scope))}"'
        request = self._maker.make(record, scope)
        return f'{request.method} "{self._client.redactor.text(request.url.path_qs)}"'

    # --- one request per record --------------------------------------------------------------------------------------
    async def _find_each(self, records: Sequence[Record], scope: Scope) -> list[Found]:
        requests: list[Request] = []
        places: dict[tuple[str, bytes | None], int] = {}
        asked: list[int | Failure] = []
        for record in records:
            try:
                request = self._maker.make(record, scope)
            except InputError as error:
                asked.append(error.failure(ErrorSource.LOOKUP))
                continue
            place = places.setdefault((f"{request.url} {request.headers}", request.body), len(requests))
            if place == len(requests):
                requests.append(request)
            asked.append(place)
        answers = await at_once(self._client.config.max_concurrency, requests, self._find_one)
        return [answers[place] if isinstance(place, int) else place for place in asked]

    async def _find_one(self, request: Request) -> Found:
        try:
            return await self._ask(request)
        except Outage as outage:
            if outage.classification != Classification.INTERMITTENT:
                raise
            return lookup_failure(outage)  # one request that never works must not hold up the others for ever
        except ConnectorError as error:
            return lookup_failure(error)

    async def _ask(self, request: Request) -> list[Record]:
        answer = await read(self._client, request)
        if answer.status == 404 and self._options.not_found == "empty":
            return []
        if not answer.is_good:
            raise refusal(self._client, request, answer, ErrorSource.LOOKUP)
        document = document_of(self._client, request, answer, ErrorSource.LOOKUP)
        try:
            found = rows_at(document.root, self._path, self._options.record_path) if answer.status != 204 else []
        except DocumentError as error:
            raise document_error(self._client, request, error, ErrorSource.LOOKUP) from None
        return self._records(found, is_strict=document.is_strict)

    def _records(self, found: list[Any], *, is_strict: bool) -> list[Record]:
        from_rows = [row_of(value, f"record {number}", is_strict=is_strict) for number, value in enumerate(found, 1)]
        bad = next((row for row in from_rows if isinstance(row, BadRecord)), None)
        if bad is not None:
            message = f"The application's answer cannot be used: {bad.failure.message}"
            raise ConnectorError(bad.failure.code, message, classification=Classification.PARSE)
        return [row for row in from_rows if isinstance(row, dict)]

    # --- one request for many keys -----------------------------------------------------------------------------------
    async def _find_keys(self, records: Sequence[Record], scope: Scope) -> list[Found]:
        keys: list[str | Failure] = []
        values: dict[str, Any] = {}
        for record in records:
            try:
                value = self._key_of(record, scope)
                keys.append(key_text(value))
                values.setdefault(key_text(value), value)
            except InputError as error:
                keys.append(error.failure(ErrorSource.LOOKUP))
        wanted = [(text, value) for text, value in values.items() if text]
        size = self._options.keys_per_request
        groups = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        found: dict[str, Found] = {"": []}
        for group, answer in zip(
            groups, await at_once(self._client.config.max_concurrency, groups, self._find_group(scope)), strict=True
        ):
            found.update(self._matched([text for text, _ in group], answer))
        return [found[key] if isinstance(key, str) else key for key in keys]

    def _find_group(self, scope: Scope) -> "Callable[[list[tuple[str, Any]]], Awaitable[Found]]":
        async def find(group: list[tuple[str, Any]]) -> Found:
            try:
                request = self._request_for(group, scope)
            except InputError as error:
                return error.failure(ErrorSource.LOOKUP)
            return await self._find_one(request)

        return find

    def _request_for(self, group: list[tuple[str, Any]], scope: Scope) -> Request:
        options = self._options
        if options.keys_in == "query":
            joined = options.separator.join(text for text, _ in group)
            return self._maker.make({}, scope, query={options.keys_param: joined})
        body = self._maker.body({}, scope)
        return self._maker.make(
            {}, scope, body=set_at({} if body is NOTHING else body, options.keys_param, [value for _, value in group])
        )

    def _matched(self, keys: list[str], answer: Found) -> dict[str, Found]:
        if isinstance(answer, Failure):
            return dict.fromkeys(keys, answer)
        found: dict[str, list[Record]] = {key: [] for key in keys}
        for record in answer:
            value = value_at(record, self._match)
            if value is not MISSING and (text := key_text(value)) in found:
                found[text].append(record)
        return dict(found)

    def _key_of(self, record: Record, scope: Scope) -> Any:
        assert self._key is not None
        try:
            return to_json_value(self._key(record, scope))
        except ExpressionError as error:
            raise input_error("key", error) from None


def lookup_failure(error: ConnectorError) -> Failure:
    return replace(error.failure(), source=ErrorSource.LOOKUP)


def key_text(value: Any) -> str:
    """1 and "1" are the same key: applications differ in how they write it."""
    return "" if value is None else as_text(value)
