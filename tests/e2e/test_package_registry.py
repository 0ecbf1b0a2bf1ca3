"""What is packaged comes back from a real registry under the same id, whatever its form."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.debian_registry import ANONYMOUS, running_registry
from support.gguf_files import write_shards, write_tiny_gguf
from support.programs import needs_skopeo
from support.safetensors_files import write_folder

from pyrunner.config import RegistryConfig
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.remote import describe
from pyrunner.models.transfer import pull, push
from pyrunner.registry.client import RegistryClient


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def client():
    with RegistryClient(RegistryConfig(), ANONYMOUS) as made:
        yield made


def _full(folder: Path) -> PackageOptions:
    template, licence = folder / "t.jinja", folder / "LICENSE"
    template.write_text("{{ x }}")
    licence.write_text("MIT")
    return PackageOptions(
        gguf=write_tiny_gguf(folder / "m.gguf"),
        mmproj=write_tiny_gguf(folder / "p.gguf", architecture="clip", n_vocab=9),
        chat_template=template,
        licenses=(licence,),
        context_size=128,
    )


SOURCES: dict[str, Callable[[Path], PackageOptions]] = {
    "full": _full,
    "shards": lambda folder: PackageOptions(gguf=write_shards(folder, 3)[2]),
    "folder": lambda folder: PackageOptions(safetensors_dir=write_folder(folder / "weights")),
}


@pytest.mark.parametrize("kind", [*SOURCES])
def test_pushed_and_pulled_model_is_the_same_in_both_forms(
    registry, client, here, there, tmp_path, kind
):
    name = f"{registry.host}/test/{kind}"
    docker = package(here, SOURCES[kind](tmp_path), f"{name}:docker", lambda _: None)
    options = PackageOptions(source=docker.id, format="cncf")
    cncf = package(here, options, f"{name}:cncf", lambda _: None)
    for made, tag in ((docker, "docker"), (cncf, "cncf")):
        push(here, client, f"{name}:{tag}", lambda _: None)
        remote = describe(there, client, f"{name}:{tag}")
        assert (remote.id, remote.config) == (made.id, made.config)
        model = pull(there, client, f"{name}:{tag}", lambda _: None).model
        assert (model.id, model.manifest, model.config) == (made.id, made.manifest, made.config)
        assert there.manifest_bytes(model) == here.manifest_bytes(made)
        assert len(model.weight_paths) == len(made.weight_paths)


@needs_skopeo
@pytest.mark.parametrize("form", ["docker", "cncf"])
def test_skopeo_reads_what_was_pushed(registry, client, here, tmp_path, form):
    name = f"{registry.host}/test/skopeo:{form}"
    options = PackageOptions(gguf=write_tiny_gguf(tmp_path / "m.gguf"), format=form)
    made = package(here, options, name, lambda _: None)
    push(here, client, name, lambda _: None)
    arguments = ("skopeo", "inspect", "--tls-verify=false", "--raw")
    raw = subprocess.run([*arguments, f"docker://{name}"], capture_output=True, check=True).stdout
    assert raw == here.manifest_bytes(made)
    config = subprocess.run(
        [*arguments, "--config", f"docker://{name}"], capture_output=True, check=True
    ).stdout
    assert json.loads(config)["config"]["format"] == "gguf"
