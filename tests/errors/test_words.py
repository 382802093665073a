"""The engine's words and the words of the tables are the same."""

from apps.engine import ports
from apps.engine.plan import StepKind as EngineStepKind
from apps.errors.models import Cause
from apps.errors.states import Classification
from apps.flows.models import StepKind


def test_every_class_that_the_engine_gives_can_be_stored():
    given = {each.value or Classification.NONE.value for each in ports.Classification}  # blank in the engine: no class
    assert given == set(Classification.values)


def test_every_source_fits_its_column():
    longest = Cause._meta.get_field("source").max_length
    assert [each for each in ports.ErrorSource if len(each.value) > longest] == []


def test_every_kind_of_step_is_known_to_both():
    assert {str(each.value) for each in EngineStepKind} == set(StepKind.values)
