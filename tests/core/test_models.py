"""Every table has its account, hot tables have no constraints, and nobody reads past the account by accident."""

import ast
import re
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, models

from apps.core.models import HotScoped, UnscopedQueryError
from apps.flows.models import Flow
from tests.factories import make_account, make_flow

OURS = [model for model in apps.get_models() if model.__module__.startswith("apps.")]
# what a user likes, how he signs in, and what works, are nobody's
WITHOUT_ACCOUNT = {
    "Account", "Profile", "Machine", "UserSession", "GuessCount", "AuthenticatorApp", "Passkey", "RecoveryCode",
}  # fmt: skip
HOT = [model for model in OURS if issubclass(model, HotScoped)]
HOT_TABLES = {
    "audit", "step_run", "page", "intent", "bucket", "run_log", "capture", "cause_bucket", "error", "retry_data",
    "retry_version", "retry_item", "error_text", "error_tag", "assignment", "bulk_item", "export_part", "purged_sums",
    "arrival", "delivery", "kept_answer", "webhook_delivery", "rule_hit", "announcement", "notice", "message",
    "message_delivery",
}  # fmt: skip


def name_of(model: type[models.Model]) -> str:
    return model.__name__


def constraints_of(table: str) -> dict[str, dict[str, object]]:
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, table)


@pytest.mark.parametrize("model", OURS, ids=name_of)
def test_every_row_has_its_account(model):
    names = {field.name for field in model._meta.fields if not field.null}
    assert "account" in names or model.__name__ in WITHOUT_ACCOUNT


def test_the_hot_tables_are_those_of_the_data_model():
    assert {model._meta.db_table for model in HOT} == HOT_TABLES


@pytest.mark.django_db
@pytest.mark.parametrize("model", HOT, ids=name_of)
def test_a_hot_table_has_no_foreign_key_in_the_database(model):
    found = constraints_of(model._meta.db_table)
    assert [name for name, facts in found.items() if facts["foreign_key"]] == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=name_of)
def test_what_retention_purges_is_never_held_by_a_constraint(model):
    purged = {"run", "page", "error", "capture"}
    found = constraints_of(model._meta.db_table)
    held_by = [facts["foreign_key"] for facts in found.values() if facts["foreign_key"]]
    assert [target for target in held_by if target[0] in purged] == []


@pytest.mark.parametrize("model", OURS, ids=name_of)
def test_indexes_and_constraints_are_named_by_us_in_at_most_thirty_characters(model):
    names = [index.name for index in model._meta.indexes] + [rule.name for rule in model._meta.constraints]
    assert [name for name in names if not re.fullmatch(r"[a-z_]{5,30}", name)] == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=name_of)
def test_no_index_of_one_column_is_the_beginning_of_another(model):
    assert _redundant(model) == set()


def _redundant(model: type[models.Model]) -> set[str]:
    partial = {index.name for index in model._meta.indexes if index.condition is not None}
    partial |= {getattr(rule, "name", "") for rule in model._meta.constraints if getattr(rule, "condition", None)}
    whole = {
        name: tuple(facts["columns"])
        for name, facts in constraints_of(model._meta.db_table).items()
        if (facts["index"] or facts["unique"]) and facts["columns"] and name not in partial
    }
    return {
        name
        for name, columns in whole.items()
        if any(
            other != name and longer[: len(columns)] == columns and len(columns) == 1 for other, longer in whole.items()
        )
    }


@pytest.mark.django_db
def test_migrations_say_what_the_models_say():
    call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())


@pytest.mark.django_db
class TestScopedObjects:
    def test_objects_of_an_account_are_its_own_rows_only(self):
        mine, others = make_account(), make_account()
        flow = make_flow(mine)
        make_flow(others)
        assert list(Flow.objects.of(mine)) == [flow]
        assert list(Flow.objects.of(mine.pk)) == [flow]

    @pytest.mark.parametrize("name", ["all", "filter", "get", "create", "exclude", "count", "first", "in_bulk"])
    def test_anything_but_of_is_refused_with_a_sentence(self, name):
        with pytest.raises(UnscopedQueryError, match=rf"Flow\.objects\.{name} would read the rows of every account"):
            getattr(Flow.objects, name)

    def test_an_account_that_is_not_saved_is_refused(self):
        with pytest.raises(UnscopedQueryError, match="needs an account"):
            Flow.objects.of(None)

    def test_the_default_and_base_managers_are_plain(self):
        for model in OURS:
            assert model._base_manager.__class__ is models.Manager
            assert isinstance(model._default_manager, models.Manager)


def _may_use_unscoped(path: Path) -> bool:
    parts = path.relative_to(settings.BASE_DIR / "apps").parts
    # whose a token or an invitation is, only its text tells
    finds_account = parts in {("accounts", "tokens.py"), ("accounts", "invitations.py")}
    return (
        parts[0] in {"core", "execution"}
        or parts[-1] in {"admin.py", "admin_acts.py"}
        or "commands" in parts
        or finds_account
    )


def _uses_of_unscoped(path: Path) -> list[int]:
    text = path.read_text()
    if "unscoped" not in text:
        return []
    tree = ast.parse(text)
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "unscoped"]


def test_only_the_machinery_reads_past_the_account():
    found = {
        f"{path.relative_to(settings.BASE_DIR)}:{line}"
        for path in (settings.BASE_DIR / "apps").rglob("*.py")
        if not _may_use_unscoped(path)
        for line in _uses_of_unscoped(path)
    }
    assert found == set()
