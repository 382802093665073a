"""`manage.py demo_applications`: the applications that the demo's flows talk to, on loopback."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from apps.execution.demo.applications import serve


class Command(BaseCommand):
    help = "Serves the demo's seismic service and alarm centre; `up --demo` starts it by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, required=True, help="the port on loopback")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        serve(port)
