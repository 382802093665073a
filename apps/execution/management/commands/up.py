"""`manage.py up`: the whole product on this machine: migrate, web, workers, dispatcher."""

import argparse
import os
import socket
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.core.checks import LOOPBACK_HOSTS
from apps.execution.demo.install import install_demo
from apps.execution.supervisor import Supervisor, demo_applications, dispatcher, web, worker

LOOPBACK_NET = "127.0.0.0/8"


class Command(BaseCommand):
    help = "Starts everything on this machine until Ctrl-C or SIGTERM; with --demo also the demo account."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="install the demo flows and the sign-in 'demo'")
        parser.add_argument("--port", type=int, default=8000, help="the web server's port (default 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="the web server's address (default 127.0.0.1)")

    def handle(self, *args: Any, demo: bool, port: int, host: str, **options: Any) -> None:
        refuse_open_doors(host)
        refuse_taken_address(host, port)
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        children = [web(host, port), worker(), dispatcher()]
        if demo:
            applications_port, mail_port = free_ports()
            allow_loopback()
            sign_in = install_demo(applications_port=applications_port, mail_port=mail_port)
            children.append(demo_applications(applications_port, mail_port))
        self.stdout.write(self.style.SUCCESS(f"Flowmend is on http://{host}:{port}/"))
        if demo:
            self.stdout.write(f"Sign in as {sign_in.username} with password {sign_in.password}")
            self.stdout.write(
                f"The demo's flows may reach this machine itself ({LOOPBACK_NET}), and its own applications."
            )
        self.stdout.write("Stop it with Ctrl-C.")
        self.stdout.flush()
        Supervisor(children).run()


def allow_loopback() -> None:
    """Let flows reach this machine itself: the demo's applications are here. Also in the processes started later."""
    if LOOPBACK_NET not in settings.EGRESS_ALLOW_NETS:
        settings.EGRESS_ALLOW_NETS = [*settings.EGRESS_ALLOW_NETS, LOOPBACK_NET]
    os.environ["EGRESS_ALLOW_NETS"] = ",".join(settings.EGRESS_ALLOW_NETS)


def free_ports() -> tuple[int, int]:
    """Two that differ: both are held until both are known."""
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(two.getsockname()[1])


def refuse_open_doors(host: str) -> None:
    """The published keys and the demo's password are for this machine only. Raises CommandError."""
    if settings.IS_NEWCOMER and host not in LOOPBACK_HOSTS:
        raise CommandError(
            f"With a newcomer's settings Flowmend listens on loopback only, not on {host}: set DEBUG=0 and what the "
            "start then asks for."
        )


def refuse_taken_address(host: str, port: int) -> None:
    """Raises CommandError where the web server could not listen; it would be started again and again."""
    if not 1 <= port <= 65535:
        raise CommandError(f"A port is a number from 1 to 65535, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CommandError(
            f"Flowmend cannot listen on {host}, port {port}: {error.strerror}. --port takes another."
        ) from error
