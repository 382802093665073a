"""What the queue calls: an id in, the work of one slice done."""

from apps.errors import services as errors
from apps.execution.ledgers import trim
from apps.execution.probing import probe
from apps.execution.testing import work_on_test
from apps.execution.webhooks import send_deliveries
from apps.execution.worker import work_slice


def work_run(run_id: int) -> None:
    """Work on a run until it ends, must wait, or its slice is over. Harmless when the run is not due or taken."""
    work_slice(run_id)


def perform_act(account_id: int, act_id: int) -> None:
    """Do what is left of an act on many errors."""
    errors.perform_act(account_id, act_id)


def probe_connection(connection_id: int) -> None:
    """Try a connection that is offline."""
    probe(connection_id)


def trim_ledger(ledger_id: int) -> None:
    """Remove what is old from the ledger in a target."""
    trim(ledger_id)


def send_webhook(webhook_id: int) -> None:
    """Send what a webhook is due to be told."""
    send_deliveries(webhook_id)


def work_test(test_id: int) -> None:
    """Try a draft on a few records and write the report. Harmless when the test is taken or has ended."""
    work_on_test(test_id)
