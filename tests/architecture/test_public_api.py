"""What `import pyrunner` promises."""

import ast
import importlib
import pkgutil
import re

import pytest
from support.tree import named, parsed

import pyrunner


def _all_of(path: str) -> list[str] | None:
    for node in parsed(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


@pytest.mark.parametrize(
    "path", [path for path in named(".py", below="pyrunner/") if _all_of(path) is not None]
)
def test_all_is_sorted_without_repeats(path: str):
    names = _all_of(path)
    assert names is not None
    # As ruff sorts: constants, classes, functions.
    order = sorted(set(names), key=lambda each: (not each.isupper(), each[0].islower(), each))
    assert names == order


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+)?", pyrunner.__version__)


@pytest.mark.native
@pytest.mark.parametrize("name", pyrunner.__all__)
def test_every_public_name_can_be_reached(name: str):
    assert getattr(pyrunner, name) is not None


def test_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pyrunner.nonsense


@pytest.mark.native
def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(pyrunner.__path__, "pyrunner."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
