"""Where in the account a list of errors looks: one integration, flow or step, or everywhere."""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.http import QueryDict

from apps.console.addresses import FlowId
from apps.console.selectors.errors import OpenStep
from apps.core.text import storable
from apps.errors.querysets import CauseQuerySet, ErrorQuerySet

RowsT = TypeVar("RowsT", ErrorQuerySet, CauseQuerySet)


@dataclass(frozen=True)
class Place:
    """Which integration, flow and step an address narrows the account's list to; -1 names nothing that is there."""

    integration: str
    flow: int
    step: int

    @classmethod
    def of(cls, query: QueryDict) -> "Place":
        integration = storable(query.get("integration", ""))[0]
        return cls(integration, _id_in(query.get("flow", "")), _id_in(query.get("step", "")))

    @property
    def is_on(self) -> bool:
        return bool(self.integration or self.flow or self.step)

    def narrowed(self, rows: RowsT) -> RowsT:
        """Errors, or root causes, that are there."""
        wanted: dict[str, Any] = {
            "flow__integration__slug": self.integration,
            "flow": self.flow,
            "step": self.step,
        }
        return rows.filter(**{name: value for name, value in wanted.items() if value})

    def has(self, item: OpenStep) -> bool:
        return (
            self.integration in ("", item.integration) and self.flow in (0, item.flow_id) and self.step in (0, item.pk)
        )


def _id_in(text: str) -> int:
    if not text:
        return 0
    try:
        return FlowId().to_python(text)
    except ValueError:
        return -1
