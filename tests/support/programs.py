"""Other programs that tests use, and what is said where one is missing.

A skip is for a developer's machine: in continuous integration tests/conftest.py makes a failure of
it, and .ci/run installs them all.
"""

import shutil

import pytest


def missing(package: str) -> str:
    """Why a test does not run."""
    return f"needs a program that is not installed: apt install {package}"


def needs(program: str, package: str = "") -> pytest.MarkDecorator:
    """Mark tests that use a program; `package` is Debian's, if it is called otherwise."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=missing(package or program))


def require(program: str) -> str:
    """The program's path; skips the test that is running where there is none."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(missing(program))
    return path


needs_skopeo = needs("skopeo")
