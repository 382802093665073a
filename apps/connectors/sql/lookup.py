"""The lookup: the parameters of all records of a page, asked for together, each different set once."""

from collections.abc import Sequence

import orjson

from apps.connectors.sql.config import LookupOptions
from apps.connectors.sql.face import Database, Finder, short
from apps.connectors.sql.inputs import InputError, Inputs
from apps.connectors.sql.statements import parse_query
from apps.engine.ports import ErrorSource, Failure, Record, Scope

Found = list[Record] | Failure


class SqlLookup:
    """Finds the rows of a page's records. Records with the same parameters share their rows."""

    def __init__(self, database: Database, options: LookupOptions) -> None:
        self.database = database
        self.inputs = Inputs(options.match or options.parameters)
        self.finder = Finder(
            statement=parse_query(options.query) if options.query else None,
            table=options.table or "",
            columns=options.columns,
            match=tuple(options.match),
            is_locking=options.lock,
        )

    def find(self, records: Sequence[Record], scope: Scope) -> list[Found]:
        sets: list[Record] = []
        places: dict[bytes, int] = {}
        asked: list[int | Failure] = []
        for record in records:
            try:
                values = self.inputs.values(record, scope)
            except InputError as error:
                asked.append(error.failure(ErrorSource.LOOKUP))
                continue
            place = places.setdefault(identity(values), len(sets))
            if place == len(sets):
                sets.append(values)
            asked.append(place)
        found = self.database.find_rows(self.finder, sets) if sets else []
        return [found[place] if isinstance(place, int) else place for place in asked]

    def words_for(self, record: Record, scope: Scope) -> str:
        """The values in quotes: they differ from record to record, and the root cause leaves them out."""
        values = self.inputs.values(record, scope)
        asked = " and ".join(f'{name} "{short(value)}"' for name, value in values.items())
        place = f"table {self.finder.table}" if self.finder.table else "the query's answer"
        return f"{place} with {asked}" if asked else place


def identity(values: Record) -> bytes:
    """What tells one set of parameters from another: 1, true and "1" are three."""
    try:
        return orjson.dumps(list(values.values()))
    except (TypeError, ValueError):
        return repr(values).encode("utf-8", "surrogatepass")
