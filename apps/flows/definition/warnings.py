"""What is allowed in a definition and yet rarely meant: told when it is saved, never refused."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from apps.engine.plan import ScopeKind
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import Mistake, Path, place_of
from apps.flows.definition.models import (
    AnyStep,
    BranchStep,
    CallStep,
    Definition,
    Handled,
    ImportStep,
    Use,
)

LONGEST_HELD_S = 5
"""A longer wait rolls a scope back and replays it: no locks are held over it."""
MOST_NESTED = 2
SAVEPOINTS = frozenset({"custom_without_rollback", "continue"})
"""Handlings that undo only the step itself."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A step, where it stands, and the handlings around it (its own included)."""

    step: AnyStep
    path: Path
    nested: int


def warnings_in(definition: Definition) -> tuple[Mistake, ...]:
    """Everything that the author should know before the definition is at work, by line."""
    placed = list(placed_steps(definition.steps, ("steps",), 0))
    found = [(one.path, text) for one in placed for check in CHECKS if (text := check(one, definition))]
    found += [((), text) for text in of_the_whole(placed)]
    line_of = read_document(definition.text).line_of
    told = [Mistake(place_of(path), text, line=line_of(path) if path else 0) for path, text in found]
    return tuple(sorted(told, key=lambda mistake: mistake.line))


def placed_steps(steps: Iterable[AnyStep], path: Path, nested: int) -> Iterator[Placed]:
    """Every step of the flow itself, those in ways and handlers too; not those of sub-flows, which have warnings of
    their own."""
    for number, step in enumerate(steps):
        here: Path = (*path, number)
        depth = nested + (isinstance(step, Handled) and step.handling not in {None, "rollback"})
        yield Placed(step, here, depth)
        if isinstance(step, BranchStep):
            for way_number, way in enumerate(step.branch.ways):
                yield from placed_steps(way.steps, (*here, "branch", "ways", way_number, "steps"), nested)
        if isinstance(step, Handled):
            yield from placed_steps(step.handler, (*here, "handler"), depth)


# --- single steps ----------------------------------------------------------------------------------------------------
def vanishing_work(one: Placed, definition: Definition) -> str:
    """The cells marked ! of the 36 combinations: what the caller wrote before goes, and nobody is told."""
    step = one.step
    if definition.scope is ScopeKind.NONE or not isinstance(step, CallStep) or step.handling in SAVEPOINTS:
        return ""
    if not any(map(swallows, steps_without_savepoint(step.call.definition.steps[1:]))):
        return ""
    callee = step.call.definition.head.shown_name
    return (
        f"A step of {callee} undoes everything when it fails and then ends its error there: what this flow wrote "
        "before the call vanishes, and this flow goes on as if nothing had happened."
    )


def swallows(step: AnyStep) -> bool:
    return isinstance(step, Handled) and step.handling == "custom_with_rollback" and step.ends == "end"


def steps_without_savepoint(steps: Iterable[AnyStep]) -> Iterator[AnyStep]:
    """Steps of a sub-flow, and of those that it calls without a savepoint."""
    for step in steps:
        yield step
        if isinstance(step, BranchStep):
            for way in step.branch.ways:
                yield from steps_without_savepoint(way.steps)
        if isinstance(step, CallStep) and step.handling not in SAVEPOINTS:
            yield from steps_without_savepoint(step.call.definition.steps[1:])


def sent_too_early(one: Placed, definition: Definition) -> str:
    step = one.step
    if definition.scope in {ScopeKind.NONE, ScopeKind.RECORD} or not is_foreign_import(step):
        return ""
    is_now = step.when == "now" or (step.when is None and step.response_mapping)  # type: ignore[union-attr]
    if not is_now:
        return ""
    return (
        f"This sends at once, inside a scope of a {definition.scope.value}: if the scope is rolled back later, what "
        "was sent stays sent."
    )


def unhandled_send(one: Placed, definition: Definition) -> str:
    if definition.scope is ScopeKind.NONE or not is_foreign_import(one.step) or one.step.handling is not None:  # type: ignore[union-attr]
        return ""
    return (
        "This step writes to what cannot be rolled back, and has no handling of its own: when it fails, the writes "
        "before it are undone."
    )


def long_wait(one: Placed, definition: Definition) -> str:
    step = one.step
    if definition.scope is ScopeKind.NONE or not isinstance(step, Handled) or not step.on_error.is_trying_again:
        return ""
    rule = step.on_error
    longest = rule.seconds * (2 ** (rule.attempts - 1) if rule.backoff else 1)
    if longest <= LONGEST_HELD_S:
        return ""
    return (
        f"Waits of up to {longest:,g} seconds are too long to hold a transaction open: the scope is rolled back "
        "before each wait, and its records go through the steps again after it."
    )


def deep_nesting(one: Placed, definition: Definition) -> str:
    if one.nested != MOST_NESTED + 1:
        return ""
    return f"More than {MOST_NESTED} handlings are nested here: that is slow, and hard to predict."


def is_foreign_import(step: AnyStep) -> bool:
    """Whether a step writes to what has no transactions."""
    return isinstance(step, ImportStep) and step.use.connector is not None and not step.use.connector.is_transactional()


CHECKS: tuple[Callable[[Placed, Definition], str], ...] = (
    vanishing_work,
    sent_too_early,
    unhandled_send,
    long_wait,
    deep_nesting,
)


# --- the whole flow --------------------------------------------------------------------------------------------------
def of_the_whole(placed: Iterable[Placed]) -> Iterator[str]:
    uses = [use for one in placed if (use := use_of(one.step)) is not None]
    names = sorted({use.connection for use in uses if use.connector and use.connector.is_transactional()})
    if len(names) > 1:
        yield (
            f"This flow writes to {' and '.join(names)}: a transaction spans one connection, so what is undone in "
            "one stays in the other."
        )


def use_of(step: AnyStep) -> Use | None:
    """Where a step writes."""
    return step.use if isinstance(step, ImportStep) else None
