"""``store verify``, ``store gc``, ``df`` and ``purge`` as processes."""

import pytest
from support.artifacts import add, blob_names
from support.command_line import run

from pyrunner.config import RegistryConfig
from pyrunner.models.store import Store


@pytest.fixture
def store(home):
    made = Store(home / "store", RegistryConfig())
    add(made, "ai/a", b"weights")
    return made


@pytest.mark.usefixtures("store")
def test_verify_of_a_whole_store_ends_with_0(home):
    done = run("store", "verify", home=home)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "1 models")


def test_verify_names_the_damaged_model_and_repair_lets_it_be_pulled_again(home, store):
    layer = store.find("ai/a").manifest.layers[0]
    store.blobs.path(layer.digest).write_bytes(b"WEIGHTS")
    done = run("store", "verify", home=home)
    assert done.returncode == 7
    assert "blobs that a need" in done.stderr.splitlines()[-1]
    assert run("store", "verify", "--repair", home=home).returncode == 7
    add(store, "ai/a", b"weights")
    assert run("store", "verify", home=home).returncode == 0


def test_verify_of_a_lost_index_says_how_to_repair_it(home, store):
    (store.path / "index.json").write_bytes(b"")
    done = run("store", "verify", home=home)
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    done = run("store", "verify", "--repair", home=home)
    assert (done.returncode, "1 models without names" in done.stdout) == (0, True)


@pytest.mark.usefixtures("store")
def test_df_shows_what_the_models_take(home):
    done = run("df", home=home)
    assert done.stdout.splitlines()[0].split() == ["TYPE", "SIZE"]
    assert done.stdout.splitlines()[1].startswith("Models")


def test_gc_of_a_clean_store_frees_nothing(home, store):
    done = run("store", "gc", home=home)
    assert (done.returncode, done.stdout) == (0, "Total reclaimed space: 0B\n")
    assert len(blob_names(store)) == 3


def test_purge_asks_first_and_no_is_no(home, store):
    done = run("purge", home=home, stdin="n\n")
    assert done.returncode == 0
    assert "Operation cancelled." in done.stdout
    assert len(store.list()) == 1


def test_purge_with_force_removes_everything(home, store):
    assert run("purge", "--force", home=home).returncode == 0
    assert store.list() == []
