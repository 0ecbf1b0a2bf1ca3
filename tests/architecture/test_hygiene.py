"""Rules of the house that a grep can check."""

import ast
import re

import pytest
from support.tree import ROOT, named, parsed

FORBIDDEN_WORDS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

SOURCES = (
    *(".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".cpp", ".toml", ".cmake", ".yml", ".yaml"),
    *("CMakeLists.txt", "Makefile", ".ci/run", "scripts/check", "scripts/check-needs"),
    *("scripts/get-llama-cpp", "scripts/demo"),
)

_CAMEL_WORD = re.compile(r"[A-Z][a-z0-9]*")
_CIMPORT = re.compile(r"^\s*(?:cimport\s+(\S+)|from\s+(\S+)\s+cimport\b)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*(?:import|from)\s+(\S+)(?!.*\bcimport\b)", re.MULTILINE)
_EXTERN = re.compile(r"cdef\s+extern\s+from\s+[\"']([^\"']+)[\"']")
_INCLUDE = re.compile(r"^\s*#\s*include\s+[<\"]([^>\"]+)[>\"]", re.MULTILINE)
_SILENCED = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover)\b(?P<rest>.*)$")
_CODES = re.compile(r"^(?:\[[^\]]*\]|:\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)?")


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def _is_fixture(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("fixture" in ast.unparse(each) for each in node.decorator_list)


def test_no_module_has_a_name_that_says_nothing():
    bad = [
        path
        for path in named(".py", ".pyx", ".h", ".cpp")
        if FORBIDDEN_WORDS & set(re.split(r"[/_.-]", path.lower()))
    ]
    assert bad == []


def test_no_class_has_a_name_that_says_nothing():
    bad = [
        f"{path}:{node.name}"
        for path in named(".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and FORBIDDEN_WORDS & {word.lower() for word in _CAMEL_WORD.findall(node.name)}
    ]
    assert bad == []


def test_sources_are_ascii():
    bad = [path for path in named(*SOURCES) if not (ROOT / path).read_bytes().isascii()]
    assert bad == []


def test_no_test_sleeps():
    bad = [
        f"{path}:{node.lineno}"
        for path in named(".py", below="tests/")
        for node in ast.walk(parsed(path))
        if (
            isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "asyncio.sleep")
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module in ("time", "asyncio")
            and any(each.name == "sleep" for each in node.names)
        )
    ]
    assert bad == []


def test_every_function_of_a_test_file_is_collected_or_private():
    bad = [
        f"{path}:{node.name}"
        for path in named(".py", below="tests/")
        if path.rsplit("/", 1)[1].startswith("test_")
        for scope in _scopes(path)
        for node in scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith(("test_", "_"))
        and not _is_fixture(node)
    ]
    assert bad == []


def _scopes(path: str) -> list[list[ast.stmt]]:
    """The statements of a test file and of each of its test classes."""
    body = parsed(path).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    return [body, *(each.body for each in classes if each.name.startswith("Test"))]


def test_tests_stand_only_in_files_that_pytest_collects():
    bad = [
        f"{path}:{node.name}"
        for path in named(".py", below="tests/")
        if not path.rsplit("/", 1)[1].startswith("test_") and not path.startswith("tests/contract/")
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert bad == []


def test_no_two_tests_of_a_file_share_a_name():
    bad = []
    for path in named(".py", below="tests/"):
        for scope in _scopes(path):
            names = [node.name for node in scope if isinstance(node, ast.FunctionDef)]
            bad += [f"{path}:{name}" for name in set(names) if names.count(name) > 1]
    assert bad == []


def test_every_silenced_check_names_its_rule_and_its_reason():
    bad = []
    for path in named(".py", ".pyi", ".pyx", ".pxi"):
        for number, line in enumerate(_text(path).splitlines(), 1):
            found = _SILENCED.search(line)
            if found is None:
                continue
            codes = _CODES.match(found["rest"])
            reason = found["rest"][codes.end() if codes else 0 :].strip(" -#:")
            if not codes or not codes[0] or not reason:
                bad.append(f"{path}:{number}")
    assert bad == []


@pytest.mark.parametrize("path", named(".pyx", ".pxd", ".pxi", below="pyrunner/"))
def test_cython_cimports_only_c_and_its_own_package(path: str):
    allowed = ("libc", "libcpp", "cpython", "cython", "pyrunner._native")
    found = [one or other for one, other in _CIMPORT.findall(_text(path))]
    assert [name for name in found if not name.startswith(allowed)] == []


@pytest.mark.parametrize("path", named(".pyx", ".pxi", below="pyrunner/"))
def test_cython_imports_only_the_layers_below_it(path: str):
    allowed = {"_native", "wire", "config", "types", "units", "log", "errors"}
    found = [name.split(".") for name in _IMPORT.findall(_text(path))]
    ours = [name for name in found if name[0] == "pyrunner" and len(name) > 1]
    assert [name for name in ours if name[1] not in allowed] == []


@pytest.mark.parametrize("path", named(".pyx", ".pxd", ".pxi", below="pyrunner/"))
def test_cython_sees_only_headers_of_csrc(path: str):
    known = {each.rsplit("/", 1)[1] for each in named(".h", below="csrc/")}
    found = set(_EXTERN.findall(_text(path))) - {"*"}
    assert {name for name in found if name.rsplit("/", 1)[-1] not in known} == set()


def test_python_headers_stay_out_of_c_sources():
    bad = [
        path
        for path in named(".h", ".cpp")
        if {"Python.h", "numpy/arrayobject.h"} & set(_INCLUDE.findall(_text(path)))
    ]
    assert bad == []


def test_headers_of_csrc_do_not_show_llama_to_cython():
    # Cython includes what a .pxd names; llama.h behind such a header would reach it all the same.
    included = {
        name.rsplit("/", 1)[-1]
        for path in named(".pyx", ".pxd", ".pxi", below="pyrunner/")
        for name in _EXTERN.findall(_text(path))
    }
    bad = [
        path
        for path in named(".h", below="csrc/")
        if path.rsplit("/", 1)[1] in included
        and any(name.startswith(("llama", "ggml")) for name in _INCLUDE.findall(_text(path)))
    ]
    assert bad == []


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "README.md", "docs/development.md"])
def test_pip_is_called_as_debians_old_one_understands(path):
    # pip 23.0, which a virtual environment of Debian 12 has, knows --config-settings and no -C.
    assert re.search(r"(?<!\bmake )\s-C[ =]\S+[.=]", _text(path)) is None
