"""P10: four writers, web, dispatcher and workers write one SQLite file: nobody is told that it is locked."""

import subprocess
import sys
import threading
import time
from uuid import uuid4

import httpx

from apps.accounts.tokens import Scope, issue_token
from apps.runs.models import Run
from tests.chaos.product import ROOT
from tests.chaos.story import Story

WRITERS = 4
LOCKED = "database is locked"


class Crowd(Story):
    """`times` is the number of transactions that the writers make together; the product makes its own beside them."""

    def play(self, times: int, patience_s: float):  # type: ignore[no-untyped-def]
        with self.product_up():
            _, self.token = issue_token(member=self.world.owner, name="chaos", scopes=[Scope.FULL], expires_at=None)
            self.is_over = threading.Event()
            web = threading.Thread(target=self.call_web)
            web.start()
            try:
                self.write(times // WRITERS)
            finally:
                self.is_over.set()
                web.join()
            self.wait_for_ends(patience_s)
        self.audit()
        return self.verdict

    def write(self, each: int) -> None:
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.chaos.writer", str(self.world.account.pk), str(each)]
        writers = [
            subprocess.Popen(command, env=self.product.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(WRITERS)
        ]
        while any(writer.poll() is None for writer in writers):
            self.keep_busy()
            self.pause(0.3)
        for writer in writers:
            assert writer.stdout is not None
            done, *failures = writer.stdout.read().splitlines() or ["0", "it died"]
            self.verdict.times += int(done)
            for failure in failures:
                self.fault(f"a writer: {failure}")
        self.verdict.measure("transactions a second", self.verdict.times / (time.monotonic() - began))

    def call_web(self) -> None:
        """Tags are defined over the API, which writes each call down by its key, and errors are listed."""
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"http://127.0.0.1:{self.product.port}/v1"
        with httpx.Client(headers=headers, timeout=30) as client:
            while not self.is_over.wait(0.02):
                number = uuid4().hex
                tag = {"tag": f"tag {number[:2]}"}
                self.judge(client.post(f"{address}/tags", json=tag, headers={"Idempotency-Key": number}))
                self.judge(client.get(f"{address}/errors"))

    def judge(self, answer: httpx.Response) -> None:
        self.verdict.measure("seconds of an answer", answer.elapsed.total_seconds())
        if not answer.is_success:
            self.fault(f"the web answered {answer.status_code}: {answer.text[:200]}")

    def audit(self) -> None:
        super().audit()
        told = self.stage.log.read_text(errors="replace").count(LOCKED)
        self.verdict.measure("lines of the log that say locked", told)
        if told:
            self.fault(f"{told} lines of the log say that the {LOCKED}")
        self.verdict.summary += f"; {Run.unscoped.count()} runs beside {self.verdict.times:,} transactions"
