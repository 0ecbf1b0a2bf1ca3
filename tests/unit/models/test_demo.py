import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.artifacts import NAMES, add, blob_names, new_store
from support.gguf_files import write_tiny_gguf
from support.tree import ROOT

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    InvalidParameterError,
    ModelNotFoundError,
    StoreCorruptError,
    StoreIOError,
)
from pyrunner.models.demo import DEMO_REFERENCE, DemoModel
from pyrunner.models.exchange import export_layout, import_layout
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.store import Store


@pytest.fixture
def layout(tmp_path):
    return _layout(tmp_path, 8)


def _layout(folder: Path, n_vocab: int) -> Path:
    model = write_tiny_gguf(folder / f"{n_vocab}.gguf", n_vocab=n_vocab)
    source = new_store(folder / f"source-{n_vocab}")
    made = package(source, PackageOptions(gguf=model), "build/demo", lambda _: None)
    export_layout(source, made.id, folder / f"layout-{n_vocab}", DEMO_REFERENCE)
    return folder / f"layout-{n_vocab}"


@pytest.fixture
def store(tmp_path, layout):
    return Store(tmp_path / "store", NAMES, DemoModel(layout))


@pytest.mark.parametrize("text", ["pyrunner/demo", "docker.io/pyrunner/demo:latest"])
def test_demo_comes_into_the_store_when_it_is_asked_for(store, text):
    assert store.list() == []
    model = store.find(text)
    assert model.tags == ["docker.io/pyrunner/demo:latest"]
    assert model.config.architecture == "llama"
    assert [each.id for each in store.list()] == [model.id]


def test_demo_that_was_removed_comes_back(store):
    model = store.find("pyrunner/demo")
    store.remove("pyrunner/demo")
    assert blob_names(store) == set()
    assert store.find("pyrunner/demo") == model


def test_demo_of_a_newer_installation_replaces_the_former(store, tmp_path):
    store.find("pyrunner/demo")
    newer = Store(store.path, NAMES, DemoModel(_layout(tmp_path, 16)))
    assert [each.id for each in newer.list()] != [newer.find("pyrunner/demo").id]
    assert [each.id for each in newer.list()] == [newer.find("pyrunner/demo").id]


def test_demo_means_the_shipped_model_under_every_default_registry(layout, tmp_path):
    names = RegistryConfig(default_registry="reg.example")
    other = Store(tmp_path / "other", names, DemoModel(layout))
    assert other.find("pyrunner/demo").tags == ["docker.io/pyrunner/demo:latest"]


def test_no_other_model_takes_the_name_of_the_demo(store):
    add(store, "x", b"1")
    with pytest.raises(InvalidParameterError):
        store.tag("x", "pyrunner/demo")
    with pytest.raises(InvalidParameterError):
        store.tag("x", "pyrunner/demo:other")
    with pytest.raises(ModelNotFoundError):
        store.find("pyrunner/demo:other")


def test_installation_without_the_demo_says_so(tmp_path):
    store = Store(tmp_path / "store", NAMES, DemoModel(tmp_path / "missing"))
    with pytest.raises(StoreIOError, match="missing from this installation"):
        store.find("pyrunner/demo")
    assert not store.path.exists()


def test_installation_without_the_demo_uses_the_stored_one(store, tmp_path):
    model = store.find("pyrunner/demo")
    bare = Store(store.path, NAMES, DemoModel(tmp_path / "missing"))
    assert bare.find("pyrunner/demo") == model


def test_damaged_installation_is_refused(store, layout):
    largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda each: each.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-1] ^= 1
    largest.write_bytes(content)
    with pytest.raises(DigestMismatchError):
        store.find("pyrunner/demo")
    assert store.list() == []


@pytest.mark.parametrize("index", ["{", '{"schemaVersion":2,"manifests":[]}'])
def test_layout_without_the_model_is_refused(store, layout, index):
    (layout / "index.json").write_text(index)
    with pytest.raises(StoreCorruptError):
        store.find("pyrunner/demo")


def test_exported_layout_is_equal_for_equal_models_and_reads_back(tmp_path):
    store = new_store(tmp_path)
    model = add(store, "x", b"1")
    for name in ("a", "b"):
        export_layout(store, "x", tmp_path / name)
    assert (tmp_path / "a" / "index.json").read_bytes() == (
        tmp_path / "b" / "index.json"
    ).read_bytes()
    other = new_store(tmp_path / "other")
    assert import_layout(other, tmp_path / "a", store.parse("x")).id == model.id


def test_export_over_something_is_refused(tmp_path):
    store = new_store(tmp_path)
    add(store, "x", b"1")
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreIOError):
        export_layout(store, "x", tmp_path / "a")


def test_script_makes_the_layout_that_the_product_imports(tmp_path):
    model = write_tiny_gguf(tmp_path / "m.gguf")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make-demo-layout", model, "--output", tmp_path / "o"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store", NAMES, DemoModel(tmp_path / "o"))
    assert store.find("pyrunner/demo").id in done.stdout
    assert json.loads((tmp_path / "o" / "oci-layout").read_bytes())
