"""A look-up for many keys at once, as one parameter: `flow__pk__among=keys`.

With `__in` each key is a parameter of its own, and of hundreds Django and the driver take longer than the database.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Lookup
from django.db.models.sql.compiler import SQLCompiler

from apps.core.bulk import in_array


@Field.register_lookup
class Among(Lookup):
    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, given = self.process_lhs(compiler, connection)
        text, keys = in_array(column, self.rhs)
        return text, (*given, *keys)
