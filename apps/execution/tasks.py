"""What the queue calls: an id in, the work of one slice done."""

from apps.accounts.invitations import send_mail_of
from apps.accounts.passwords import send_reset_mail
from apps.accounts.sign_in_changes import send_change_mail
from apps.errors import services as errors
from apps.errors.rules import looking
from apps.execution import notifying
from apps.execution.helping import help_slice
from apps.execution.ledgers import trim
from apps.execution.probing import probe
from apps.execution.purging import count_ahead, export_slice, purge_slice
from apps.execution.testing import work_on_test
from apps.execution.webhooks import send_deliveries
from apps.execution.worker import work_slice
from apps.notifications.windows import end_window
from apps.support import services as support


def work_run(run_id: int) -> None:
    """Work on a run until it ends, must wait, or its slice is over. Harmless when the run is not due or taken."""
    work_slice(run_id)


def help_run(run_id: int) -> None:
    """Deliver pages of a run beside the worker that owns it. Harmless when there are none to take."""
    help_slice(run_id)


def perform_act(account_id: int, act_id: int) -> None:
    """Do what is left of an act on many errors."""
    errors.perform_act(account_id, act_id)


def look_by_rule(account_id: int, rule_id: int) -> None:
    """Let a rule look at the errors that have opened, and act on those that it meets."""
    looking.look_by_rule(account_id, rule_id)


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


def work_purge(purge_id: int) -> None:
    """Purge a slice of what is old. Harmless when another worker has it, or it has ended."""
    purge_slice(purge_id)


def work_export(export_id: int) -> None:
    """Write a slice of an export. Harmless as above."""
    export_slice(export_id)


def look_ahead(account_id: int) -> None:
    """Count what the next purges of an account take."""
    count_ahead(account_id)


def send_support_bundle(account_id: int, bundle_id: int) -> None:
    """Mail a support bundle. Harmless when it was sent or is gone."""
    support.mail_bundle(account_id, bundle_id)


def make_digests(account_id: int, window_id: int) -> None:
    """End a window of digests. Harmless when it is not due or was ended."""
    end_window(account_id, window_id)


def send_messages(*delivery_ids: int) -> None:
    """Send what members and channels are told. Harmless when it was sent."""
    notifying.send_messages(delivery_ids)


def send_invitation(invitation_id: int) -> None:
    """Send the mail that asks somebody to become a member. Harmless when it was sent or answered."""
    send_mail_of(invitation_id)


def send_password_reset(user_id: int) -> None:
    """Send the link for a new password; to nobody where there is no such user."""
    send_reset_mail(user_id)


def send_sign_in_change(account_id: int, entry_id: int) -> None:
    """Tell a user by mail that how he signs in has changed, as the audit log says."""
    send_change_mail(account_id, entry_id)
