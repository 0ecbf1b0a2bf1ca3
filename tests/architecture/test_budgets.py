"""Files, functions and names stay small; an exception is listed with its reason."""

import ast

import pytest
from support.tree import ROOT, named, parsed

LIMITS = {".py": 400, ".pyx": 500, ".pxi": 500, ".pyi": 400, ".cpp": 600, ".h": 600}
"""Lines of a file."""

ALLOWED_FILES: dict[str, str] = {}

MAX_FUNCTION_LINES = 60
"""Without the docstring."""

ALLOWED_FUNCTIONS: dict[str, str] = {}
"""``path:function`` to reason."""

MAX_PUBLIC_NAMES = 40
MAX_BYTES = 1_000_000

ALLOWED_BYTES: dict[str, str] = {}
"""Big files to reason; the demo model's blob is allowed by its folder."""

_DEMO_BLOBS = "pyrunner/demo/layout/blobs/"


def _functions(path: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(parsed(path)) if isinstance(node, kinds)]


def _n_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        first = node.body[1]
    end = node.end_lineno
    assert end is not None
    return end - first.lineno + 1


@pytest.mark.parametrize("ending", LIMITS)
def test_files_stay_below_their_line_budget(ending: str):
    too_long = {
        path: n_lines
        for path in named(ending)
        if (n_lines := len((ROOT / path).read_bytes().splitlines())) > LIMITS[ending]
        and path not in ALLOWED_FILES
    }
    assert too_long == {}


def test_functions_stay_below_sixty_lines():
    too_long = [
        f"{path}:{node.name}"
        for path in named(".py")
        for node in _functions(path)
        if _n_lines(node) > MAX_FUNCTION_LINES and f"{path}:{node.name}" not in ALLOWED_FUNCTIONS
    ]
    assert too_long == []


def test_allow_lists_name_only_files_that_need_it():
    stale = [
        path
        for path in ALLOWED_FILES
        if len((ROOT / path).read_bytes().splitlines()) <= LIMITS["." + path.rsplit(".", 1)[1]]
    ]
    assert stale == []


def test_the_package_has_at_most_forty_public_names():
    import pyrunner

    assert len(pyrunner.__all__) <= MAX_PUBLIC_NAMES


def test_no_big_file_but_the_demo_model_is_tracked():
    big = [
        path
        for path in named("")
        if (ROOT / path).stat().st_size > MAX_BYTES
        and not path.startswith(_DEMO_BLOBS)
        and path not in ALLOWED_BYTES
    ]
    assert big == []
