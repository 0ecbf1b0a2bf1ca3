"""A hub that serves one model repository, and a client for it."""

import pytest
from support.gguf_files import write_tiny_gguf
from support.hub_pull import TEMPLATE
from support.recording import ImpatientClient
from support.scripted_hub import scripted_hub


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """About 1 MiB."""
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "w.gguf", n_vocab=4096).read_bytes()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with scripted_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://{hub.host}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield hub


@pytest.fixture
def repository(hub, weights):
    repository = hub.add("Org/Model-GGUF")
    repository.plain |= {"README.md", "chat_template.jinja"}
    repository.commit(
        {
            "README.md": b"text",
            "chat_template.jinja": TEMPLATE,
            "model-Q4_K_M.gguf": weights,
            "model-UD-Q4_K_XL.gguf": weights + bytes(32),
            "mmproj-F16.gguf": weights + bytes(64),
        }
    )
    return repository


@pytest.fixture
def client():
    with ImpatientClient() as client:
        yield client
