"""What many end-to-end tests begin with: empty stores, registries, a small model."""

import json

import pytest
from support.artifacts import new_store
from support.command_line import run
from support.debian_registry import basic_auth, running_registry
from support.random_model import Shape, write_random_model
from support.scripted_registry import scripted_registry
from support.token_server import running_token_server


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def here(tmp_path):
    return new_store(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return new_store(tmp_path / "there")


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    """Debian's registry, with a password."""
    folder = tmp_path_factory.mktemp("basic")
    with running_registry(folder, basic_auth(folder)) as registry:
        yield registry


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    with running_token_server(tmp_path_factory.mktemp("tokens")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tokens, tmp_path_factory):
    """Debian's registry, with tokens of that server."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_registry(folder, tokens.auth_section()) as registry:
        yield registry


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A file that llama.cpp loads."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    shape: Shape = {
        "n_layer": 1,
        "n_embd": 32,
        "n_head": 1,
        "n_head_kv": 1,
        "n_ff": 64,
        "n_ctx_train": 512,
    }
    return write_random_model(path, vocab="llama-spm", quantize="Q8_0", **shape)


@pytest.fixture
def packaged(home, gguf):
    """That file as a model of the store in `home`, as ``inspect`` shows it."""
    name = "localhost:5000/test/tiny"
    done = run("package", "--gguf", str(gguf), name, home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(run("inspect", name, home=home).stdout)


@pytest.fixture
def proxy(monkeypatch):
    """Docker Hub as far as tests come: a proxy that lets nothing through and notes who asked."""
    with scripted_registry() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.host}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield proxy
