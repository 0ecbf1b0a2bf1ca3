"""docs/settings.md says what pyrunner/config/settings.py does."""

import importlib.util

from support.tree import ROOT


def _written() -> str:
    spec = importlib.util.spec_from_file_location(
        "settings_page", ROOT / "scripts/settings_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page()
    assert isinstance(page, str)
    return page


def test_the_settings_page_is_what_the_docstrings_make():
    assert (ROOT / "docs/settings.md").read_text() == _written(), "run scripts/settings_page.py"
