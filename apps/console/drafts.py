"""A definition that a member is writing: what is wrong with it, what it warns of, and what saving it would change."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from django.http import HttpRequest

from apps.accounts.permissions import Act
from apps.console.access import account_of, may_do, reach_of
from apps.console.text_diff import TextDiff, compare_texts
from apps.flows.definition import Definition, DefinitionError, Mistake, parse_definition
from apps.flows.definition.document import Document, read_document
from apps.flows.definition.mistakes import place_of
from apps.flows.definition.warnings import warnings_of
from apps.flows.models import Flow, Integration
from apps.flows.selectors import known_to


@dataclass(frozen=True)
class Finding:
    """One mistake or warning as the page shows it, with the line of the text that it speaks of."""

    mistake: Mistake
    excerpt: str


@dataclass(frozen=True)
class Draft:
    """`revision` is the number of the one that the text was begun from (0: none yet); `diff` compares it with the
    current one."""

    text: str
    revision: int
    mistakes: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    diff: TextDiff | None = None
    conflict: str = ""

    @property
    def is_fine(self) -> bool:
        return not self.mistakes


def text_in(request: HttpRequest) -> str:
    """The text that was sent, with the line breaks of our files."""
    return request.POST.get("text", "").replace("\r\n", "\n")


def revision_in(request: HttpRequest) -> int:
    """The number of the revision that the sender has read; what is none was none."""
    given = request.POST.get("revision", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def draft_of(request: HttpRequest, text: str, *, flow: Flow | None, revision: int, conflict: str = "") -> Draft:
    """Judge a text as the next definition of a flow (None: of a new one)."""
    definition, mistakes = judge(request, text, flow)
    warnings = with_lines([*warnings_of(definition), *effects_of(definition, flow)], text) if definition else []
    before = flow.revision.definition if flow and flow.revision else ""
    diff = compare_texts(before, text) if flow else None
    rows = text.splitlines()
    return Draft(text, revision, findings(mistakes, rows), findings(warnings, rows), diff, conflict)


def with_lines(warnings: list[Mistake], text: str) -> list[Mistake]:
    """The warnings with the lines of their places, in the order of the text."""
    document = read_document(text)
    lines = {place_of(path): line for path, line in document.lines.items() if path}
    return sorted((replace(one, line=lines.get(one.place, 0)) for one in warnings), key=lambda one: one.line)


def findings(mistakes: "tuple[Mistake, ...] | list[Mistake]", rows: list[str]) -> tuple[Finding, ...]:
    return tuple(Finding(one, rows[one.line - 1].strip()[:80] if 0 < one.line <= len(rows) else "") for one in mistakes)


def judge(request: HttpRequest, text: str, flow: Flow | None) -> tuple[Definition | None, tuple[Mistake, ...]]:
    """The definition if this member may save it as it is, and else every mistake in it."""
    try:
        definition, mistakes = parse_definition(text, known=known_to(account_of(request))), []
    except DefinitionError as error:
        definition, mistakes = None, list(error.mistakes)
    with suppress(DefinitionError):  # no YAML: told already
        mistakes += trespasses(request, read_document(text), flow)
    if mistakes:
        return None, DefinitionError(mistakes).mistakes
    return definition, ()


def trespasses(request: HttpRequest, document: Document, flow: Flow | None) -> Iterator[Mistake]:
    """Where a definition reaches for what is not its own: another flow, or an integration above the member's role."""
    head = document.value if isinstance(document.value, dict) else {}
    key, integration = head.get("flow"), head.get("integration")
    if isinstance(key, str) and (message := refused_key(request, key, flow)):
        yield Mistake("flow", message[0], message[1], document.line_of(("flow",)))
    slug = integration.get("key") if isinstance(integration, dict) else integration
    if isinstance(slug, str) and not may_use_integration(request, slug, flow):
        message = (f"There is no integration {slug[:60]} whose flows you may edit.", "name one of yours")
        yield Mistake("integration", *message, document.line_of(("integration",)))


def refused_key(request: HttpRequest, key: str, flow: Flow | None) -> tuple[str, str] | None:
    """Why a definition cannot have this key, and what to do; None if it can."""
    if flow is not None:
        if key == flow.key:
            return None
        return f"This flow has the key {flow.key}, and a flow keeps its key.", "make a new flow of this text instead"
    if "\x00" in key or not Flow.objects.of(account_of(request)).filter(key=key).exists():
        return None
    return f"The key {key[:60]} is taken by another flow, perhaps by a removed one.", "choose another key"


def may_use_integration(request: HttpRequest, slug: str, flow: Flow | None) -> bool:
    """An integration that the member may edit, or for those whose role is the account's a new one."""
    if flow is not None and slug == flow.integration.slug:
        return True  # the way here was through its permission
    if "\x00" in slug:
        return False
    found = Integration.objects.of(reach_of(request).account_id).filter(slug=slug).values_list("pk", flat=True).first()
    return may_do(request, Act.EDIT_FLOWS, found)


def effects_of(definition: Definition, flow: Flow | None) -> list[Mistake]:
    """What saving does beside the text: a flow that was switched by hand goes back to what the text says."""
    wanted = definition.head.enabled
    if flow is None or wanted is None or wanted == flow.enabled:
        return []
    if wanted:
        message = "The flow is disabled now. Saving enables it, because the definition says enabled: true."
    else:
        message = "The flow is enabled now. Saving disables it, because the definition says enabled: false."
    return [Mistake("enabled", message, "leave the field out, and saving changes neither")]
