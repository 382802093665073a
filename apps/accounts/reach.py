"""What of an account somebody reads: all of it, one environment of it, or only certain integrations."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Reach:
    """What of an account a request reads: one environment (blank: both) and, for some members, certain integrations."""

    account_id: int
    environment: str
    integration_ids: frozenset[int] | None  # None: all of the account's

    def where(self, integration: str = "integration") -> dict[str, Any]:
        """Keywords for `filter()`; `integration` is the way from the model to its integration ("" for itself)."""
        prefix = f"{integration}__" if integration else ""
        return self._keywords(f"{prefix}environment", f"{integration}__in" if integration else "pk__in")

    def where_copied(self) -> dict[str, Any]:
        """The same for runs, which carry copies of environment and integration: no join."""
        return self._keywords("environment", "integration__in")

    def within(self, integration_id: int) -> "Reach":
        """Only this integration, which the member must be known to see."""
        return replace(self, integration_ids=frozenset([integration_id]))

    def _keywords(self, environment: str, integrations: str) -> dict[str, Any]:
        found: dict[str, Any] = {environment: self.environment} if self.environment else {}
        if self.integration_ids is not None:
            found[integrations] = self.integration_ids
        return found
