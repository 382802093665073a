"""P11: the disk of database and target is full to the last byte, and then it is not."""

import sqlite3
from contextlib import closing, suppress

from django.conf import settings
from django.db import DatabaseError

from tests.chaos.cuts import Cuts
from tests.chaos.servers import SmallDisk

ALARM = "disk is full"


class FullDisk(Cuts):
    """The log has to say what is the matter; what was begun goes on as soon as there is room."""

    def torment(self) -> str:
        disk: SmallDisk = self.stage.server
        before = self.alarms()
        disk.fill()
        seconds = self.dice.uniform(5, 12)
        self.stay_full(seconds)
        alarms = self.alarms() - before
        disk.empty()
        if not alarms:
            self.fault("the disk was full, and the log does not say so")
        self.go_on()
        return f"full for {seconds:.1f} s, {alarms} lines in the log say so; {self.verdict.figures()}"

    def stay_full(self, seconds: float) -> None:
        """What others free meanwhile is taken at once; and a member who starts a run is refused, no more."""
        for _ in range(round(seconds)):
            self.pause(1)
            self.stage.server.fill()
            with suppress(DatabaseError):
                self.keep_busy_once()

    def keep_busy_once(self) -> None:
        from apps.runs.services import start_run

        self.rounds += 1
        start_run(flow=self.world.flows["kept"], parameters={"round": self.rounds})

    def alarms(self) -> int:
        return self.stage.log.read_text(errors="replace").count(ALARM)

    def audit(self) -> None:
        super().audit()
        for path in (settings.DATABASES["default"]["NAME"], self.world.sqlite_file):
            with closing(sqlite3.connect(path)) as database:
                (found,) = database.execute("PRAGMA integrity_check").fetchone()
            if found != "ok":
                self.fault(f"{path} is corrupt: {found}")
