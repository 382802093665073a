"""`manage.py up` says at once why it cannot start."""

import socket
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def test_a_newcomers_settings_are_not_shown_to_the_network(settings: Any) -> None:
    settings.IS_NEWCOMER = True
    with pytest.raises(CommandError, match=r"listens on loopback only, not on 0\.0\.0\.0: set DEBUG=0"):
        call_command("up", host="0.0.0.0")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"cannot listen on 127.0.0.1, port {port}: Address already in use"):
            call_command("up", port=port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none_is_named(port: int) -> None:
    with pytest.raises(CommandError, match=f"from 1 to 65535, not {port}"):
        call_command("up", port=port)
