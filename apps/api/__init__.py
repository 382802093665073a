"""The REST API below /v1/, in the shape that scripts and tools for integrator.io expect.

A resource is three things of the same name. `views/things.py` has one `ApiView` per address and, at its end, `urls`,
which `urls.py` puts into `RESOURCES`. `serializers/things.py` has an `Answer` (and a `Body` for what is sent): it makes
the OpenAPI document, renders answers and checks bodies. `selectors/things.py` reads what is more than one table's row.

A view's method is declared by `@operation(query=…, body=…, answer=…, many=…, scope=…)` and finds at hand:
`self.caller` (fetch objects through it: `self.caller.flow(wire_id, to=Act.RUN_FLOW)` answers 404 and 403 by itself,
and `self.caller.reach` scopes lists), `self.query` (values by name; only those that were given) and `self.body`
(validated; `self.sent` is raw). It returns what the answer is rendered from, a `Listed` for a page of a list, or None
for 204. Refuse with `conflict(…)`, `invalid(…)`, `bad_query(…)` of `failures`; its table turns what services raise into
answers.

Tokens, scopes, throttle, idempotency keys, `include`/`exclude`, trailing slashes and failures are done for every call.
"""
