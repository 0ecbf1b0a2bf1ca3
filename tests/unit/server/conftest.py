"""What every server test starts from."""

from pathlib import Path

import pytest
from support.api import Api, make_api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """An application with a scripted runtime and an empty store."""
    return make_api(tmp_path)
