"""The table of all helpers. A help page is drawn from it, and every example in it is a test."""

from __future__ import annotations

from .helper import Helper
from .helpers_dates import DATE_HELPERS
from .helpers_lists import LIST_HELPERS
from .helpers_numbers import NUMBER_HELPERS
from .helpers_text import TEXT_HELPERS
from .helpers_values import VALUE_HELPERS

HELPERS: dict[str, Helper] = {
    helper.name: helper for helper in (*TEXT_HELPERS, *NUMBER_HELPERS, *DATE_HELPERS, *LIST_HELPERS, *VALUE_HELPERS)
}

# What people write who know other languages, and what it is called here.
FAMILIAR_NAMES = {
    "len": "length",
    "str": "text",
    "string": "text",
    "int": "integer",
    "float": "number",
    "decimal": "money",
    "bool": "boolean",
    "strip": "trim",
    "startswith": "starts_with",
    "endswith": "ends_with",
    "includes": "contains",
    "substr": "substring",
    "mid": "substring",
    "concat": "join",
    "toupper": "upper",
    "touppercase": "upper",
    "tolower": "lower",
    "tolowercase": "lower",
    "sorted": "sort_by",
    "sort": "sort_by",
    "reversed": "reverse",
    "distinct": "unique",
    "items": "entries",
    "ifnull": "default",
    "isnull": "empty",
    "isempty": "empty",
    "nvl": "default",
    "switch": "choose",
    "ceil": "ceiling",
    "todate": "date",
    "to_date": "date",
    "strptime": "datetime",
    "strftime": "format_date",
    "timestamp": "epoch",
    "uuid": "stable_id",
    "hash": "sha256",
    "loads": "parse_json",
    "dumps": "json",
    "quote": "url_encode",
}
