"""What is tried out of the ordinary: `python -m pytest -m long`. Each is one of several ways to show the same.

The ordinary run has a way that shows it too, so that it ends while somebody waits for it; the reason names that one.
"""

import re

import pytest
from django.db import connection

OTHER = "postgresql" if connection.vendor == "sqlite" else "sqlite"
"""The database that ours is not."""

LONG = {
    r"scenarios/test_resume.py::test_a_page_on_which_workers_die_again_and_again.*-[345]\]": "two deaths are in it",
    rf"scenarios/test_resume.py::test_whichever_statement.*\[(file-.*|table-{OTHER})\]": (
        "every statement with a table as the source, and a target like our own database, is in it"
    ),
    rf"scenarios/test_scope_run.py::test_killed_at_any_statement.*\[{OTHER}\]": "a target like our database is in it",
    rf"scenarios/test_killed_acts.py::.*\[{OTHER}\]": "the kills with a database like our own are in it",
    r"scenarios/test_demo_applications.py::": "the first minute of a newcomer is in .ci/run",
    r"scenarios/test_demo_mail_server.py::": "the demo's own orders are in it",
    r"execution/test_rivals.py::": "in the kills of .ci/run workers, dispatcher and pages act at the same time",
    r"console/test_search_page.py::test_whatever_an_address_says.*(causes|resolved)": (
        "the lists of open errors are in it"
    ),
    r"console/test_search_page.py::test_whatever_is_typed.*view": "the search itself is in it",
    r"console/test_connection_secrets.py::test_a_secret_that.*\[http-fields[56]\]": (
        "five more ways to sign in are in it"
    ),
}
PATTERNS = re.compile("|".join(f"tests/{pattern}" for pattern in LONG))


def is_long(item: pytest.Item) -> bool:
    return PATTERNS.match(item.nodeid) is not None
