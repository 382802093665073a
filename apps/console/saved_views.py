"""Saved views of the lists of errors: what of an address is kept, and the address that a view leads to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, QueryDict
from django.urls import NoReverseMatch, reverse

from apps.errors.models import SavedView

KEPT = (
    "view", "state", "tab", "integration", "flow", "step", "q", "class", "source", "code", "run", "cause", "key",
    "reason", "unit", "tag", "assignee", "shown", "range", "from", "to",
    "resolved_range", "resolved_from", "resolved_to",
)  # fmt: skip
LISTS_OF_STEP = {"open": "step-errors", "resolved": "step-errors-resolved", "retries": "step-retries"}


@dataclass(frozen=True)
class ViewLink:
    view: SavedView
    href: str
    is_current: bool


@dataclass(frozen=True)
class ViewMenu:
    """The views that a member has, his own first, and the query of the list on screen, to be saved."""

    links: Sequence[ViewLink]
    query: str

    @property
    def own(self) -> list[ViewLink]:
        return [link for link in self.links if not link.view.is_shared]

    @property
    def shared(self) -> list[ViewLink]:
        return [link for link in self.links if link.view.is_shared]

    @property
    def current(self) -> str:
        """The name of the view on screen; "" for none."""
        return next((link.view.name for link in self.links if link.is_current), "")


def view_menu(request: HttpRequest, views: Iterable[SavedView], **place: str | int) -> ViewMenu:
    """`place` is what the address says by its path: the state, the flow and the step of the list."""
    given = request.GET.copy()
    for name, value in place.items():
        given[name] = str(value)
    query = kept_query(given)
    links = [ViewLink(view, view_address(view.query), view.query == query) for view in views]
    return ViewMenu(links, query)


def kept_query(given: QueryDict) -> str:
    """The parameters of a list, in one order, without its page: two addresses of the same list are equal."""
    kept = QueryDict(mutable=True)
    for name in KEPT:
        value = given.get(name, "").strip()
        if value and not (name == "view" and value == "list") and (name, value) != ("state", "open"):
            kept[name] = value
    return kept.urlencode(safe=":,")


def view_address(query: str) -> str:
    """The page of a view: of the step's own list where it names one, else of the account's."""
    rest = QueryDict(query, mutable=True)
    if rest.get("view") == "causes":
        return f"{reverse('console:error-list')}?{query}"
    path = _path_of(rest.get("state", "open"), rest.get("flow"), rest.get("step"))
    if path:
        for gone in ("flow", "step", "state", "integration"):
            rest.pop(gone, None)
        return f"{path}?{rest.urlencode(safe=':,')}" if rest else path
    return f"{reverse('console:error-list')}?{'&'.join(part for part in ('view=list', query) if part)}"


def _path_of(state: str, flow: str | None, step: str | None) -> str:
    """The address of a list that has one of its own: of a step, or of the retries of a flow; else ""."""
    name = LISTS_OF_STEP.get(state, "") if step else "flow-retries" if state == "retries" else ""
    if not name or not flow:
        return ""
    try:
        return reverse(f"console:{name}", args=[flow, step] if step else [flow])
    except NoReverseMatch:
        return ""
