"""Which tests ask Flowmend's own database for something: those are tried on SQLite and again on PostgreSQL.

To the others, which know no database or bring their own, it is nothing where ours lies: `-m database` leaves them out,
and those in a browser, which look at pages and not at rows.
"""

import pytest

FIXTURES = {"db", "transactional_db", "live_server"}
ASK_NOTHING_OF_THEIR_OWN = {
    "tests/engine/": "the engine knows no database",
    "tests/house/": "they are about the README, the settings and the start",
    "tests/accounts/test_permissions.py": "they are about one table in Python",
    "tests/api/test_access.py": "statuses come before any row is asked for",
    "tests/api/test_clients.py": "they are about requests as clients write them",
    "tests/console/test_access.py": "statuses come before any row is asked for",
    "tests/console/test_connection_secrets.py": "what is hidden is the same text in every database",
    "tests/console/test_editor_page.py": "they are about the text of a definition",
    "tests/console/test_flow_settings.py": "they are about the text of a definition",
    "tests/execution/test_cli_flow.py": "they are about words on a terminal",
    "tests/scenarios/test_demo_orders.py": "they are about the demo's flows, and write to both kinds of warehouse",
    "tests/scenarios/test_wrong_input_definitions.py": "what is refused never comes to a database of ours",
    "tests/scenarios/test_wrong_input_files.py": "what is refused never comes to a database of ours",
    "tests/scenarios/test_demo_applications.py": "they are about HTTP, and wait for applications most of the time",
    "tests/scenarios/test_handling_model.py": "they play on a fake target, without a book",
    "tests/scenarios/test_no_secret_leaks.py": "what is kept of a run is the same text in every database",
}


def asks_nothing(place: str) -> bool:
    """Of a file, a folder with a slash at its end, or a test in one."""
    return place.startswith(tuple(ASK_NOTHING_OF_THEIR_OWN))


def asks(item: pytest.Item) -> bool:
    if asks_nothing(item.nodeid) or item.get_closest_marker("browser"):
        return False
    asked_for = FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return bool(asked_for) or item.get_closest_marker("django_db") is not None
