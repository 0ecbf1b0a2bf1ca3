"""llama.cpp is a submodule at one commit, and nothing of it is ours."""

import ast
import configparser
import subprocess

from support.tree import ROOT, files

PIN = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"


def _git(*arguments: str, folder: str = ".") -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT / folder, check=True, capture_output=True, text=True
    ).stdout


def test_gitlink_is_the_pinned_commit():
    assert _git("ls-tree", "HEAD", "llama.cpp").split() == ["160000", "commit", PIN, "llama.cpp"]


def test_gitmodules_names_upstream_over_https():
    modules = configparser.ConfigParser()
    modules.read_string((ROOT / ".gitmodules").read_text().replace("\t", ""))
    assert modules.sections() == ['submodule "llama.cpp"']
    assert modules['submodule "llama.cpp"']["path"] == "llama.cpp"
    assert modules['submodule "llama.cpp"']["url"] == "https://github.com/ggml-org/llama.cpp.git"


def test_get_llama_cpp_records_the_same_commit():
    module = ast.parse((ROOT / "scripts/get-llama-cpp").read_text())
    assignments = {
        ast.unparse(node.targets[0]): node.value
        for node in module.body
        if isinstance(node, ast.Assign)
    }
    assert ast.literal_eval(assignments["PIN"]) == PIN


def test_checked_out_llama_cpp_is_the_pinned_commit_unmodified():
    assert (ROOT / "llama.cpp" / ".git").exists(), "run scripts/get-llama-cpp"
    assert _git("rev-parse", "HEAD", folder="llama.cpp").strip() == PIN
    assert _git("status", "--porcelain", folder="llama.cpp") == ""


def test_no_file_of_llama_cpp_is_tracked():
    assert [path for path in files() if path.startswith("llama.cpp/")] == []
