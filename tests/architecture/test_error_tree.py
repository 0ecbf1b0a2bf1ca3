"""Every error that can be raised is drawn, crosses a process, and has its rows."""

import inspect
import pickle
import re

import pytest

from pyrunner import errors
from pyrunner.cli.main import EXIT_CODES
from pyrunner.errors import LEAVES, Fact, PyrunnerError
from pyrunner.server.errors import TABLE

_VALUES: dict[str, Fact] = {"str": "text", "int": 7, "float": 1.5, "bool": True}
_SENTENCE = re.compile(r"[A-Z'{\"/].*|unable to .*", re.DOTALL)

all_leaves = pytest.mark.parametrize("leaf", LEAVES.values(), ids=lambda leaf: leaf.__name__)


def _example(leaf: type[PyrunnerError]) -> PyrunnerError:
    parameters = inspect.signature(leaf).parameters.values()
    facts = {each.name: _value(each.annotation) for each in parameters}
    return leaf(**facts)  # type: ignore[arg-type]  # leaves take their facts by keyword


def _value(annotation: object) -> Fact:
    kind = annotation if isinstance(annotation, type) else type(None)
    return _VALUES.get(kind.__name__)


def _classes(cls: type[PyrunnerError]) -> set[type[PyrunnerError]]:
    return {cls}.union(*(_classes(each) for each in cls.__subclasses__()))


def test_the_drawing_shows_every_class_and_nothing_else():
    assert errors.__doc__ is not None
    drawing = errors.__doc__.split("Facts are keyword")[0]
    drawn = re.findall(r"[|`]- (\w+)", drawing)
    expected = {cls.__name__ for cls in _classes(PyrunnerError)} | {"InvariantError"}
    assert sorted(drawn) == sorted({*expected, "AssertionError"})


def test_every_leaf_has_a_code_of_its_own():
    leaves = [cls for cls in _classes(PyrunnerError) if not cls.__subclasses__()]
    assert sorted(LEAVES) == sorted({leaf.code for leaf in leaves})
    assert len(leaves) == len(LEAVES)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in LEAVES)


@all_leaves
def test_a_leaf_is_rebuilt_from_its_facts(leaf: type[PyrunnerError]):
    error = _example(leaf)
    again = errors.from_facts(error.code, error.facts)
    assert type(again) is leaf
    assert str(again) == str(error) == error.sentence
    assert again.facts == error.facts


@all_leaves
def test_a_leaf_survives_pickling(leaf: type[PyrunnerError]):
    error = _example(leaf)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.facts) == (leaf, str(error), error.facts)


@all_leaves
def test_a_leaf_keeps_every_argument_as_a_fact(leaf: type[PyrunnerError]):
    assert set(_example(leaf).facts) == set(inspect.signature(leaf).parameters)


@all_leaves
def test_a_leaf_has_an_http_status(leaf: type[PyrunnerError]):
    assert 400 <= TABLE[leaf].status <= 599


@all_leaves
def test_a_leaf_has_an_exit_code(leaf: type[PyrunnerError]):
    assert any(cls in EXIT_CODES for cls in leaf.__mro__)


def test_tables_hold_no_rows_for_errors_that_do_not_exist():
    assert set(TABLE) <= set(LEAVES.values())
    assert set(EXIT_CODES) <= _classes(PyrunnerError)


def test_an_unknown_code_is_a_bug_and_no_pyrunner_error():
    with pytest.raises(errors.InvariantError, match="no_such_code"):
        errors.from_facts("no_such_code", {})


def test_facts_that_do_not_fit_are_a_bug_and_no_pyrunner_error():
    with pytest.raises(errors.InvariantError, match="context_length_exceeded"):
        errors.from_facts("context_length_exceeded", {"n_tokens": 5})


def test_a_bug_is_not_caught_with_the_families():
    assert not issubclass(errors.InvariantError, PyrunnerError)


@pytest.mark.parametrize(
    "leaf",
    [
        errors.StoreIOError,
        errors.ModelFileError,
        errors.TemplateError,
        errors.RegistryProtocolError,
        errors.ShuttingDownError,
        errors.DecodeError,
        errors.ModelLoadError,
        errors.ContextRefusedError,
        errors.WorkerProtocolError,
    ],
)
def test_a_sentence_goes_on_with_a_way_out(leaf: type[PyrunnerError]):
    problem, _, way_out = _example(leaf).sentence.partition(". ")
    assert problem
    assert way_out.endswith(".")


@pytest.mark.parametrize("leaf", [errors.MemoryBudgetError, errors.ModelTooLargeError])
def test_sizes_are_told_in_a_unit_that_people_read(leaf: type[PyrunnerError]):
    assert "1 MiB" in _example(leaf).sentence
    assert " bytes" not in _example(leaf).sentence
