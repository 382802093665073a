"""Test runs for the pages that show them: one with all that a report can hold, and one that waits."""

from typing import Any

from apps.accounts.models import Member
from apps.errors.models import Error
from apps.execution.test_claims import claim_test, end_test
from apps.runs.test_runs import start_test

TEXT = """
flow: {key}
integration: birds
steps:
  - key: source
    export: {{connection: Warehouse, query: SELECT 1 AS id}}
  - key: note
    log: "{{{{ record.id }}}}"
"""


def draft_run(error: Error) -> dict[str, int]:
    """A test run of a draft against the errors of a root cause, with all that a report can hold, and one that waits."""
    mara = Member.objects.of(error.account_id).get(user__username="mara")
    facts = {"flow": error.flow, "member": mara, "text": TEXT.format(key=error.flow.key), "revision": 1}
    test, waiting = start_test(**facts, cause=error.cause_id, errors=[error.pk]), start_test(**facts)
    claimed = claim_test(test.pk)
    assert claimed is not None
    end_test(claimed, report_on(error), problem="The test took longer than 60 seconds and was ended there.")
    return {"test": test.pk, "waiting_test": waiting.pk}


def report_on(error: Error) -> dict[str, Any]:
    record = '{\n  "id": "A-1",\n  "altitude": "high",\n  "note": "' + "long " * 60 + '"\n}'
    failure = {"source": "application", "code": "22P02", "class": "value", "field": "altitude", "message": "No number"}
    outcomes = ("succeeded", "ignored", "error", "handled", "rolled_back", "waits")
    rows = [
        {"number": n, "key": "A-1", "outcome": outcome, "in": record, "built": record, "out": record}
        | (failure if outcome in ("error", "handled") else {})
        for n, outcome in enumerate(outcomes, 1)
    ]
    counted = {"in": 6, "out": 1, "ignored": 1, "errors": 1, "handled": 1, "rolled_back": 1, "waits": 1, "ms": 412}
    named = ("source", "Wildlife strikes \u203a Look up the airport \u203a Airports of the world \u203a Find it")
    stages = [
        {"key": name, "name": name, "path": name, "kind": "import", "connection": "Warehouse", "is_sent": False}
        | counted | {"rows": rows}
        for name in named
    ]  # fmt: skip
    one = {"error": error.pk, "step": error.step_id, "key": "A-1"}
    verdicts = [one | failure | {"verdict": verdict, "at": "Target"} for verdict in ("fixed", "failing", "broken")]
    return {
        "records": 6, "counts": {"success": 1, "ignored": 1, "failed": 4, "rolled_back": 1}, "stages": stages,
        "notes": ["Not all could be tried. In a run the page would wait: connection Warehouse: no answer"],
        "log": [{"level": "warning", "step": "Target", "text": "The airport is slow"}], "verdicts": verdicts,
    }  # fmt: skip
