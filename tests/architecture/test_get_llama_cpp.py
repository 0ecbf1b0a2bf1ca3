"""The script that fetches llama.cpp refuses what is not the pinned commit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.tree import ROOT

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the script and a gitlink to its llama.cpp, which is checked out."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/get-llama-cpp", tmp_path / "scripts")
    engine = tmp_path / "llama.cpp"
    engine.mkdir()
    _git(engine, "init", "-q")
    (engine / "CMakeLists.txt").write_text("# engine\n")
    _git(engine, "add", ".")
    _git(engine, "commit", "-q", "-m", "pinned")
    _git(tmp_path, "init", "-q")
    head = _git(engine, "rev-parse", "HEAD")
    _git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{head},llama.cpp")
    _git(tmp_path, "commit", "-q", "-m", "tree")
    return tmp_path


def _run(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, project / "scripts/get-llama-cpp"],
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_checkout_at_the_pin_is_accepted_as_it_is(project: Path):
    done = _run(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "already there" in done.stdout


def test_a_checkout_at_another_commit_is_refused_with_both_ways_out(project: Path):
    _git(project / "llama.cpp", "commit", "-q", "--allow-empty", "-m", "other")
    done = _run(project)
    assert done.returncode == 1
    assert "but this tree needs" in done.stderr
    assert "git submodule update --init" in done.stderr
    assert "llama-cpp-python==" in done.stderr


@pytest.mark.parametrize("name", ["CMakeLists.txt", "new.h"])
def test_a_modified_checkout_is_refused_and_left_alone(project: Path, name: str):
    (project / "llama.cpp" / name).write_text("# mine\n")
    done = _run(project)
    assert done.returncode == 1
    assert "1 local changes" in done.stderr
    assert (project / "llama.cpp" / name).read_text() == "# mine\n"


def test_files_without_a_repository_are_refused(project: Path):
    shutil.rmtree(project / "llama.cpp" / ".git")
    done = _run(project)
    assert done.returncode == 1
    assert "no git checkout" in done.stderr


def test_a_source_archive_with_llama_cpp_inside_needs_nothing(project: Path):
    shutil.rmtree(project / "llama.cpp" / ".git")
    shutil.rmtree(project / ".git")
    done = _run(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "source archive" in done.stdout
