"""`make demo` does what the README says, with a registry on the machine and without one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.tree import ROOT

README_QUESTION = "Explain Docker in simple terms."


def _demo(path: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/"),
        "PYRUNNER_ENGINE_N_THREADS": "1",
        **extra,
    }
    return subprocess.run(
        ["bash", ROOT / "scripts" / "demo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _programs() -> str:
    """The folder of the pyrunner under test."""
    return str(Path(sys.executable).parent)


def test_demo_sends_the_model_through_a_registry_and_answers() -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    run = _demo(f"{_programs()}:{os.environ['PATH']}")
    assert run.returncode == 0, run.stdout + run.stderr
    for step in (
        "package --gguf",
        "push localhost:",
        "rm localhost:",
        "pull localhost:",
        "curl -sN",
    ):
        assert f"$ pyrunner {step}" in run.stdout or f"$ {step}" in run.stdout
    assert README_QUESTION in run.stdout
    assert "tokens of the answer at" in run.stdout


def test_demo_without_a_registry_says_so_and_answers(tmp_path: Path) -> None:
    # Everything on the path but docker-registry.
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).glob("*") if Path(folder).is_dir() else ():
            link = tmp_path / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    (tmp_path / "docker-registry").unlink(missing_ok=True)
    run = _demo(f"{_programs()}:{tmp_path}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No docker-registry on this machine" in run.stdout
    assert "$ pyrunner pull pyrunner/demo" in run.stdout
    assert "tokens of the answer at" in run.stdout


def test_the_demo_asks_what_the_readme_asks() -> None:
    assert README_QUESTION in (ROOT / "README.md").read_text()
    assert README_QUESTION in (ROOT / "scripts" / "demo").read_text()
