"""The import: requests go out several at once; each record gets the outcome that its answer gives it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from apps.connectors.http.capture import request_shown
from apps.connectors.http.client import HttpClient
from apps.connectors.http.crew import at_once
from apps.connectors.http.gate import PATIENCE_S, GateClosedError
from apps.connectors.http.options import HttpImportOptions
from apps.connectors.http.reading import PASSING, QUICK, RESENT_AFTER_S, rate_limited, status_sentence
from apps.connectors.http.requests import NOTHING, InputError, Parts, RequestMaker, Tree, set_at
from apps.connectors.http.verdicts import GOOD, LATER, LOST, Judge, Verdict
from apps.connectors.http.wire import Answer, FaultError, Request, Stage
from apps.engine.classification import classify
from apps.engine.ports import Batch, Built, Capture, Classification, ErrorSource, Failure, Outage, Repeats, Written

LATER_S = 5.0
"""The least wait for a record that the application asked to bring again without saying when."""
DOUBT = "Whether it arrived is not known."


def repeats_of(options: HttpImportOptions) -> Repeats:
    """What a second delivery does. A key in the header names a whole request: alone it vouches for no list."""
    if options.repeats != "auto":
        return Repeats(options.repeats)
    if options.method != "POST":
        return Repeats.SAFE
    has_key = options.key_field or (options.idempotency_header and options.batch_size == 1)
    return Repeats.KEYED if has_key else Repeats.UNSAFE


class HttpTarget:
    """An opened import. It cannot be rolled back."""

    transactional = False

    def __init__(self, client: HttpClient, options: HttpImportOptions) -> None:
        self.client = client
        self.options = options
        self.repeats = repeats_of(options)
        self.may_resend = self.repeats is not Repeats.UNSAFE or bool(options.idempotency_header)
        self.judge = Judge(options)
        self.envelope = None if options.envelope is None else Tree(options.envelope)
        self.maker = RequestMaker(
            client.config.base_url,
            Parts(options.method, options.path, options.query, options.headers, options.body, options.body_format),
        )

    def write(self, batch: Batch) -> Written:
        return self.client.run(Delivery(self, batch).run())

    def build(self, batch: Batch) -> Built:
        """The requests as they would be sent, but for the sign-in of the connection."""
        return Delivery(self, batch).build()


@dataclass(frozen=True, slots=True)
class Parcel:
    """The records (by index into the batch) that one request carries."""

    indexes: Sequence[int]
    bodies: Sequence[Any]
    request: Request


class Delivery:
    """One batch on its way."""

    def __init__(self, target: HttpTarget, batch: Batch) -> None:
        self._target = target
        self._client = target.client
        self._options = target.options
        self._batch = batch
        self._written = Written()
        self._outage: Outage | None = None
        self._answered = 0

    async def run(self) -> Written:
        """Raises Outage if nothing was sent."""
        await at_once(self._client.config.max_concurrency, self._groups(), self._deliver)
        if self._outage is not None:
            if not self._answered and not self._written.failures:
                raise self._outage
            self._written.reason = self._outage.message
        self._written.failures = dict(sorted(self._written.failures.items()))  # in the order of the records
        return self._written

    def build(self) -> Built:
        built = Built(failures=self._written.failures)
        for parcel in filter(None, map(self._parcel, self._groups())):
            shown = {"method": parcel.request.method, **request_shown(parcel.request, self._client.redactor)}
            for place, index in enumerate(parcel.indexes):
                built.requests[index] = own_request(shown, parcel, place)
        return built

    def _groups(self) -> list[range]:
        size, count = self._options.batch_size, len(self._batch.bodies)
        return [range(at, min(at + size, count)) for at in range(0, count, size)]

    def _is_over(self) -> bool:
        return self._outage is not None or self._batch.stop()

    async def _deliver(self, group: Sequence[int]) -> None:
        if self._is_over():
            self._put_back(group, 0.0)
            return
        parcel = self._parcel(group)
        if parcel is not None:
            await self._send(parcel)

    # --- packing -----------------------------------------------------------------------------------------------------
    def _parcel(self, group: Sequence[int]) -> Parcel | None:
        """None if no record of the group can be sent; each that cannot is a failure of its own."""
        indexes: list[int] = []
        bodies: list[Any] = []
        for index in group:
            try:
                bodies.append(self._body(index))
                indexes.append(index)
            except InputError as error:
                self._written.failures[index] = error.failure(ErrorSource.MAPPING)
        return self._packed(indexes, bodies) if indexes else None

    def _body(self, index: int) -> Any:
        batch, options = self._batch, self._options
        body = self._target.maker.body(batch.records[index], batch.scope)
        if body is NOTHING and not (options.method == "DELETE" and options.batch_size == 1):
            body = batch.bodies[index]
        if options.key_field and body is not NOTHING:
            body = set_at(body, options.key_field, batch.keys(index))
        return body

    def _packed(self, indexes: Sequence[int], bodies: Sequence[Any]) -> Parcel | None:
        batch, options = self._batch, self._options
        whole = bodies[0] if options.batch_size == 1 else self._list_of(bodies)
        try:
            request = self._target.maker.make(batch.records[indexes[0]], batch.scope, body=whole)
        except InputError as error:
            for index in indexes:
                self._written.failures[index] = error.failure(ErrorSource.MAPPING)
            return None
        if options.idempotency_header:
            request = replace(request, headers={**request.headers, options.idempotency_header: self._key(indexes)})
        return Parcel(indexes, bodies, request)

    def _list_of(self, bodies: Sequence[Any]) -> Any:
        if not self._options.records_field:
            return list(bodies)
        around = {} if self._target.envelope is None else self._target.envelope.value({}, self._batch.scope)
        return set_at(around, self._options.records_field, list(bodies))

    def _key(self, indexes: Sequence[int]) -> str:
        keys = [self._batch.keys(index) for index in indexes]
        return keys[0] if self._options.batch_size == 1 else sha256("\n".join(keys).encode()).hexdigest()

    # --- sending -----------------------------------------------------------------------------------------------------
    async def _send(self, parcel: Parcel) -> None:
        resent = 0
        while True:
            try:
                answer = await self._client.send(parcel.request)
                held_s = await self._client.hold_back(answer)
            except GateClosedError as closed:
                self._halt(rate_limited(parcel.request, closed.seconds))
                self._put_back(parcel.indexes, closed.seconds)
                return
            except FaultError as fault:
                if not self._may_try_again(fault, resent):
                    self._book_fault(parcel, fault)
                    return
            else:
                if held_s is not None:
                    if await self._wait_in_place(parcel, held_s):
                        continue
                    return
                if answer.status not in PASSING or not self._has_tries(resent):
                    await self._book(parcel, answer)
                    return
            await asyncio.sleep(RESENT_AFTER_S[resent])
            resent += 1

    def _has_tries(self, resent: int) -> bool:
        return self._target.may_resend and resent < len(RESENT_AFTER_S) and not self._is_over()

    def _may_try_again(self, fault: FaultError, resent: int) -> bool:
        return fault.stage is Stage.UNKNOWN and fault.code in QUICK and self._has_tries(resent)

    async def _wait_in_place(self, parcel: Parcel, seconds: float) -> bool:
        """After a refusal that asks to wait; True: bring the record again now. A long wait is the engine's."""
        if seconds <= PATIENCE_S and not self._is_over():
            return True  # the gate keeps it until the time has come
        if seconds > PATIENCE_S:
            self._halt(rate_limited(parcel.request, seconds))
        self._put_back(parcel.indexes, seconds)
        return False

    # --- booking -----------------------------------------------------------------------------------------------------
    def _put_back(self, indexes: Sequence[int], seconds: float) -> None:
        self._written.not_sent.update(dict.fromkeys(indexes, seconds))

    def _halt(self, outage: Outage) -> None:
        self._outage = self._outage or outage

    def _book_fault(self, parcel: Parcel, fault: FaultError) -> None:
        if fault.stage is Stage.NOT_SENT:
            self._halt(Outage(fault.code, fault.message, classification=fault.classification))
            self._put_back(parcel.indexes, 0.0)
            return
        self._answered += 1
        whole = self._client.capture(parcel.request, fault)
        for place, index in enumerate(parcel.indexes):
            capture = own_part(whole, parcel, place)
            if fault.stage is Stage.UNKNOWN:
                self._written.failures[index] = self._lost(fault.code, fault.message, fault.classification, capture)
            else:
                self._written.failures[index] = Failure(
                    ErrorSource.APPLICATION, fault.code, fault.message, fault.classification, capture=capture
                )

    async def _book(self, parcel: Parcel, answer: Answer) -> None:
        self._answered += 1
        if answer.status == 413 and len(parcel.indexes) > 1:
            await self._send_halves(parcel)
            return
        if answer.status in PASSING:
            sentence = status_sentence(parcel.request, answer).rstrip(".")
            verdicts = [Verdict(LOST, code=str(answer.status), message=f"{sentence}.")] * len(parcel.indexes)
        else:
            verdicts = self._target.judge.verdicts(parcel.request, answer, parcel.bodies)
        whole: Capture | None = None
        for place, (index, verdict) in enumerate(zip(parcel.indexes, verdicts, strict=True)):
            if verdict.kind == GOOD:
                self._written.answers[index] = verdict.answer
            elif verdict.kind == LATER:
                self._written.not_sent[index] = LATER_S
            else:
                whole = whole or self._client.capture(parcel.request, answer)
                self._written.failures[index] = self._failure(verdict, own_part(whole, parcel, place))

    async def _send_halves(self, parcel: Parcel) -> None:
        """The application says that the list is too long: nothing of it was taken."""
        middle = len(parcel.indexes) // 2
        for part in (slice(None, middle), slice(middle, None)):
            half = self._packed(parcel.indexes[part], parcel.bodies[part])
            if half is not None and self._is_over():
                self._put_back(half.indexes, 0.0)
            elif half is not None:
                await self._send(half)

    def _failure(self, verdict: Verdict, capture: Capture | None) -> Failure:
        message = self._client.redactor.text(verdict.message)
        code = self._client.redactor.text(verdict.code)
        if verdict.kind == LOST:
            return self._lost(code, message, Classification.INTERMITTENT, capture)
        found = classification_of(code, message, capture.status if capture else None)
        return Failure(ErrorSource.APPLICATION, code, message, found, capture=capture)

    def _lost(self, code: str, message: str, classification: str, capture: Capture | None) -> Failure:
        """Sent, and the answer was lost: in doubt where a repeat does it twice, else sent again by the same key."""
        is_unsafe = self._target.repeats is Repeats.UNSAFE
        return Failure(
            ErrorSource.APPLICATION,
            code,
            f"{message} {DOUBT}",
            classification,
            unknown=is_unsafe and self._options.on_unknown == "in_doubt",
            capture=capture,
            keeps_key=True,
        )


def classification_of(code: str, message: str, status: int | None) -> str:
    """By the application's own code and words, then by the status of the whole answer."""
    if status is not None and 300 <= status < 400:
        return Classification.CONNECTION  # the connection's address is not where the application is
    found = classify(ErrorSource.APPLICATION, code, message)
    return found or classify(ErrorSource.APPLICATION, str(status or ""), message)


def own_part(whole: Capture | None, parcel: Parcel, place: int) -> Capture | None:
    """Of a request that carried many records, what concerns one of them."""
    return None if whole is None else replace(whole, request=own_request(whole.request, parcel, place))


def own_request(request: dict[str, Any], parcel: Parcel, place: int) -> dict[str, Any]:
    if len(parcel.indexes) == 1 or "body" not in request:
        return request
    body = request["body"]
    entry = f"record {place + 1} of {len(parcel.indexes)} in this request"
    if isinstance(body, list) and len(body) == len(parcel.indexes):
        return {**request, "body": body[place], "part": entry}
    return {**request, "part": entry}
