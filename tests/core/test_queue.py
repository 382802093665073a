"""Hints: by name, with ids only, in the transaction that makes the row."""

import ast
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.utils import timezone
from django_q.brokers.redis_broker import Redis as RedisBroker
from django_q.models import OrmQ
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.core import queue

TASK = "apps.execution.tasks.run_slice"


@pytest.fixture
def in_database(settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "orm": "default"}
    settings.Q_CLUSTER.pop("redis", None)


@pytest.mark.django_db
class TestInTheDatabase:
    def test_a_hint_is_a_name_and_ids(self, in_database):
        queue.enqueue(TASK, 7, 8)
        hint = OrmQ.objects.get()
        assert (hint.key, hint.task["func"], hint.task["args"]) == ("flowmend", TASK, (7, 8))

    def test_a_rollback_takes_the_hint_back(self, in_database):
        with transaction.atomic():
            queue.enqueue(TASK, 7)
            transaction.set_rollback(True)
        assert not OrmQ.objects.exists()

    def test_a_queue_of_its_own_is_used_where_it_is_configured(self, in_database, settings):
        settings.Q_CLUSTER = {**settings.Q_CLUSTER, "ALT_CLUSTERS": {"interactive": {}}}
        queue.enqueue(TASK, 7, queue="interactive")
        queue.enqueue(TASK, 8, queue="bulk")
        assert list(OrmQ.objects.order_by("id").values_list("key", flat=True)) == ["interactive", "flowmend"]

    def test_the_hint_that_has_waited_longest_is_named_until_somebody_takes_it(self, in_database):
        assert queue.oldest_hint() is None
        queue.enqueue(TASK, 7)
        queue.enqueue(TASK, 8)
        first = queue.oldest_hint()
        assert first == queue.oldest_hint()
        OrmQ.objects.filter(pk=OrmQ.objects.order_by("pk")[0].pk).update(lock=timezone.now() + timedelta(hours=1))
        assert queue.oldest_hint() not in {None, first}

    def test_a_hint_costs_one_query(self, in_database, django_assert_num_queries):
        with django_assert_num_queries(1):
            queue.enqueue(TASK, 7)

    def test_workers_find_their_hints_by_an_index(self):
        with connection.cursor() as cursor:
            constraints = connection.introspection.get_constraints(cursor, OrmQ._meta.db_table)
        assert constraints["ormq_waiting_by_key"]["columns"] == ["key", "lock"]


@pytest.mark.parametrize("name", ["os.system", "apps", "apps.tasks", "apps.x.y; import os", ""])
def test_only_names_below_apps_are_hinted(name):
    with pytest.raises(ValueError, match="dotted name below apps"):
        queue.enqueue(name, 1)


@pytest.mark.parametrize("argument", ["7", None, True, 1.0, {"id": 7}])
def test_a_hint_carries_nothing_but_ids(argument):
    with pytest.raises(TypeError, match="ids only"):
        queue.enqueue(TASK, argument)


class TestInRedis:
    LIST = "django_q:flowmend-test:q"

    @pytest.fixture
    def in_redis(self, settings, monkeypatch):
        client = redis.Redis()
        client.delete(self.LIST)
        settings.Q_CLUSTER = {**settings.Q_CLUSTER, "redis": "redis://127.0.0.1:6379/0", "name": "flowmend-test"}
        monkeypatch.setattr(RedisBroker, "get_connection", staticmethod(lambda list_key=None: client))
        monkeypatch.setattr(queue, "get_broker", RedisBroker)
        queue._broker.cache_clear()
        yield client
        client.delete(self.LIST)
        queue._broker.cache_clear()

    @pytest.mark.django_db(transaction=True)
    def test_a_hint_is_sent_when_the_transaction_has_committed(self, in_redis):
        with transaction.atomic():
            queue.enqueue(TASK, 7)
            assert in_redis.llen(self.LIST) == 0
        assert in_redis.llen(self.LIST) == 1

    @pytest.mark.django_db(transaction=True)
    def test_a_rollback_sends_nothing(self, in_redis):
        with transaction.atomic():
            queue.enqueue(TASK, 7)
            transaction.set_rollback(True)
        assert in_redis.llen(self.LIST) == 0

    @pytest.mark.django_db(transaction=True)
    def test_the_hint_that_has_waited_longest_is_named_until_somebody_takes_it(self, in_redis):
        assert queue.oldest_hint() is None
        queue.enqueue(TASK, 7)
        queue.enqueue(TASK, 8)
        first = queue.oldest_hint()
        assert first == queue.oldest_hint()
        in_redis.lpop(self.LIST)
        assert queue.oldest_hint() not in {None, first}

    @pytest.mark.django_db(transaction=True)
    def test_a_redis_that_is_away_does_not_fail_what_was_committed(self, in_redis, monkeypatch):
        nowhere = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
        monkeypatch.setattr(RedisBroker, "get_connection", staticmethod(lambda list_key=None: nowhere))
        with transaction.atomic():
            queue.enqueue(TASK, 7)
        assert in_redis.llen(self.LIST) == 0
        assert queue.oldest_hint() is None


def _hinted_names() -> list[str]:
    """Every literal that starts like a task's name, anywhere in our code."""
    names = set()
    texts = (path.read_text() for path in Path(django_settings.BASE_DIR, "apps").rglob("*.py"))
    for text in (text for text in texts if ".tasks." in text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ".tasks." in node.value:
                names.add(node.value)
    return sorted(name for name in names if queue._TASK_NAME.fullmatch(name))


def test_every_task_that_is_named_exists():
    missing = []
    for name in _hinted_names():
        module, function = name.rsplit(".", 1)
        if not callable(getattr(import_module(module), function, None)):
            missing.append(name)
    assert missing == []
