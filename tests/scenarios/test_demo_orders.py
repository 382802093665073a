"""The demo's orders, run for real: a database, a mail server, and what a plain reading of the file expects of them."""

import asyncio
import csv
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson
import pytest

from apps.accounts.models import Member
from apps.core.clock import frozen, read_now
from apps.errors.models import Error, RetryData
from apps.errors.services import edit_retry_data, retry_errors
from apps.errors.states import Reason
from apps.execution.check_books import differences
from apps.execution.demo.install import demo_outbox, install_demo
from apps.execution.demo.mail_server import start_mail_server
from apps.execution.worker import work_slice
from apps.flows.definition import parse_definition
from apps.flows.definition.warnings import warnings_of
from apps.flows.models import Flow
from apps.flows.selectors import known_to
from apps.runs.models import Intent, Run, RunLog, StepRun
from apps.runs.services import start_run
from apps.runs.statuses import RunKind
from tests.scenarios.order_reading import Shop, expected_orders, order_lines
from tests.scenarios.test_demo import Demo, anywhere, demo

__all__ = ["anywhere", "demo"]
pytestmark = pytest.mark.django_db
KEY = "orders"


@pytest.fixture
def mail_port(anywhere: Demo) -> Iterator[int]:
    """The demo's mail server on a free port; it keeps messages where that of an installed demo does."""
    loop, ready, ports = asyncio.new_event_loop(), Event(), []

    async def serve() -> None:
        server = await start_mail_server(0, anywhere.root / "outbox")
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await stopping.wait()

    stopping = asyncio.Event()
    thread = Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(stopping.set)
    thread.join(10)


@pytest.fixture
def shop(anywhere: Demo, mail_port: int, settings: Any) -> Demo:
    """The demo with its shop, and its first orders worked on to their end."""
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    install_demo(mail_port=mail_port)
    worked(Run.unscoped.get(flow__key=KEY))
    return anywhere


@pytest.fixture(scope="module")
def expected() -> Shop:
    return expected_orders()


def worked(run: Run) -> Run:
    """Work on a run to its end; where it waits, time passes at once."""
    for _ in range(60):
        run.refresh_from_db()
        if run.is_ended:
            return run
        due = max(filter(None, [run.not_before, run.lease_until, read_now()]))
        with frozen(due + timedelta(seconds=1)):
            work_slice(run.pk)
    raise AssertionError(f"{run} is {run.status}: {run.wait_reason}")


def run_of(kind: str = RunKind.FLOW) -> Run:
    found: Run = Run.unscoped.filter(flow__key=KEY, kind=kind).latest("pk")
    return found


def numbers(shop: Demo, table: str, column: str = "order_number") -> list[str]:
    return sorted(row[0] for row in shop.rows(f"SELECT {column} FROM {table}"))


def mails(shop: Demo) -> list[tuple[str, str]]:
    """(subject, recipient) of every message that the server took."""
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in (shop.root / "outbox").glob("*.eml")]
    return sorted((mail["subject"], mail["to"]) for mail in found)


def errors_at(step: str, **facts: Any) -> list[Error]:
    rows = Error.unscoped.filter(flow__key=KEY, step__key=step, **facts).select_related("cause", "step")
    return list(rows.order_by("id"))


def correct(error: Error, **fields: Any) -> Error:
    """Mend the record in the console, retry it, and work on the retry to its end."""
    data = RetryData.unscoped.get(pk=error.pk)
    text = orjson.dumps(orjson.loads(data.record) | fields).decode()
    member = Member.unscoped.get(account_id=error.account_id)
    edit_retry_data(error=error, member=member, text=text, expected_version=data.version)
    return retried(error)


def retried(error: Error, **how: Any) -> Error:
    retry_errors(
        account=error.flow.account, member=None, errors=Error.objects.of(error.account_id).filter(pk=error.pk), **how
    )
    worked(run_of(RunKind.RETRY))
    error.refresh_from_db()
    return error


# --- the first run ---------------------------------------------------------------------------------------------------
def test_the_first_run_comes_to_what_a_plain_reading_of_the_orders_says(shop: Demo, expected: Shop) -> None:
    check_tables(shop, expected)
    check_mails(shop, expected)
    check_errors(expected)
    check_counts(expected)
    check_log(expected)


def check_tables(shop: Demo, expected: Shop) -> None:
    assert numbers(shop, "customer_order", "number") == sorted(expected.orders)
    assert numbers(shop, "reservation") == sorted(expected.reserved)
    assert numbers(shop, "waiting_order") == sorted(expected.waiting)
    assert numbers(shop, "shortage") == sorted(expected.waiting)
    assert dict(shop.rows("SELECT order_number, amount_cents FROM invoice")) == expected.invoices
    assert dict(shop.rows("SELECT order_number, points FROM loyalty_points")) == expected.points
    assert dict(shop.rows("SELECT number, stock FROM article")) == expected.stock
    why = dict(shop.rows("SELECT order_number, why FROM rejected_order"))
    assert set(why) == set(expected.rejected)
    assert all(reason in why[number] for number, reason in expected.rejected.items())
    assert all("stock_is_not_below_zero" in text for (text,) in shop.rows("SELECT why FROM waiting_order"))


def check_mails(shop: Demo, expected: Shop) -> None:
    """Every confirmed order got exactly one, and no other order any."""
    assert mails(shop) == sorted((f"Your order {number}", address) for number, address in expected.mailed.items())
    assert not Intent.unscoped.exists()


def check_errors(expected: Shop) -> None:
    """Every failure is one, with its path, and open unless a handling answered it."""
    errors = Error.unscoped.filter(flow__key=KEY).select_related("step", "cause")
    open_ones = [error for error in errors if error.state == "open"]
    others = [error for error in errors if error.state != "open"]

    assert Counter(error.step.key for error in open_ones) == expected.open_errors
    assert Counter(error.step.key for error in others) == expected.handled
    assert {error.reason for error in others} == {Reason.HANDLED}
    assert {(e.key, e.step.key) for e in open_ones if e.step.key != "confirmation"} == set(expected.refused)
    assert {e.key: e.cause.code for e in open_ones if e.step.key == "confirmation"} == expected.not_mailed
    assert {e.source_step_path for e in others if e.step.key == "reserve"} == {
        "Order with e-mail confirmation › Reserve stock › Reserve stock › Take from stock"
    }
    undone = [e.effects["rolled_back"] for e in others if e.step.key == "invoice"]
    assert len(undone) == len(expected.rejected)
    assert all("Write the order" in steps[0] and len(steps) == 3 for steps in undone)


def check_counts(expected: Shop) -> None:
    run = run_of()
    failed = len(expected.refused) + len(expected.not_mailed)
    assert (run.outcome, run.records_in, run.failed, run.rolled_back) == (
        "completed_with_errors", len(order_lines()), failed, 0,
    )  # fmt: skip
    assert run.success == run.records_in - failed
    for step in StepRun.unscoped.filter(run=run):
        assert step.came_in == step.success + step.ignored + step.errors + step.rolled_back
    assert list(differences()) == []


def check_log(expected: Shop) -> None:
    """It tells what each handling did."""
    lines = RunLog.unscoped.filter(run=run_of()).select_related("step")
    said = Counter((line.step.key, line.get_level_display().lower()) for line in lines if line.step)
    assert said["invoice", "error"] == len(expected.rejected)
    assert said["points", "warning"] == len(expected.no_points)
    told = "\n".join(line.text for line in lines)
    assert all(f"record {number} at Loyalty points" in told for number in expected.no_points)
    assert all(f"record {number} at Book the invoice" in told for number in expected.rejected)
    # the handler in the sub-flow, and then that of the call
    assert said["reserve", "error"] == 2 * len(expected.waiting)


# --- retries ---------------------------------------------------------------------------------------------------------
def test_an_order_with_a_corrected_article_goes_through_and_is_confirmed_once(shop: Demo, expected: Shop) -> None:
    error = next(error for error in errors_at("article") if error.key == "O-5008")
    correct(error, article_number="A-103")
    assert (error.state, error.reason) == ("resolved", Reason.RETRIED)
    assert "O-5008" in numbers(shop, "invoice")
    told = [subject for subject, _ in mails(shop)]
    assert told.count("Your order O-5008") == 1
    assert len(told) == len(expected.mailed) + 1
    assert list(differences()) == []


def test_a_corrected_address_gets_the_mail_and_nothing_else_is_done_again(shop: Demo, expected: Shop) -> None:
    error = next(error for error in errors_at("confirmation") if error.key == "O-5010")
    assert "this mailbox was closed" in error.message
    before = shop.rows("SELECT number, stock FROM article ORDER BY number")
    correct(error, email="garage@stationgarage.example.org")
    assert (error.state, error.reason) == ("resolved", Reason.RETRIED)
    assert mails(shop).count(("Your order O-5010", "garage@stationgarage.example.org")) == 1
    assert len(mails(shop)) == len(expected.mailed) + 1
    assert shop.rows("SELECT number, stock FROM article ORDER BY number") == before


def test_an_order_that_waited_goes_through_when_there_is_stock(shop: Demo, expected: Shop) -> None:
    assert len(expected.waiting) >= 3
    shop.execute("UPDATE article SET stock = 100")
    error = errors_at("reserve")[0]
    retried(error, includes_resolved=True)
    assert error.key in numbers(shop, "invoice")
    assert [subject for subject, _ in mails(shop)].count(f"Your order {error.key}") == 1
    assert len(numbers(shop, "customer_order", "number")) == len(expected.orders)


def test_a_rejected_order_of_less_goes_through_when_it_is_retried(shop: Demo, expected: Shop) -> None:
    error = next(error for error in errors_at("invoice") if error.key == "O-5034")
    data = orjson.loads(RetryData.unscoped.get(pk=error.pk).record)
    assert RetryData.unscoped.get(pk=error.pk).from_step.key == "order"
    assert data["quantity"] == 1
    correct_resolved(error, article_number="A-107", article={"name": "Office chair", "price_cents": 24900})
    assert dict(shop.rows("SELECT order_number, amount_cents FROM invoice"))["O-5034"] == 24900


def correct_resolved(error: Error, **fields: Any) -> None:
    data = RetryData.unscoped.get(pk=error.pk)
    record = orjson.loads(data.record) | fields
    RetryData.unscoped.filter(pk=error.pk).update(record=orjson.dumps(record))
    retried(error, includes_resolved=True)


# --- a second run ----------------------------------------------------------------------------------------------------
def test_a_second_run_finds_nothing_new_and_changes_nothing(shop: Demo, expected: Shop) -> None:
    before = Error.unscoped.filter(flow__key=KEY).count()
    second = worked(start_run(flow=Flow.unscoped.get(key=KEY)))
    assert (second.outcome, second.records_in) == ("empty", 0)
    assert len(mails(shop)) == len(expected.mailed)
    assert numbers(shop, "customer_order", "number") == sorted(expected.orders)
    assert Error.unscoped.filter(flow__key=KEY).count() == before


def test_a_corrected_order_in_another_file_resolves_its_error(shop: Demo, expected: Shop) -> None:
    wrong = next(line for line in order_lines() if line["order"] == "O-5013")
    path = shop.files / "in" / "orders" / "corrected.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(wrong))
        writer.writeheader()
        writer.writerow(wrong | {"customer_number": "C-16"})

    second = worked(start_run(flow=Flow.unscoped.get(key=KEY)))

    assert (second.outcome, second.records_in) == ("completed", 1)
    (error,) = [error for error in errors_at("customer") if error.key == "O-5013"]
    assert (error.state, error.reason) == ("resolved", Reason.SUCCEEDED)
    assert len(mails(shop)) == len(expected.mailed) + 1


# --- the definitions -------------------------------------------------------------------------------------------------
def test_saving_the_flows_of_the_shop_warns_of_nothing_but_the_points_that_nobody_hears_of(demo: Demo) -> None:
    install_demo(mail_port=2525)
    for key, silent in [("orders", 1), ("reserve-stock", 0)]:
        flow = Flow.unscoped.get(key=key)
        definition = parse_definition(flow.revision.definition, known=known_to(flow.account))
        assert ["passes over failures" in str(warning) for warning in warnings_of(definition)] == [True] * silent


def test_the_data_has_an_order_for_each_answer(expected: Shop) -> None:
    assert {"read", "article", "customer", "order"} == {step for _, step in expected.refused}
    assert set(expected.rejected.values()) == {"amount_is_above_zero", "amount_is_within_the_credit_limit"}
    assert set(expected.not_mailed.values()) == {"550", "address_refused", "recipient_missing"}
    assert len(expected.no_points) >= 3


@pytest.mark.parametrize("anywhere", ["sqlite"], indirect=True)
def test_the_mail_server_keeps_its_messages_in_the_outbox_of_the_demo(shop: Demo) -> None:
    assert demo_outbox() == Path(shop.files) / "outbox"
