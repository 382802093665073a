"""A newcomer's first minute: `first_minute.py COMMAND` runs the README's start command in this folder and looks.

Within a minute of the start the flows have run on real data with errors, the books agree, and Ctrl-C leaves nothing.
Needs nothing but Python: the command itself installs the rest.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

INSTALL_S, FIRST_RUNS_S, STOP_S = 240.0, 60.0, 20.0
FLOWS = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until it held; ends the program with a sentence when it does not hold in time."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise SystemExit(f"not after {seconds:.0f} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - start


def page(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def headers(address: str) -> Message:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return answer.headers


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([".venv/bin/python", "manage.py", *arguments], capture_output=True, text=True, timeout=60)


def have_run() -> bool:
    answer = manage("flow", "list", "--json")
    if answer.returncode != 0:
        return False
    flows = [
        flow for flow in json.loads(answer.stdout) if flow["last_status"] in {"completed", "completed_with_errors"}
    ]
    return len(flows) >= FLOWS and any(flow["open_errors"] for flow in flows)


def processes_here() -> list[int]:
    """Processes that were started from this folder's environment."""
    here = f"{Path.cwd()}/".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if here in command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def look(command: str) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    product = subprocess.Popen(["bash", "-c", f"{command} --port {port}"], start_new_session=True)
    try:
        waited = until(lambda: page(f"{address}/healthz")[0] == 200, INSTALL_S, f"{address}/healthz answers 200")
        print(f"installed, started and healthy after {waited:.0f} s")
        waited = until(have_run, FIRST_RUNS_S, f"{FLOWS} flows have run, with errors")
        print(f"the demo's flows had run {waited:.0f} s later")
        check(address)
    finally:
        os.killpg(product.pid, signal.SIGINT)
        try:
            product.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(product.pid, signal.SIGKILL)
            raise SystemExit(f"Ctrl-C did not end it in {STOP_S:.0f} s") from None
    until(lambda: not processes_here(), 5, f"no process is left: {processes_here()}")
    print("Ctrl-C stopped it and no process is left")


def check(address: str) -> None:
    status, text = page(address + "/")
    if status != 200 or "Flowmend" not in text:
        raise SystemExit(f"{address}/ answered {status}")
    sheet = re.search(r'href="(/static/[^"]+\.css)"', text)
    if sheet is None or "immutable" not in headers(address + sheet[1]).get("Cache-Control", ""):
        raise SystemExit("the style sheets are not served for keeping")
    status, text = page(address + "/no/such/page")
    if status != 404 or "There is no such page" not in text:
        raise SystemExit(f"an unknown address answered {status} with a page that is not ours")
    books = manage("check_books")
    print(books.stdout.strip())
    if books.returncode != 0:
        raise SystemExit("check_books found differences")


if __name__ == "__main__":
    look(sys.argv[1])
