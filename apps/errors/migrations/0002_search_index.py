"""The search index of `error_text`: trigrams on both databases, without triggers.

A trigger on a SQLite table is lost whenever Django rebuilds the table, so `apps.errors.search` keeps the index.
"""

from django.db import migrations

POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX error_texts_search ON error_text USING gin (text gin_trgm_ops)",
]
SQLITE = [
    "CREATE VIRTUAL TABLE error_text_search USING fts5("
    "text, content='error_text', content_rowid='error_id', tokenize='trigram')",
]


def create_index(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def drop_index(apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute("DROP INDEX error_texts_search" if is_postgresql else "DROP TABLE error_text_search")


class Migration(migrations.Migration):
    dependencies = [("errors", "0001_initial")]
    operations = [migrations.RunPython(create_index, drop_index)]
