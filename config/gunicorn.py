"""The web server's own settings."""

from typing import Any

from apps.execution.processes import die_with_parent

accesslog = None
loglevel = "warning"
timeout = 60
graceful_timeout = 10
worker_class = "gthread"
worker_tmp_dir = None


def post_fork(server: Any, worker: Any) -> None:
    die_with_parent()
