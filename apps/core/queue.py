"""The only place that touches the queue. A message is a hint: a task's name and ids; the rows decide what is done.

Broker in the database: the hint stands in the caller's transaction. Broker in Redis: it is sent when the transaction
has committed, and a hint that is lost there is sent again by the dispatcher.
"""

import os
import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.brokers import Broker, get_broker
from django_q.models import OrmQ
from django_q.tasks import async_task

QueueName = Literal["bulk", "interactive"]

_TASK_NAME = re.compile(r"apps(\.[a-z_][a-z0-9_]*){2,}", re.ASCII)


def enqueue(name: str, *args: int, queue: QueueName = "bulk") -> None:
    """Hints at a task, by its dotted name and ids only; part of the caller's transaction.

    Raises `ValueError` for a name outside `apps` and `TypeError` for an argument that is not an id.
    """
    _check(name, args)
    if not settings.Q_CLUSTER.get("redis"):
        _send(name, args, queue)
        return
    # robust: a Redis that is away must not fail what was already committed; the dispatcher hints again
    transaction.on_commit(lambda: _send(name, args, queue), robust=True)


def _check(name: str, args: tuple[int, ...]) -> None:
    if _TASK_NAME.fullmatch(name) is None:
        raise ValueError(f"A task is named by its dotted name below apps, not {name!r}.")
    if any(type(arg) is not int for arg in args):
        raise TypeError(f"A hint carries ids only; {name} got {args!r}.")


def _send(name: str, args: tuple[int, ...], queue: QueueName) -> None:
    async_task(name, *args, task_name=name.rsplit(".", 1)[1], broker=_broker(os.getpid(), cluster_of(queue)))


def oldest_hint() -> str | None:
    """Which hint of the main cluster has waited longest for a worker. None: none waits, or Redis does not answer."""
    if settings.Q_CLUSTER.get("redis"):
        return _head_in_redis()
    waiting = OrmQ.objects.filter(key=settings.Q_CLUSTER["name"], lock__lt=timezone.now())
    oldest = waiting.order_by("pk").values_list("pk", flat=True).first()
    return None if oldest is None else str(oldest)


def _head_in_redis() -> str | None:
    broker = _broker(os.getpid(), cluster_of("bulk"))
    try:
        head: bytes | None = broker.connection.lindex(broker.list_key, 0)
    except Exception:  # a Redis that is away says nothing about the workers
        return None
    return None if head is None else sha256(head).hexdigest()


def cluster_of(queue: QueueName) -> str:
    """The cluster that serves a queue: its own if it is configured, else the main one."""
    config: dict[str, Any] = settings.Q_CLUSTER
    return queue if queue in config.get("ALT_CLUSTERS", {}) else config["name"]


@lru_cache(maxsize=16)
def _broker(process_id: int, cluster: str) -> Broker:
    """One broker per process (never shared across a fork): a new connection per hint costs fifteen times as much."""
    return get_broker(cluster)
