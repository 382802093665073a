"""`manage.py flow`: apply, export, list and run flows, look at their errors and checkpoints."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.accounts.models import Account
from apps.core.ids import Kind, WrongIdError, parse_short_id
from apps.errors.states import ErrorState
from apps.execution import cli_facts as facts
from apps.execution.cli import AccountCommand, Options, chosen_flow, mistake_line, table
from apps.execution.cli_apply import Source, ordered, read_source
from apps.execution.cli_arguments import ARGUMENTS, key_argument
from apps.execution.cli_here import WorkHere
from apps.execution.cli_hooks import address_of, chosen_hook, sent_test
from apps.execution.cli_watch import EXIT_STATUS, Watch, is_worker_alive, summary_of
from apps.flows.definition import MistakesError
from apps.flows.models import Flow, Revision
from apps.flows.services import (
    AppliedRevision,
    RevisionConflictError,
    apply_definition,
    disable_flow,
    enable_flow,
    renew_hook,
)
from apps.runs.checkpoints import set_checkpoint
from apps.runs.models import Run
from apps.runs.services import cancel_run, start_run
from apps.runs.statuses import Trigger

Act = Callable[[Account, Options], None]


class Command(AccountCommand):
    help = "Applies, exports, lists and runs flows; shows their errors and checkpoints."

    def subcommands(self) -> Mapping[str, Act]:
        return {
            "apply": self.apply,
            "export": self.export,
            "list": self.list_flows,
            "run": self.run_flow,
            "cancel": self.cancel,
            "enable": self.enable,
            "disable": self.disable,
            "errors": self.errors,
            "checkpoint": self.checkpoint,
            "address": self.address,
            "send": self.send,
        }

    def fill(self, name: str, parser: CommandParser) -> None:
        ARGUMENTS.get(name, key_argument)(parser)

    # --- definitions -------------------------------------------------------------------------------------------------
    def apply(self, account: Account, options: Options) -> None:
        """Apply definitions (YAML files, - for the input); each file as a whole or not at all."""
        results = [self.apply_one(account, source, options) for source in ordered(map(read_source, options["files"]))]
        if self.as_json:
            self.answer(results, [])
        if not all(result["ok"] for result in results):
            raise SystemExit(1)

    def apply_one(self, account: Account, source: Source, options: Options) -> dict[str, Any]:
        try:
            source.refuse_unreadable()
            applied = apply_definition(account=account, text=source.text, expected_revision=options["expect_revision"])
        except MistakesError as error:
            mistakes = [
                {"line": m.line, "place": m.place, "message": m.message, "hint": m.hint} for m in error.mistakes
            ]
            self.complain([mistake_line(source.name, mistake) for mistake in error.mistakes])
            return {"file": source.name, "ok": False, "mistakes": mistakes}
        except RevisionConflictError as error:
            self.complain([f"{source.name}: {error}", error.diff])
            return {"file": source.name, "ok": False, "mistakes": [{"message": str(error)}], "diff": error.diff}
        return self.tell_applied(source, applied)

    def complain(self, lines: list[str]) -> None:
        for line in lines:
            self.stderr.write(line)

    def tell_applied(self, source: Source, applied: AppliedRevision) -> dict[str, Any]:
        if not self.as_json:
            what = ", ".join(applied.changes) or "nothing changed"
            self.stdout.write(f"{applied.flow.key} revision {applied.revision.number}: {what}")
        for warning in applied.warnings:
            self.stderr.write(f"{source.name}: warning: {warning}")
        return {
            "file": source.name,
            "ok": True,
            "flow": applied.flow.key,
            "revision": applied.revision.number,
            "is_new_revision": applied.is_new_revision,
            "changes": list(applied.changes),
            "warnings": [{"place": w.place, "message": w.message, "hint": w.hint} for w in applied.warnings],
        }

    def export(self, account: Account, options: Options) -> None:
        """Write a flow's definition as it was applied."""
        flow = chosen_flow(account, options["key"])
        revision = chosen_revision(flow, options["revision"])
        if self.as_json:
            self.answer({"flow": flow.key, "revision": revision.number, "definition": revision.definition}, [])
        else:
            self.stdout.write(revision.definition, ending="")

    def list_flows(self, account: Account, options: Options) -> None:
        """List the account's flows."""
        rows = facts.flow_rows(account)
        head = ["FLOW", "INTEGRATION", "STATE", "SCHEDULE", "REVISION", "LAST RUN", "OPEN ERRORS"]
        lines = (
            table([head, *map(facts.flow_cells, rows)]) if rows else ["There is no flow yet: manage.py flow apply FILE"]
        )
        self.answer(rows, lines)

    def enable(self, account: Account, options: Options) -> None:
        """Enable a flow: its schedule starts."""
        flow = enable_flow(flow=chosen_flow(account, options["key"]))
        due = f"; next run at {flow.next_due_at:%Y-%m-%d %H:%M:%S} UTC" if flow.next_due_at else ""
        self.answer({"flow": flow.key, "enabled": True}, [f"{flow.key} is enabled{due}."])

    def disable(self, account: Account, options: Options) -> None:
        """Disable a flow: no new run starts."""
        flow = disable_flow(flow=chosen_flow(account, options["key"]))
        self.answer({"flow": flow.key, "enabled": False}, [f"{flow.key} is disabled."])

    # --- runs --------------------------------------------------------------------------------------------------------
    def run_flow(self, account: Account, options: Options) -> None:
        """Start a run; with --wait or --here the exit status tells how it ended (0, 3 with errors, 1, 4 canceled)."""
        flow = chosen_flow(account, options["key"])
        run = start_run(
            flow=flow,
            trigger=Trigger.COMMAND,
            parameters=dict(options["param"]),
            window_from=moment(options["start"], account),
            window_to=moment(options["end"], account),
        )
        if not (options["wait"] or options["here"]):
            self.answer(facts.run_row(run), [f"{run} of {flow.key} is queued."])
            return
        if not options["here"] and not is_worker_alive():
            self.stderr.write("No worker is alive: start one with manage.py work, or use --here.")
        self.follow(run, WorkHere(run) if options["here"] else None)

    def follow(self, run: Run, here: WorkHere | None) -> None:
        """Watch a run to its end; ends the command with the run's exit status."""
        stream = self.stderr if self.as_json else self.stdout
        try:
            if here is not None:
                here.start()
            ended = Watch(run, stream, check=here.refuse_broken if here else lambda: None).until_ended()
        except KeyboardInterrupt:
            self.leave(run, here)
        finally:
            if here is not None:
                here.stop()
        self.answer(facts.run_row(ended), [summary_of(ended)])
        if status := EXIT_STATUS.get(ended.outcome, 1):  # type: ignore[call-overload]
            raise SystemExit(status)

    def leave(self, run: Run, here: WorkHere | None) -> None:
        who = "workers go on with it" if here is not None else "the run goes on"
        self.stderr.write(f"\n{run}: no longer watched; {who}. To end it: manage.py flow cancel {run}")
        raise SystemExit(130)

    def cancel(self, account: Account, options: Options) -> None:
        """Cancel a run; it ends at its next page boundary."""
        try:
            number = parse_short_id(options["run"], Kind.RUN)
        except WrongIdError as error:
            raise CommandError(str(error)) from error
        run = Run.objects.of(account).filter(pk=number).select_related("flow").first()
        if run is None:
            raise CommandError(f"There is no run r-{number} in the account {account.name}.")
        canceled = cancel_run(run=run, member=None)
        done = "is canceled" if canceled.is_ended else "ends at its next page boundary"
        self.answer(facts.run_row(canceled), [f"{canceled} {done}."])

    # --- webhooks ----------------------------------------------------------------------------------------------------
    def address(self, account: Account, options: Options) -> None:
        """Show the address that others send a flow's records to; --renew makes a new one, the old one stops working."""
        hook = chosen_hook(chosen_flow(account, options["key"]))
        hook = renew_hook(hook=hook) if options["renew"] else hook
        row = {"flow": options["key"], "address": address_of(hook), "waiting": hook.waiting}
        self.answer(row, [f"{row['address']}  ({hook.waiting:,} records wait)"])

    def send(self, account: Account, options: Options) -> None:
        """Send a flow's webhook a test request: a JSON file, - for the input. It needs no signature."""
        received = sent_test(chosen_flow(account, options["key"]), options["file"])
        row = {"flow": options["key"], "received": received.records, "id": received.number}
        self.answer(row, [f"{received.records:,} records wait for the next run of {options['key']}."])

    # --- errors and checkpoints --------------------------------------------------------------------------------------
    def errors(self, account: Account, options: Options) -> None:
        """List a flow's newest errors, open ones unless --resolved is given."""
        flow = chosen_flow(account, options["key"])
        state = ErrorState.RESOLVED if options["resolved"] else ErrorState.OPEN
        refuse_unknown_step(flow, options["step"])
        rows = facts.error_rows(account, flow, options["step"], state, options["limit"])
        head = ["ERROR", "STEP", "CODE", "TRACE KEY", "MESSAGE"]
        nothing = f"{flow.key} has no {state.label.lower()} errors" + (
            f" at {options['step']}." if options["step"] else "."
        )
        self.answer(rows, table([head, *map(facts.error_cells, rows)]) if rows else [nothing])

    def checkpoint(self, account: Account, options: Options) -> None:
        """Show how far a flow's export has got; --set or --clear moves it (not while a run is under way)."""
        flow = chosen_flow(account, options["key"])
        step = facts.export_step(account, flow)
        if step is None:
            raise CommandError(f"Flow {flow.key} has no export yet: apply a definition first.")
        if options["clear"] or options["set"] is not None:
            set_checkpoint(step=step, value=None if options["clear"] else options["set"])
        row = facts.checkpoint_row(account, step)
        self.answer(row, [checkpoint_line(flow, row)])


def checkpoint_line(flow: Flow, row: facts.Row) -> str:
    if row["value"] is None:
        return f"{flow.key} has no checkpoint: its next run exports from the beginning."
    by = f", moved by {row['moved_by_run']}" if row["moved_by_run"] else ", moved by hand"
    at = f" at {row['moved_at']:%Y-%m-%d %H:%M:%S} UTC" if row["moved_at"] else ""
    value = json.dumps(row["value"], ensure_ascii=False)
    return f"{flow.key}: the next run exports from {value} (step {row['step']}{by}{at})."


def refuse_unknown_step(flow: Flow, key: str | None) -> None:
    keys = set(flow.steps.values_list("key", flat=True))
    if key is not None and key not in keys:
        raise CommandError(f"Flow {flow.key} has no step {key}. Its steps are {', '.join(sorted(keys)) or 'none'}.")


def chosen_revision(flow: Flow, number: int | None) -> Revision:
    if number is None:
        if flow.revision is None:
            raise CommandError(f"Flow {flow.key} has no definition yet.")
        return flow.revision
    found = flow.revisions.filter(number=number).first()
    if found is None:
        latest = flow.revision.number if flow.revision else 0
        raise CommandError(f"Flow {flow.key} has no revision {number}; its latest is {latest}.")
    return found


def moment(given: datetime | None, account: Account) -> datetime | None:
    """A time with its zone; one that names none is a time of the account's zone."""
    if given is None or timezone.is_aware(given):
        return given
    return given.replace(tzinfo=ZoneInfo(account.time_zone))
