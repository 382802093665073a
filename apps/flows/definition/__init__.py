"""Definitions of flows: a YAML text read into a validated `Definition`, or all of its mistakes at once."""

from apps.flows.definition.mistakes import DefinitionError, Mistake, MistakesError
from apps.flows.definition.models import Definition
from apps.flows.definition.reader import parse_definition
from apps.flows.definition.uses import Known

__all__ = ["Definition", "DefinitionError", "Known", "Mistake", "MistakesError", "parse_definition"]
