"""What a definition may do that its author may not expect: told when it is saved, and refused by nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.engine.plan import MAX_RECORDS, ScopeKind
from apps.flows.definition.mistakes import Mistake, Path, place_of
from apps.flows.definition.models import AnyStep, BranchStep, CallStep, Definition, Handled, ImportStep

LONG_WAIT_S = 5
MOST_NESTED = 2
BY_KEY = frozenset({"upsert", "update", "delete"})
REMOTE = frozenset({"http", "email"})
SETS_SAVEPOINT = frozenset({"custom_without_rollback", "continue"})


@dataclass(frozen=True, slots=True)
class Visit:
    """A step, its place in the text (inside a sub-flow that of the call), the calls and handlings around it.

    `has_written`: a step of a calling flow has written into a transaction before it.
    """

    step: AnyStep
    path: Path
    calls: tuple[CallStep, ...] = ()
    handlings: int = 0
    has_written: bool = False

    @property
    def shown(self) -> str:
        """The step in words, with the calls that lead to it."""
        flows = [call.call.definition.head.flow for call in reversed(self.calls)]
        return " of ".join([f"Step {self.step.key}", *flows])


def warnings_of(definition: Definition) -> tuple[Mistake, ...]:
    """Every warning about a definition, each with its place and what to do."""
    visits = list(visits_of(definition.steps, ("steps",)))
    found = [*two_connections(visits), *unbounded(definition), *overtaken(definition, visits)]
    for visit in visits:
        if isinstance(visit.step, Handled):
            found += [*vanishing(visit), *too_nested(visit), *silent(visit)]
            found += scope_warnings(visit, visit.step, definition.scope)
    return tuple(Mistake(place_of(path), message, hint) for path, message, hint in found)


Told = Iterator[tuple[Path, str, str]]


def visits_of(
    steps: Sequence[AnyStep], path: Path, calls: tuple[CallStep, ...] = (), handlings: int = 0, written: bool = False
) -> Iterator[Visit]:
    """The steps and those in their ways, handlers and sub-flows."""
    own_writes = False
    for number, step in enumerate(steps):
        place = path if calls else (*path, number)
        yield Visit(step, place, calls, handlings, written)
        own_writes = own_writes or is_transactional(step)
        if isinstance(step, BranchStep):
            for way_number, way in enumerate(step.branch.ways):
                below = place if calls else (*place, "branch", "ways", way_number, "steps")
                yield from visits_of(way.steps, below, calls, handlings, written)
        if isinstance(step, Handled):
            deeper = handlings + (step.handling is not None)
            yield from visits_of(step.handler, place if calls else (*place, "handler"), calls, deeper, written)
            if isinstance(step, CallStep):
                inner = step.call.definition.steps[1:]
                has_written = (written or own_writes) and step.handling not in SETS_SAVEPOINT
                yield from visits_of(inner, place, (*calls, step), deeper, has_written)


def is_transactional(step: AnyStep) -> bool:
    return isinstance(step, ImportStep) and step.use.connector is not None and step.use.connector.is_transactional()


def vanishing(visit: Visit) -> Told:
    step = visit.step
    if not isinstance(step, Handled) or not visit.has_written:
        return
    if step.handling == "custom_with_rollback" and step.ends == "end":
        message = f"{visit.shown} undoes what the calling flow wrote before when it fails, and then ends its error: "
        message += "the calling flow goes on as if its earlier writes still stood."
        hint = "give the call the handling custom_without_rollback or continue, or end the handler with error_end"
        yield visit.path, message, hint


def too_nested(visit: Visit) -> Told:
    step = visit.step
    if isinstance(step, Handled) and step.handling is not None and visit.handlings >= MOST_NESTED:
        message = f"{visit.shown} has a handling inside {visit.handlings} others; more than {MOST_NESTED} are slower, "
        yield visit.path, message + "and hard to predict.", "handle the error in fewer places"


def silent(visit: Visit) -> Told:
    """A flow tells nobody of failures that are passed over; where they can be seen is said instead."""
    step = visit.step
    if not isinstance(step, Handled) or visit.calls:  # a called flow was warned about when it was saved itself
        return
    if step.handling == "continue" or "ignore" in step.on_error.outcomes:
        field = "handling" if step.handling == "continue" else "on_error"
        message = f"{visit.shown} passes over failures, and nobody is told of them: the records go on."
        yield (*visit.path, field), message, "look at the resolved errors of the step from time to time"


def scope_warnings(visit: Visit, step: Handled, scope: ScopeKind) -> Told:
    """What matters inside a scope only."""
    if scope is ScopeKind.NONE:
        return
    part = step.on_error
    if part.is_trying_again and part.seconds > LONG_WAIT_S:
        message = f"{visit.shown} waits {part.seconds:g} seconds before it tries again, inside the scope {scope}: "
        message += "what the scope wrote is undone meanwhile, and done again after the wait."
        yield visit.path, message, f"wait at most {LONG_WAIT_S} seconds, or use the scope none"
    if not isinstance(step, ImportStep) or is_transactional(step):
        return
    if scope is not ScopeKind.RECORD and sends_now(step):
        message = f"{visit.shown} sends now, inside the scope {scope}: when any of its records fails, all that was "
        yield visit.path, message + "sent stands while everything else is undone.", "write when: after_commit"
    if step.handling is None and step.use.connector is not None and step.use.connector.kind in REMOTE:
        message = f"{visit.shown} sends what cannot be undone and has no handling of its own: when it fails, "
        message += "what the record wrote before is undone." if sends_now(step) else "what the record wrote stays."
        yield visit.path, message, "give it a handling that says what happens then"


def sends_now(step: ImportStep) -> bool:
    """When a send goes out that cannot be undone: now if a later step reads its answer, else after the commit."""
    return step.when == "now" or (step.when is None and bool(step.response_mapping))


def unbounded(definition: Definition) -> Told:
    if definition.scope is ScopeKind.RUN and definition.head.max_records is None:
        message = "The scope run holds a whole run in one transaction of its target, and nothing says how many records "
        message += f"that may be: a run of more than {MAX_RECORDS:,} fails."
        yield ("scope",), message, "write max_records"


def overtaken(definition: Definition, visits: Sequence[Visit]) -> Told:
    """Which of two records of one key is written last is left to chance where pages are at work at once."""
    if definition.head.parallel_pages == 1:
        return
    for visit in visits:
        step = visit.step
        operation = getattr(step.use.options, "operation", "") if isinstance(step, ImportStep) else ""
        if operation in BY_KEY:
            message = f"{visit.shown} writes rows by their keys, and up to {definition.head.parallel_pages} pages are "
            message += "at work at once: of two records with the same keys in one run, either may be written last."
            yield visit.path, message, "leave parallel_pages out unless the keys of a run's records differ"


def two_connections(visits: Sequence[Visit]) -> Told:
    first = ""
    for visit in visits:
        if not isinstance(visit.step, ImportStep) or not is_transactional(visit.step):
            continue
        name = visit.step.use.connection
        first = first or name
        if name != first:
            message = f"{visit.shown} writes to {name} and others to {first}: a scope holds one connection together, "
            yield visit.path, message + "so one of them may commit without the other.", "write to one database per flow"
            return
