"""What the pages point at exists."""

import re

import pytest
from support.tree import ROOT, named

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_VERB = re.compile(r"`{1,3}(?:console\n)?\$?\s*make ([a-z]+)")
_PATH = re.compile(
    r"`((?:benchmarks|csrc|docs|examples|pyrunner|scripts|tests)/[\w./-]*[\w/])`|`(\.ci/run)`"
)

pages = pytest.mark.parametrize("page", named(".md"))


@pages
def test_relative_links_of_a_page_lead_somewhere(page: str):
    targets = [each for each in _LINK.findall((ROOT / page).read_text()) if "://" not in each]
    folder = (ROOT / page).parent
    assert [each for each in targets if not (folder / each).exists()] == []


@pages
def test_make_verbs_of_a_page_are_in_the_makefile(page: str):
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(_VERB.findall((ROOT / page).read_text())) - verbs == set()


@pages
def test_paths_of_a_page_are_in_the_tree(page: str):
    found = [one or other for one, other in _PATH.findall((ROOT / page).read_text())]
    models = {"pyrunner/demo"}  # a model's reference, not a path
    assert [each for each in found if each not in models and not (ROOT / each).exists()] == []
