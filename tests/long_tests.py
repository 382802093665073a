"""What is tried out of the ordinary: `python -m pytest -m long`. Each is one of several ways to show the same.

The ordinary run has a way that shows it too, so that it ends while somebody waits for it; the reason names that one.
"""

import re

import pytest
from django.db import connection

OTHER = "postgresql" if connection.vendor == "sqlite" else "sqlite"
"""The database that ours is not."""

SPREADS = pytest.mark.parametrize("spread", [1, 5], ids=["every moment", "some"])
"""A sweep over all the moments at which something can happen: each of them is long, the ordinary run takes some."""


def moments(count: int, spread: int) -> list[int]:
    """Of so many moments, counted from 1: each, or five that lie apart."""
    every = list(range(1, count + 1))
    return every if spread == 1 else every[count // 10 :: max(1, count // 5)][:5]


IN_CONTRACT = r"file-a\.(csv|jsonl\.gz)\]|(sftp|s3)-a\.csv|sql-\w+-upsert|http-(none|link)-|email-|webhook-3"
"""Variants of connectors that the ordinary run takes."""

SCENARIOS_KEPT = "|".join([
    r"(resume|parallel_pages|transactions|failing_targets|bad_records|unbooked_pages)\.py",
    r"retry\.py", r"bulk_edit\.py::test_(all_are|an_edit_of_many|the_same)", r"delete\.py::test_only",
    r"act_plans\.py::test_(a_plan_counts|a_resolve|a_retry_that)", r"canceled_retries\.py::test_a_canceled",
    r"scope_run\.py::test_(killed|canceled|workers|one_record)", r"ledgers\.py::test_(rows|a_ledger)",
    r"retry_table_meanwhile\.py::test_(real_workers|the_turn|a_retry_waits|a_worker_killed|what_a_run)",
    r"webhook\.py::test_(a_kill|runs_side|after_a_run)",
    r"workflow_retry\.py::test_(wherever|a_worker|an_attempt_that_is)",
    r"retry_table\.py::test_(in_scope_record|a_retry_that_fails|all_that_match|a_write_that|a_forced)",
    r"auto_retry_table\.py::test_(ten_thousand|where_|an_attempt_under_way|an_attempt_that_works)",
    r"auto_resolve_table\.py::test_(the_same|a_late_page|tags|reopen)",
    r"causes\.py::test_(states_cost|merged)", r"notes\.py::test_(two_errors|a_tag_on_many)",
    r"sub_flows\.py::test_(calls_inside|a_run_works)", r"test_runs\.py::test_(no_transaction|nothing_stays|two_tests)",
    r"wrong_input_databases\.py::test_a_target", r"demo\.py::test_installing_twice",
])  # fmt: skip
"""On PostgreSQL: locks, savepoints, ledgers, acts on many rows, and of each other table of cases a few."""

LONG = {
    rf"scenarios/.*\[(.*-)?{OTHER}(-.*)?\]": "a target like our database is in it, and this one where ours is like it",
    r".*[\[-]every moment[\]-]": "some of the moments are in it",
    r"scenarios/test_resume.py::test_a_page_on_which_workers_die_again_and_again.*-[345]\]": "two deaths are in it",
    r"scenarios/test_resume.py::test_(wherever|whichever|without|a_page|a_record|a_journal).*\[(\w+-)?file\b": (
        "deaths of runs over a table, whose checkpoint moves with every page, are in it"
    ),
    r"scenarios/test_resume.py::test_a_file_that_changed.*(shorter|other)": "a longer file and none at all are in it",
    r"notifications/test_killed.py::": "a window, and a mail, whose worker dies in our own process are in it",
    r"scenarios/test_webhook.py::test_a_kill.*\[(1-False|2-True)": "each is in it before one call and after another",
    r"scenarios/test_wrong_input_files.py.*\[.*(-sig|utf-16-|folder|document|none|a\.csv-(?!id)|a\.jsonl?-)": (
        "a file of each kind is in it, the connectors' tests read all of them"
    ),
    r"scenarios/test_demo.py::test_a_second_run": "what takes another error's place is told by a table of cases",
    r"scenarios/test_wrong_input_definitions.py::test_an_expression_bomb.*\[(map|log)-(?!9)": (
        "all bombs in a filter, and one of each other step, are in it"
    ),
    r"scenarios/test_demo_orders.py::test_(a_corrected_address|a_rejected|an_order_that_waited|a_second|the_mail)": (
        "a retry and two runs of the demo's orders are in it"
    ),
    r"scenarios/test_transactions.py::test_what_persists.*-strict\]": "the way that keeps changes is in it",
    rf"connectors/test_contract.py::.*\[(?!{IN_CONTRACT})\w+-": "one or two variants of each connector are in it",
    r"connectors/test_contract.py::test_an_application_that_never.*postgresql": "a session with it is in it",
    r"connectors/test_files_target.py::test_a_kill_at_any_call.*\[(open|fsync)-": "calls that change names are in it",
    r"connectors/test_http_hostile.py::.*\[(drip-headers|stop|truncate-|deflate|endless-chunks)": (
        "two faults of each class are in it"
    ),
    r"connectors/test_http_import.py::test_a_short_wait.*\[(seconds-503|date-429)": "both forms and statuses are in it",
    r"connectors/test_sql_mariadb.py::test_a_(row_that_somebody|server_that_falls_silent|statement_that)": (
        "PostgreSQL's, and the contract of connections that never answer, are in it"
    ),
    r"engine/test_expressions_attacks.py::test_a_bomb_takes_little_memory\[[23]\]": "a bomb of the same kind is in it",
    r"engine/test_expressions_attacks.py::test_a_bomb_ends.*\[(33|4[789]|55|63)\]": "bombs of the same kinds are in it",
    r"scenarios/test_demo_applications.py::": "the first minute of a newcomer is in .ci/run",
    r"scenarios/test_demo_mail_server.py::": "the demo's own orders are in it",
    r"execution/test_rivals.py::": "in the kills of .ci/run workers, dispatcher and pages act at the same time",
    r"console/test_search_page.py::test_whatever_an_address(?!.*all at once)": "all names at once are in it",
    r"core/test_checks.py::test_the_deployment_check": "check --deploy is in .ci/run",
    r"house/test_settings.py::test_the_start_ends.*\[DEBUG": "that start is in .ci/run",
    r"house/test_settings.py::test_a_database_that_is_away.*\[(migrate|check_books)\]": "the start is in it",
    r"console/test_search_page.py::test_whatever_is_typed.*view": "the search itself is in it",
    r"console/test_connection_secrets.py::test_a_secret_that.*\[(sql-fields0|http-fields[3-6]|telltale-fields9)\]": (
        "one way to sign in of each connector is in it"
    ),
    r"browser/test_every_page.py::.*other looks": "both layouts and both themes are in it",
    r"browser/test_triage.py::.*\[without a script\]": "it is in it with a script; the lists are without one",
    r"browser/test_three_clicks.py::.*\[without a script\]": "it is in it with a script; so are edits without one",
}
if connection.vendor == "sqlite":
    SWEEPS = "|".join([
        r"resume\.py::test_(wherever|a_page|a_record)", r"parallel_pages\.py::test_(wherever|a_page)",
        r"scope_run\.py::test_killed", r"webhook\.py::test_a_kill", r"workflow_retry\.py::test_wherever",
        r"failing_targets\.py::test_a_(?!sqlite)", r"failing_targets\.py::test_scopes",
        r"bad_records\.py::test_a_(bad_record|record|field)", r"retry_table_meanwhile\.py::test_real_workers",
    ])  # fmt: skip
    LONG[rf"scenarios/test_({SWEEPS})"] = "they are in it on PostgreSQL, where workers and locks are many"
if connection.vendor == "postgresql":
    kept = r"search_page|error_list|record_journey|live\.py|dashboard\.py::test_a_page_asks"
    LONG[rf"console/(?!test_({kept}))"] = "the browser opens every page, on PostgreSQL; SQLite has all of this"
    LONG[rf"scenarios/(?!test_({SCENARIOS_KEPT}))"] = "the rules that they show are ours and not the database's"
    cells = r"R-R-ERR|R-CW/e-P,PH|CR/e-CO|CR/x-CW/x|CW/e-CR/x|CW/x-CR/e|CO-CO"
    LONG[rf"scenarios/test_transactions.py::test_what_persists.*\[postgresql-(?!({cells})-)"] = (
        "one cell of each row and column is in it, SQLite has all 36"
    )
    LONG[r"scenarios/test_bad_records.py::test_one_bad.*\[postgresql-(?!NUL|lone|broken|huge)"] = (
        "what PostgreSQL takes in no text or number is in it, SQLite has all kinds"
    )
    LONG[r"core/test_admin.py::(?!.*(every_list|every_filter|search))"] = "SQLite has the forms and acts of the admin"
    LONG[r"api/test_generated_calls.py::"] = "SQLite has them; what a call asks is tried by the other tests of the API"
    LONG |= {
        r"retention/test_(closing.py::test_(?!after_the_time)|leftovers.py::test_(?!a_flow_that))": "SQLite has it",
        r"retention/test_purge.py::test_(?!a_purge|a_long|another|errors_and_runs|what_goes_next)": (
            "what a purge locks, and that it may die at any statement, are in it; SQLite has this"
        ),
        r"notifications/test_(at_once|sending)\.py": "SQLite has it, and what the windows of digests ask is in it",
        r"notifications/test_digests.py::test_(?!(a_window|windows|the_queries|each|an_error_under))": (
            "the windows of digests are in it; SQLite has this"
        ),
        r"errors/test_rules.py::test_(?!an_error_whose_id|acts_that|a_look|a_condition)": (
            "what rules ask, and that they may die, are in it; SQLite has this"
        ),
    }
PATTERNS = re.compile("|".join(f"tests/{pattern}" for pattern in LONG))


def is_long(item: pytest.Item) -> bool:
    return PATTERNS.match(item.nodeid) is not None
