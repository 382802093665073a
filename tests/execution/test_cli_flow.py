"""`manage.py flow`: what it prints, what it refuses, and its exit status."""

import json
import os
import subprocess
import sys
from io import StringIO

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command, execute_from_command_line

from apps.core import clock
from apps.execution.cli_watch import Watch, is_worker_alive, summary_of
from apps.flows.models import Checkpoint, Flow
from apps.flows.services import move_checkpoint
from apps.runs.models import Machine, Run
from tests import migrated
from tests.factories import make_account, make_connection, make_error, make_flow, make_run, step_of
from tests.flows.definitions import STRIKES, flow_of

COPY = """\
flow: copy
integration: shop
enabled: true
page_size: 10
steps:
  - {key: source, export: {connection: files, path: in.jsonl}}
  - {key: check, map: {id: record.id, price: number(record.price)}}
  - {key: target, import: {connection: files, path: out.jsonl}}
"""


def flow_command(*arguments):
    """What a command printed, on both outputs, and its exit status."""
    out, err = StringIO(), StringIO()
    try:
        call_command("flow", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return out.getvalue(), err.getvalue(), ended.code
    return out.getvalue(), err.getvalue(), 0


@pytest.fixture
def shop(db):
    account = make_account("Shop")
    make_connection(account, name="files", kind="file")
    make_connection(account, name="warehouse", kind="sql")
    return account


@pytest.fixture
def file(tmp_path):
    def write(text, name="flow.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


# --- definitions -----------------------------------------------------------------------------------------------------
def test_apply_tells_the_revision_and_what_changed(shop, file):
    path = file(STRIKES)
    out, _, status = flow_command("apply", path)
    assert (status, out.split(":")[0]) == (0, "wildlife-strikes revision 1")
    assert flow_command("apply", path)[0] == "wildlife-strikes revision 1: nothing changed\n"


def test_apply_prints_every_mistake_with_file_and_line_and_goes_on_with_the_next_file(shop, file):
    bad = file(STRIKES.replace("cost > 0", "cost >").replace("path:", "pth:"), "bad.yaml")
    out, err, status = flow_command("apply", bad, file(flow_of(), "good.yaml"))
    assert status == 1
    assert f"{bad}:11 steps[0].export.pth: There is no field pth here. (did you mean path?)" in err
    assert f"{bad}:14 steps[1].filter: The expression can't be read" in err
    assert out.startswith("orders revision 1")
    assert [flow.key for flow in Flow.unscoped.all()] == ["orders"]


def test_apply_puts_a_flow_behind_the_one_that_it_runs_after(shop, file):
    late = file(flow_of(head="run_after: early").replace("flow: orders", "flow: late"), "1.yaml")
    early = file(flow_of().replace("flow: orders", "flow: early"), "2.yaml")
    assert flow_command("apply", late, early)[2] == 0
    assert Flow.unscoped.get(key="late").run_after.key == "early"


@pytest.mark.parametrize(("data", "sentence"), [(b"\xff\xfe", "is not UTF-8 text"), (None, "No such file")])
def test_apply_tells_which_file_it_cannot_read(shop, tmp_path, data, sentence):
    path = tmp_path / "flow.yaml"
    if data is not None:
        path.write_bytes(data)
    _, err, status = flow_command("apply", str(path))
    assert status == 1
    assert str(path) in err
    assert sentence in err


def test_apply_answers_with_json(shop, file):
    out, _, status = flow_command("apply", file(flow_of(), "a.yaml"), file("flow: x", "b.yaml"), "--json")
    first, second = json.loads(out)
    assert (first["flow"], first["revision"], first["ok"]) == ("orders", 1, True)
    assert second["mistakes"][0]["place"] == "integration"
    assert status == 1


def test_apply_refuses_when_somebody_else_was_faster(shop, file):
    flow_command("apply", file(STRIKES))
    _, err, status = flow_command("apply", file(STRIKES + "# mine\n"), "--expect-revision", "7")
    assert status == 1
    assert "is at revision 1 by now" in err
    assert "+# mine" in err


def test_export_gives_back_what_was_applied_to_the_letter(shop, file):
    flow_command("apply", file(STRIKES))
    assert flow_command("export", "wildlife-strikes")[0] == STRIKES
    flow_command("apply", file(STRIKES + "# more\n"))
    assert flow_command("export", "wildlife-strikes", "--revision", "1")[0] == STRIKES
    with pytest.raises(CommandError, match="has no revision 9; its latest is 2"):
        flow_command("export", "wildlife-strikes", "--revision", "9")


def test_list_shows_flows_with_their_open_errors(shop, file):
    assert "no flow yet" in flow_command("list")[0]
    flow = make_flow(shop, key="orders")
    make_error(step=step_of(flow))
    assert "orders" in flow_command("list")[0]
    assert json.loads(flow_command("list", "--json")[0])[0]["open_errors"] == 1


def test_an_unknown_flow_is_answered_with_the_closest(shop):
    make_flow(shop, key="orders")
    with pytest.raises(CommandError, match=r"There is no flow order in the account Shop \(did you mean orders\?\)"):
        flow_command("export", "order")


def test_with_several_accounts_one_must_be_named(shop):
    make_flow(make_account("Other shop"), key="theirs")
    with pytest.raises(CommandError, match=r"say which with --account. There are \d+ \(Shop\)"):
        flow_command("list")
    assert "theirs" in flow_command("list", "--account", "other-shop")[0]
    assert "theirs" not in flow_command("list", "--account", str(shop.pk))[0]
    with pytest.raises(CommandError, match="There is no account nobody"):
        flow_command("list", "--account", "nobody")


# --- errors and checkpoints ------------------------------------------------------------------------------------------
def test_errors_lists_the_newest_open_ones(shop):
    flow = make_flow(shop, key="orders")
    make_error(step=step_of(flow), key="A-1", message="First\nline")
    make_error(step=step_of(flow, "source"), key="A-2")
    make_error(step=step_of(flow), key="A-3", state="resolved", reason="manual")
    rows = json.loads(flow_command("errors", "orders", "--json")[0])
    assert [row["trace_key"] for row in rows] == ["A-2", "A-1"]
    assert "First line" in flow_command("errors", "orders", "--step", "target")[0]
    assert "A-3" in flow_command("errors", "orders", "--resolved")[0]
    assert json.loads(flow_command("errors", "orders", "--limit", "1", "--json")[0])[0]["trace_key"] == "A-2"
    with pytest.raises(CommandError, match=r"has no step nowhere. Its steps are source, target"):
        flow_command("errors", "orders", "--step", "nowhere")


def test_a_checkpoint_is_shown_set_and_cleared(shop, file):
    flow_command("apply", file(flow_of()))
    assert "has no checkpoint: its next run exports from the beginning" in flow_command("checkpoint", "orders")[0]
    out = flow_command("checkpoint", "orders", "--set", '{"id": 7}')[0]
    assert 'orders: the next run exports from {"id": 7} (step source, moved by hand' in out
    assert json.loads(flow_command("checkpoint", "orders", "--json")[0])["value"] == {"id": 7}
    flow_command("checkpoint", "orders", "--clear")
    assert Checkpoint.unscoped.get().value is None


def test_a_checkpoint_is_not_moved_while_a_run_is_under_way(shop, file):
    flow_command("apply", file(flow_of()))
    flow = Flow.unscoped.get()
    move_checkpoint(step=step_of(flow, "source"), value=3)
    make_run(flow, status="running")
    with pytest.raises(CommandError, match="has a run under way"):
        flow_command("checkpoint", "orders", "--set", "4")
    assert Checkpoint.unscoped.get().value == 3


# --- runs ------------------------------------------------------------------------------------------------------------
def test_a_run_is_queued_with_its_window_and_parameters(shop):
    shop.time_zone = "Europe/Berlin"
    shop.save()
    make_flow(shop, key="orders")
    out, _, status = flow_command(
        "run", "orders", "--from", "2026-03-01", "--to", "2026-03-02T08:00:00Z", "--param", "n=5", "--param", "who=me"
    )
    run = Run.unscoped.get()
    assert (out, status) == (f"{run} of orders is queued.\n", 0)
    assert run.window_from.isoformat() == "2026-02-28T23:00:00+00:00"
    assert run.window_to.isoformat() == "2026-03-02T08:00:00+00:00"
    assert run.parameters == {"n": 5, "who": "me"}
    assert run.trigger == "command"


def test_a_disabled_flow_is_not_run(shop):
    make_flow(shop, key="orders", enabled=False)
    with pytest.raises(CommandError, match=r"is disabled. Enable it first"):
        flow_command("run", "orders")
    assert "orders is enabled" in flow_command("enable", "orders")[0]
    assert "is queued" in flow_command("run", "orders")[0]


def test_cancel_ends_a_queued_run(shop):
    make_flow(shop, key="orders")
    flow_command("run", "orders")
    run = Run.unscoped.get()
    assert flow_command("cancel", str(run))[0] == f"{run} is canceled.\n"
    with pytest.raises(CommandError, match="has ended already"):
        flow_command("cancel", str(run))
    with pytest.raises(CommandError, match="looks like r-"):
        flow_command("cancel", "x-1")


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        ("completed", "completed", 0),
        ("empty", "completed", 0),
        ("completed_with_errors", "completed", 3),
        ("failed", "failed", 1),
        ("canceled", "canceled", 4),
    ],
)
def test_waiting_ends_with_a_status_that_tells_the_outcome(shop, monkeypatch, outcome, status, expected):
    make_flow(shop, key="orders")

    def end(watch):
        Run.unscoped.update(status=status, outcome=outcome)
        watch.run.refresh_from_db()
        return watch.run

    monkeypatch.setattr(Watch, "until_ended", end)
    _, err, ended = flow_command("run", "orders", "--wait")
    assert ended == expected
    assert "No worker is alive: start one with manage.py work, or use --here." in err


def test_ctrl_c_leaves_the_run_going_and_says_how_to_end_it(shop, monkeypatch):
    make_flow(shop, key="orders")

    def interrupted(watch):
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "until_ended", interrupted)
    _, err, ended = flow_command("run", "orders", "--wait")
    run = Run.unscoped.get()
    assert ended == 130
    assert f"To end it: manage.py flow cancel {run}" in err
    assert run.status == "queued"


def test_a_worker_is_alive_while_its_machine_gives_signs_of_life(db, noon):
    assert not is_worker_alive()
    Machine.objects.create(name="m", workers=2, seen_at=noon)
    assert is_worker_alive()
    with clock.frozen(noon.replace(minute=1)):
        assert not is_worker_alive()


class Terminal(StringIO):
    """A stream that says whether somebody looks at it, with what OutputWrapper offers beside."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def isatty(self):
        return self.looks

    def write(self, text, style_func=None, ending=""):
        return super().write(text + ending)


def watched(run, stream, steps):
    """Watch a run while each pause takes one step further."""
    rest = list(steps)

    def pause(seconds):
        Run.unscoped.filter(pk=run.pk).update(**rest.pop(0))

    Watch(run, stream, clock=lambda: 3.0 * (len(steps) - len(rest)), pause=pause).until_ended()
    return stream.getvalue()


STEPS = [
    {"status": "running", "wait_reason": "connection warehouse: refused"},
    {"wait_reason": "", "records_in": 300, "success": 270, "ignored": 20, "errors": 10, "failed": 10, "pages_done": 1},
    {"pages_fetched": 2, "done_exporting": True, "records_in": 600},
    {"status": "completed", "outcome": "completed_with_errors", "success": 570},
]


def test_a_terminal_sees_a_bar_with_rate_and_counts(shop, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    text = watched(make_run(make_flow(shop)), Terminal(True), STEPS)
    assert text.startswith("\rr-")
    assert "waits: connection warehouse: refused" in text
    assert "300 records" in text
    assert "50/s  270 success, 20 ignored, 10 errors" in text
    assert "[########........]" in text
    assert "\n" not in text


def test_without_a_terminal_there_is_a_line_now_and_then(shop):
    lines = watched(make_run(make_flow(shop)), Terminal(False), STEPS).splitlines()
    assert lines[0].endswith(" queued")
    assert "running: 0 records" in lines[1]
    assert "300 records (50/s), page 1 of 2, 270 success, 20 ignored, 10 errors" in lines[2]
    assert len(lines) == 3


def test_the_summary_is_a_sentence(shop, noon):
    run = make_run(
        make_flow(shop, key="orders"), status="completed", outcome="completed_with_errors", started_at=noon,
        ended_at=noon.replace(second=9), records_in=1000, success=953, ignored=40, failed=7, errors=8,
    )  # fmt: skip
    assert summary_of(run) == (
        f"{run} completed with errors in 9.0 s: 1,000 records in = 953 success + 40 ignored + 7 failed. "
        "8 errors: manage.py flow errors orders"
    )


def test_a_run_that_is_run_again_is_watched_until_it_waits(shop, noon):
    run = make_run(make_flow(shop, key="orders"))
    waiting = {"status": "retrying", "not_before": noon, "attempts": 4, "wait_reason": "waits: attempt 2 of 4"}

    watched(run, Terminal(False), [waiting])

    run.refresh_from_db()
    assert summary_of(run).splitlines()[1] == "It failed and waits: attempt 2 of 4 at 2026-03-02 12:00:00 UTC."


# --- as a process ----------------------------------------------------------------------------------------------------
def manage(tmp_path, *arguments, **extra):
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3",
        "DATA_DIR": str(tmp_path),
        **extra,
    }
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=django_settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


HOUSE = """\
from django.contrib.auth.models import User
from django.core.management import call_command
from apps.accounts.services import create_account

call_command("migrate", verbosity=0)
create_account(name="Shop", owner=User.objects.create_user("mara"))
call_command("connection", "set", "files", "--kind", "file")
call_command("flow", "apply", {path!r})
call_command("flow", "run", "copy")
call_command("flow", "run", "copy", "--here", "--json")
"""


def test_a_run_is_worked_on_here_from_file_to_file_behind_the_one_before_it(tmp_path):
    """A database of its own with the account 1, as a newcomer has it."""
    folder, path = tmp_path / "files" / "1", tmp_path / "copy.yaml"
    folder.mkdir(parents=True)
    rows = [{"id": n, "price": "x" if n % 10 == 0 else str(n)} for n in range(1, 31)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path.write_text(COPY)
    migrated.copy_to(tmp_path / "own.sqlite3")
    ended = manage(tmp_path, "shell", "-v0", "-c", HOUSE.format(path=str(path)))
    told, facts = ended.stdout.split("{", 1)
    assert "copy revision 1" in told, ended.stderr
    assert "r-1 of copy is queued.\n" in told
    facts = json.loads("{" + facts)
    assert [facts[name] for name in ("run", "outcome", "success", "errors")] == ["r-2", "completed_with_errors", 27, 3]
    assert ended.returncode == 3
    assert "r-2 queued" in ended.stderr
    assert [path.suffix for path in folder.glob("out*")] == [".jsonl"]


def test_no_trace_reaches_the_screen_and_the_exit_status_tells_what_went_wrong(tmp_path):
    empty = manage(tmp_path, "flow", "list")
    assert empty.returncode == 1
    assert "manage.py migrate" in empty.stderr
    assert "Traceback" not in empty.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["errors", "orders", "--limit", "many"], "write a number from 1 to 10000"), (["frobnicate"], "frobnicate")],
)
def test_what_is_called_wrongly_ends_with_2_before_anything_is_asked(capsys, words, sentence):
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", "flow", *words])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
