"""The pages show what the results of the race say, and explain each row."""

import re
from pathlib import Path

import pytest
from engine import pages
from engine.rows import ROWS
from support.tree import ROOT


@pytest.mark.parametrize("page", pages.PAGES, ids=str)
def test_page_shows_the_figures_of_the_results(page: Path):
    shown = (ROOT / page).read_text()
    assert shown == pages.refreshed(ROOT, page), 'run make bench-engine ARGS="--pages"'


def test_every_row_is_explained_with_its_figures_and_how_to_repeat_it():
    page = (ROOT / "docs/performance.md").read_text()
    for number, workload in ROWS.items():
        [section] = re.findall(rf"^## {number}\. (.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
        assert section.startswith(f"{workload.title}\n")
        assert f"<!-- figures: {number} -->" in section
        assert f'`make bench-engine ARGS="--rows {number}"`' in section
