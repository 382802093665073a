"""Reads a whole definition and collects every mistake in it before it says no."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from apps.engine.plan import ScopeKind, StepKind
from apps.flows.definition.document import Document, read_document
from apps.flows.definition.mistakes import DefinitionError, Path, did_you_mean, place_of
from apps.flows.definition.models import (
    STEP_MODELS,
    AnyStep,
    BranchHead,
    BranchPart,
    CallHead,
    CallPart,
    Definition,
    HandlerSteps,
    Head,
    WayHead,
    WayPart,
)
from apps.flows.definition.uses import VERBS, Known, UseReader, without
from apps.flows.definition.words import shown

MAX_STEPS = 200
MAX_INLINED = 1_000
"""Steps of a flow, those of its sub-flows included as often as they are called."""
MAX_CALLS = 5
"""How deep calls may be nested."""
KINDS = {kind.value: kind for kind in StepKind}


def parse_definition(text: str, *, known: Known) -> Definition:
    """The definition that a YAML text writes down. Raises DefinitionError with every mistake in it."""
    reader = Reader(read_document(text), known)
    definition = reader.read(text)
    if definition is None:
        raise DefinitionError(reader.mistakes)
    return definition


class Reader(UseReader):
    """One reading of one document."""

    def __init__(self, document: Document, known: Known) -> None:
        super().__init__(document, known)
        self.kinds: dict[str, str] = {}
        self.first_places: dict[str, str] = {}
        self.step_count = 0
        self.inlined_count = 0

    def read(self, text: str) -> Definition | None:
        """The definition, or None if there are mistakes."""
        raw = self.document.value
        if not isinstance(raw, dict):
            self.tell((), f"A definition is a set of fields (flow, integration, steps, …), not {shown(raw)}.")
            return None
        self.environment = self.environment_of(raw)
        self.kinds = dict(self.known.step_kinds(raw["flow"])) if isinstance(raw.get("flow"), str) else {}
        head = self.model(Head, {name: value for name, value in raw.items() if name != "steps"}, (), also=["steps"])
        steps = self.steps(raw.get("steps"), ("steps",))
        self.check_exports(raw.get("steps"))
        self.check_run_after(raw.get("flow"), raw.get("run_after"))
        if head is not None:
            self.check_scope(head)
            self.check_pages(head)
        if self.mistakes or head is None:
            return None
        inlined = self.step_count + self.inlined_count
        scope = self.scope_of(head)
        return Definition(head, steps, text, self.environment, scope, self.has_transactional_import, inlined)

    # --- the head ----------------------------------------------------------------------------------------------------
    def environment_of(self, raw: Mapping[str, Any]) -> str:
        """The environment whose connections the steps name: the integration's own, else production."""
        given = raw.get("integration")
        fields = given if isinstance(given, dict) else {"key": given}
        key, wanted = fields.get("key"), fields.get("environment")
        present = self.known.integrations.get(key) if isinstance(key, str) else None
        if present and isinstance(wanted, str) and wanted in {"production", "sandbox"} and wanted != present:
            message = f"The integration {key} is in the environment {present}, and an integration never changes it."
            self.tell(("integration", "environment"), message, "use another integration")
        return present or (wanted if wanted == "sandbox" else "production")

    def check_scope(self, head: Head) -> None:
        if head.scope not in {None, ScopeKind.NONE} and not self.has_transactional_import:
            unit = head.scope
            message = f"The scope {unit} holds what a {unit} writes together in one transaction of its target, "
            message += "and no step of this flow imports into a target with transactions."
            self.tell(("scope",), message, "leave scope out, or write none")
        if head.max_records is not None and head.scope != ScopeKind.RUN:
            message = "max_records bounds a run that is delivered as one; other scopes have no use for it."
            self.tell(("max_records",), message, "leave it out, or write scope: run")

    def check_pages(self, head: Head) -> None:
        """Pages are at work at once only where their order does not matter, and each is delivered by itself."""
        if head.parallel_pages == 1:
            return
        if head.scope == ScopeKind.RUN:
            message = "The scope run delivers all pages of a run in one transaction of its target: they cannot be "
            self.tell(("parallel_pages",), message + "shared among workers.", "leave it out, or use another scope")
        elif head.page_order == "kept":
            message = "Pages that keep their order are delivered one after the other: a later record of the same key "
            message += "must not be overtaken by an earlier one."
            self.tell(("parallel_pages",), message, "leave it out, or write page_order: free")

    def check_run_after(self, flow: Any, first: Any) -> None:
        """The flow before this one must be there, and must not wait for this one in turn."""
        flows = self.known.flows
        if flows is None or not isinstance(flow, str) or not isinstance(first, str):
            return
        if first != flow and first not in flows:
            self.tell(("run_after",), f"There is no flow {first}.", did_you_mean(first, flows))
            return
        chain = [flow, first]
        while chain[-1] != flow and (before := flows.get(chain[-1])) and before not in chain[1:]:
            chain.append(before)
        if chain[-1] == flow:
            self.tell(("run_after",), f"Flows would run after each other in a circle: {' after '.join(chain)}.")

    def scope_of(self, head: Head) -> ScopeKind:
        if head.scope is not None:
            return ScopeKind(head.scope)
        return ScopeKind.RECORD if self.has_transactional_import else ScopeKind.NONE

    # --- steps -------------------------------------------------------------------------------------------------------
    def steps(self, raw: Any, path: Path, *, may_be_empty: bool = False) -> tuple[AnyStep, ...]:
        if not isinstance(raw, list) or not (raw or may_be_empty):
            found = "an empty list" if raw == [] else shown(raw)
            self.tell(path, f"A list of steps is needed here, not {found}.")
            return ()
        read = [self.step(entry, (*path, number)) for number, entry in enumerate(raw)]
        return tuple(step for step in read if step is not None)

    def step(self, raw: Any, path: Path) -> AnyStep | None:
        self.step_count += 1
        if self.step_count == MAX_STEPS + 1:
            self.tell(path, f"A flow has at most {MAX_STEPS} steps.")
        if not isinstance(raw, dict):
            self.tell(path, f"A step is a set of fields, not {shown(raw)}.")
            return None
        kind = self.kind_of(raw, path)
        self.check_step_key(raw.get("key"), kind, path)
        if kind is None:
            return None
        fields = {**raw, kind.value: self.block(kind, raw[kind], (*path, kind.value))}
        if "handler" in raw and kind is not StepKind.EXPORT:
            fields["handler"] = self.handler(raw["handler"], (*path, "handler"))
        if None in fields.values() and kind is StepKind.CALL:
            return None  # its mistakes are told
        return self.model(STEP_MODELS[kind], fields, path)  # type: ignore[return-value]

    def handler(self, raw: Any, path: Path) -> HandlerSteps:
        """The steps of a handler, whose expressions read `error` too."""
        outside, self.names = self.names, ("error",)
        steps = self.steps(raw, path, may_be_empty=True)
        self.names = outside
        return HandlerSteps(steps)

    def kind_of(self, raw: Mapping[str, Any], path: Path) -> StepKind | None:
        """The kind of a step: the one field that is named like a kind."""
        named = [KINDS[name] for name in raw if name in KINDS]
        if len(named) > 1:
            self.tell(path, f"A step is of one kind; this one is {' and '.join(named)}.", "make a step of each")
        elif not named:
            close = [(name, match) for name in raw for match in get_close_matches(name, KINDS, n=1)]
            hint = f"did you mean {close[0][1]} instead of {close[0][0]}?" if close else ""
            self.tell(path, f"A step needs one of the fields {', '.join(KINDS)}.", hint)
        else:
            return named[0]
        return None

    def check_step_key(self, key: Any, kind: StepKind | None, path: Path) -> None:
        """One step a key, and a key keeps its kind for ever: its errors hang on it."""
        if not isinstance(key, str):
            return
        place = place_of(path)
        first = self.first_places.setdefault(key, place)
        if first != place:
            self.tell((*path, "key"), f"The key {key} is taken by {first}; each step needs its own.")
        before = self.kinds.get(key)
        if kind is not None and before is not None and before != kind:
            message = f"The key {key} belongs to a step of the kind {before}; it cannot become one of the kind {kind}."
            self.tell((*path, "key"), message, "give the new step another key")

    def block(self, kind: StepKind, raw: Any, path: Path) -> Any:
        """What stands below the kind: options, ways, or a plain value that the step's own model checks."""
        if kind is StepKind.LOOKUP:
            return self.lookup(raw, path)
        if kind in VERBS:
            return self.use(kind, raw, path)
        if kind is StepKind.CALL:
            return self.call(raw, path)
        return self.branch(raw, path) if kind is StepKind.BRANCH else raw

    def check_exports(self, raw: Any) -> None:
        """Exactly one export, and it stands first."""
        if not isinstance(raw, list) or not raw:
            return
        self.check_first(raw[0])
        for path in self.exports_in(raw[1:], ("steps",), first=1):
            self.tell(path, "A flow has exactly one export, its first step.", "make a flow of its own for this export")

    def check_first(self, first: Any) -> None:
        if isinstance(first, dict) and any(name in KINDS for name in first) and StepKind.EXPORT not in first:
            self.tell(("steps", 0), "The first step must be an export: it is where the records come from.")

    def exports_in(self, raw: Any, path: Path, first: int = 0) -> Iterable[Path]:
        for number, entry in enumerate(raw if isinstance(raw, list) else [], first):
            if not isinstance(entry, dict):
                continue
            if StepKind.EXPORT in entry:
                yield (*path, number)
            branch = entry.get("branch")
            yield from self.exports_in(entry.get("handler"), (*path, number, "handler"))
            ways = branch.get("ways") if isinstance(branch, dict) else None
            for way_number, way in enumerate(ways if isinstance(ways, list) else []):
                if isinstance(way, dict):
                    yield from self.exports_in(way.get("steps"), (*path, number, "branch", "ways", way_number, "steps"))

    # --- branches ----------------------------------------------------------------------------------------------------
    def branch(self, raw: Any, path: Path) -> BranchPart:
        if not isinstance(raw, dict):
            self.tell(path, f"A branch is a set of fields (take, ways), not {shown(raw)}.")
            return BranchPart()
        head = self.model(BranchHead, without(raw, "ways"), path, also=["ways"])
        ways = raw.get("ways")
        if not isinstance(ways, list) or not ways:
            self.tell((*path, "ways"), "A branch needs a list of ways, each with a name, when and steps.")
            return BranchPart()
        read = [self.way(way, (*path, "ways", number)) for number, way in enumerate(ways)]
        self.check_way_names(ways, path)
        return BranchPart(head is not None and head.take == "all", tuple(way for way in read if way is not None))

    def way(self, raw: Any, path: Path) -> WayPart | None:
        if not isinstance(raw, dict):
            self.tell(path, f"A way is a set of fields (name, when, steps), not {shown(raw)}.")
            return None
        head = self.model(WayHead, without(raw, "steps"), path, also=["steps"])
        steps = self.steps(raw.get("steps", []), (*path, "steps"), may_be_empty=True)
        return WayPart(head.name, head.when, steps) if head is not None else None

    def check_way_names(self, ways: list[Any], path: Path) -> None:
        seen: set[str] = set()
        for number, way in enumerate(ways):
            name = way.get("name") if isinstance(way, dict) else None
            if isinstance(name, str) and name in seen:
                self.tell((*path, "ways", number, "name"), f"Two ways of this branch are named {name}.")
            elif isinstance(name, str):
                seen.add(name)

    # --- calls -------------------------------------------------------------------------------------------------------
    def call(self, raw: Any, path: Path) -> CallPart | None:
        head = self.model(CallHead, {"flow": raw} if isinstance(raw, str) else raw, path)
        if head is None:
            return None
        place = path if isinstance(raw, str) else (*path, "flow")
        definition = self.callee(head.flow, place)
        return CallPart(definition, head.parameters, head.result) if definition is not None else None

    def callee(self, key: str, place: Path) -> Definition | None:
        """The definition of a flow that is called, itself without a mistake."""
        chain = (*self.known.callers, str(self.document.value.get("flow")))
        if key in chain:
            circle = " calls ".join((*chain[chain.index(key) :], key))
            self.tell(place, f"Flows would call each other in a circle: {circle}.")
            return None
        if len(chain) > MAX_CALLS:
            self.tell(place, f"Calls are nested at most {MAX_CALLS} deep; {', '.join(chain)}, {key} are deeper.")
            return None
        text = self.known.callee(key)
        if text is None:
            self.tell(place, f"There is no flow {key} to call.", did_you_mean(key, self.known.flows or ()))
            return None
        return self.checked_callee(key, text, chain, place)

    def checked_callee(self, key: str, text: str, chain: tuple[str, ...], place: Path) -> Definition | None:
        try:
            definition = parse_definition(text, known=replace(self.known, callers=chain, flows=None))
        except DefinitionError as error:
            first = error.mistakes[0]
            self.tell(place, f"The flow {key} cannot be called: {first.place or 'its definition'}: {first.message}")
            return None
        if definition.environment != self.environment:
            message = f"The flow {key} is in the environment {definition.environment}, this one in {self.environment}."
            self.tell(place, message, "a flow calls flows of its own environment")
            return None
        self.count_inlined(definition, place)
        self.has_transactional_import = self.has_transactional_import or definition.has_transactional_import
        return definition

    def count_inlined(self, definition: Definition, place: Path) -> None:
        before = self.inlined_count
        self.inlined_count += definition.inlined_count
        if before <= MAX_INLINED < self.inlined_count:
            message = f"The sub-flows of this flow have {self.inlined_count:,} steps; {MAX_INLINED:,} are the most."
            self.tell(place, message, "a sub-flow counts as often as it is called")
