"""Definitions and the world they name, for the tests of definitions."""

from apps.flows.definition import Definition, DefinitionError, Known, Mistake, parse_definition

CONNECTIONS = {"production": {"files": "file", "warehouse": "sql"}, "sandbox": {"drop": "file"}}
KNOWN = Known(connections=CONNECTIONS, integrations={"trials": "sandbox"}, flows={"airports": "", "last": "middle"})

STRIKES = """\
# Wildlife strikes, every five minutes
flow: wildlife-strikes
name: Wildlife strikes
integration: {key: aviation, name: Aviation}
schedule: {cron: "*/5 * * * *", time_zone: Europe/Berlin}
enabled: true
settings: {region: EU}
steps:
  - key: strikes
    name: Export strikes
    export: {connection: files, path: birdstrikes.csv}
    trace_key: "{{ record.id }}"
  - key: damaged   # only what cost something
    filter: record.cost > 0
  - key: airport
    lookup: {connection: warehouse, table: airports, match: {name: record.airport}, into: airport, required: true}
  - key: load
    import: {connection: warehouse, table: strikes, operation: upsert, keys: [id]}
    mapping: {id: record.id, "place.city": record.airport.city}
    required: [id]
    on_error: {policy: retry, seconds: 5, attempts: 2, then: set_aside}
"""


def read(text: str, known: Known = KNOWN) -> Definition:
    return parse_definition(text, known=known)


def mistakes_of(text: str, known: Known = KNOWN) -> tuple[Mistake, ...]:
    """The mistakes in a text that has some."""
    try:
        parse_definition(text, known=known)
    except DefinitionError as error:
        return error.mistakes
    raise AssertionError("the definition has no mistake")


def told(text: str, known: Known = KNOWN) -> dict[str, str]:
    """What is told, by place."""
    return {mistake.place: f"{mistake.message} {mistake.hint}".strip() for mistake in mistakes_of(text, known)}


def flow_of(*steps: str, head: str = "") -> str:
    """A definition with an export and some more steps, each written as one line of YAML."""
    rows = ["{key: source, export: {connection: files, path: a.csv}}", *steps]
    return f"flow: orders\nintegration: shop\n{head}\nsteps:\n" + "".join(f"  - {row}\n" for row in rows)
