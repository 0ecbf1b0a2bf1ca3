"""What an installation brings: our libraries and nothing else of llama.cpp, and its licence."""

import os
import re
import subprocess
from importlib.metadata import files
from pathlib import Path

import pytest
from support.programs import require

from pyrunner import _native

LIBRARIES = {
    *("libggml-base.so", "libggml-cpu.so", "libggml.so", "libllama-common.so", "libllama.so"),
}

pytestmark = pytest.mark.native


def _native_root() -> Path:
    """Where the build put them, which in an editable install is not where the sources are."""
    extension = _native._core.__file__
    assert extension is not None
    return Path(extension).parent.parent


def test_libraries_are_ours_without_versions_and_one_extension():
    found = [path for path in _native_root().rglob("*") if re.search(r"\.so(\.|$)", path.name)]
    libraries = {path.name for path in found if path.parent.name == "lib"}
    assert libraries == LIBRARIES
    assert [path.name for path in found if path.name not in libraries] == [
        Path(str(_native._core.__file__)).name
    ]
    assert not any(path.is_symlink() for path in found)


def test_nothing_else_of_llama_cpp_is_installed():
    names = [str(path) for path in files("pyrunner") or ()]
    assert names
    assert not [
        name for name in names if re.search(r"\.(h|hpp|cmake|pc|a|metal)$|/bin/llama", name)
    ]


def test_licences_of_both_are_installed():
    texts = [
        path.read_text()
        for path in files("pyrunner") or ()
        if path.name.startswith("LICENSE") and "dist-info" in str(path)
    ]
    assert any("ggml authors" in text or "ggml-org" in text for text in texts)
    assert any("pyrunner" in text for text in texts)


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_library_finds_the_others_beside_itself(name):
    said = subprocess.run(
        [require("readelf"), "-d", os.fspath(_native_root() / "lib" / name)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", said) == ["$ORIGIN"]
