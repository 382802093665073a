"""`manage.py demo_applications`: the applications that the demo's flows talk to, on loopback."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from apps.execution.demo.applications import serve
from apps.execution.demo.install import demo_outbox


class Command(BaseCommand):
    help = "Serves the demo's seismic service, alarm centre and mail server; `up --demo` starts it by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, required=True, help="the port on loopback")
        parser.add_argument("--mail-port", type=int, required=True, help="the mail server's port on loopback")

    def handle(self, *args: Any, port: int, mail_port: int, **options: Any) -> None:
        serve(port, mail_port, demo_outbox())
