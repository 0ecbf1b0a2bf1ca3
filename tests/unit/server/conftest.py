"""What every server test starts from."""

from pathlib import Path

import pytest
from support.api import Api, make_api
from support.gguf_files import write_tiny_gguf

from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.stored import StoredModel


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """An application with a scripted runtime and an empty store."""
    return make_api(tmp_path)


@pytest.fixture
def stored(api: Api, tmp_path: Path) -> StoredModel:
    """A model in the store of `api`, named ``ai/tiny``."""
    options = PackageOptions(gguf=write_tiny_gguf(tmp_path / "tiny.gguf"))
    return package(api.store, options, "ai/tiny", lambda _: None)
