"""The definition with which the editor of a new flow begins: small, commented, and right as it stands."""

from apps.connectors.base import Connector, options_for
from apps.connectors.registry import CONNECTORS
from apps.engine.plan import StepKind
from apps.flows.definition.rewriting import written
from apps.flows.models import Connection, Integration
from apps.flows.naming import free_key

KEY = "my-flow"
MISSING = "My connection"
TEXT = """\
# A small flow that works as it is: it takes records from {connection} and writes a line of its log for each.
# Save it, press Run now, and look at its log; then change it into what you need.

flow: {key} # its key, which stays for good
name: My flow
integration: {integration}
enabled: true # nothing runs by itself before there is a schedule
# schedule: {{cron: "30 6 * * 1-5", time_zone: Europe/Berlin}} # from Monday to Friday at 06:30

steps:
  - key: source # errors and counts hang on the keys of steps
    name: Take the records
    export: {export}
    # trace_key: "{{{{ record.id }}}}" # what identifies the same record across runs

  # - key: load
  #   name: Load them
  #   import: {{connection: Another connection, table: orders, operation: upsert, keys: [id]}}
  #   mapping: {{id: record.id, name: trim(record.name)}}
  #   on_error: {{policy: retry, attempts: 3, seconds: 10, then: set_aside}}

  - key: note
    name: Write it down
    log: "Record {{{{ stable_id(record) }}}}"
"""


def example_of(integration: Integration, key: str = "") -> str:
    """The example for an integration, under a key that is free. Two queries."""
    connection = chosen_connection(integration)
    name = connection.name if connection else MISSING
    options = CONNECTORS[connection.kind].export_example if connection else {}
    export = written({"connection": name, **options})
    own = key or free_key(integration.account_id, KEY)
    return TEXT.format(connection=name, key=own, integration=integration.slug, export=export)


def chosen_connection(integration: Integration) -> Connection | None:
    """One that can export; best one whose example gives records whatever its application holds."""
    rows = Connection.objects.of(integration.account_id).filter(environment=integration.environment).order_by("id")
    usable = [row for row in rows if (found := CONNECTORS.get(row.kind)) and options_for(found, StepKind.EXPORT)]
    return min(usable, key=lambda row: not is_self_sufficient(CONNECTORS[row.kind]), default=None)


def is_self_sufficient(connector: type[Connector]) -> bool:
    return connector.is_transactional() or connector.listens
