"""`manage.py work`: a worker machine: workers and a dispatcher, kept running until it is stopped."""

from typing import Any

from django.core.management.base import BaseCommand

from apps.execution.supervisor import Supervisor, dispatcher, worker


class Command(BaseCommand):
    help = "Runs workers and a dispatcher on this machine until Ctrl-C or SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        Supervisor([worker(), dispatcher()]).run()
