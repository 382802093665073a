"""Which streams a page of charts offers, and which of them its address chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.http import QueryDict

from apps.accounts.reach import Reach
from apps.analytics.streams import MOST_STREAMS, Stream, StreamKind
from apps.flows.models import Flow

ALL = Stream(StreamKind.ALL, 0, "All flows")
TOO_MANY = f"Up to {MOST_STREAMS} streams. Remove one first."


@dataclass(frozen=True)
class Choice:
    """The streams that are shown, in order, and what of the address was left out."""

    streams: Sequence[Stream]
    problem: str = ""


@dataclass(frozen=True)
class Offers:
    """All streams within reach: everything, then each integration followed by its flows."""

    streams: Sequence[Stream]

    @property
    def integrations(self) -> list[Stream]:
        return [stream for stream in self.streams if stream.kind == StreamKind.INTEGRATION]

    @property
    def usual(self) -> list[Stream]:
        """What is shown unless the address says: the integrations; of a single one its flows too."""
        several = len(self.integrations) > 1
        found = [ALL, *self.integrations] if several else self.streams
        return list(found[:MOST_STREAMS])

    def flows_in(self, streams: Sequence[Stream]) -> dict[int, str]:
        """Id and name of every flow that one of these streams counts."""
        counted = (stream for stream in self.streams if stream.kind == StreamKind.FLOW)
        return {stream.pk: stream.name for stream in counted if stream in streams or stream.is_within(streams)}

    def chosen(self, query: QueryDict, usual: Sequence[Stream]) -> Choice:
        """The streams that a query names (`stream=f-12`), in its order."""
        by_key = {stream.key: stream for stream in self.streams}
        asked = list(dict.fromkeys(query.getlist("stream")))
        known = [by_key[key] for key in asked if key in by_key]
        if len(known) > MOST_STREAMS:
            return Choice(known[:MOST_STREAMS], TOO_MANY)
        problem = "A stream of the address is not here, so it was left out." if len(known) < len(asked) else ""
        return Choice(known or usual, problem)


def offers_in(reach: Reach) -> Offers:
    """One query."""
    flows = Flow.objects.of(reach.account_id).present().filter(**reach.where())
    rows = flows.order_by("integration__name", "integration_id", "name", "pk")
    names = rows.values_list("integration_id", "integration__name", "integration__slug", "pk", "name")
    found: list[Stream] = []
    for (integration, name, slug), group in groupby(names, key=lambda row: row[:3]):
        found.append(Stream(StreamKind.INTEGRATION, integration, f"{name}, all flows", integration, slug))
        found += [Stream(StreamKind.FLOW, pk, flow, integration) for *_, pk, flow in group]
    several = len({stream.integration_id for stream in found}) > 1
    return Offers([ALL, *found] if several else found)
